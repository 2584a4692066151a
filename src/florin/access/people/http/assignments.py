"""/v1/assignments: who has which role, where and until when."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import Field

from florin.access.people import assignments
from florin.access.people.http.render import GrantGiven, RoleCode, grants_of
from florin.access.people.policy import Actor
from florin.access.people.room import People
from florin.kernel.http.call import Call, requires
from florin.kernel.http.problem import problems
from florin.kernel.ids import AssignmentId, BusinessUnitId, UserId
from florin.kernel.paging import DEFAULT_LIMIT, Limit, Page, page
from florin.tenancy.http.fields import Shown

router = APIRouter(prefix="/v1/assignments", tags=["Roles"])

Read = Annotated[Call, Depends(requires("users:read", by_unit=True))]
Write = Annotated[Call, Depends(requires("users:write", by_unit=True))]


class AssignmentShown(Shown):
    """A role that a user has."""

    id: AssignmentId
    user_id: UserId
    role: str = Field(description="The role's code.", examples=["operator"])
    business_unit_id: BusinessUnitId | None = Field(description="With all below it; null: the whole tenant.")
    expires_at: datetime | None
    assigned_at: datetime
    assigned_by: str
    ended_at: datetime | None
    ended_by: str | None


class NewAssignment(GrantGiven):
    """A role to be given to a user."""

    user_id: UserId


@router.post("", status_code=201, responses=problems(409))
async def create_assignment(call: Write, body: NewAssignment) -> AssignmentShown:
    """Gives a user a role that allows nothing which you may not do there yourself."""
    [grant] = grants_of([body])
    made = await assignments.assign(
        call.rooms[People], call.tenant_id, body.user_id, grant, by=Actor.of(call)
    )
    return AssignmentShown.model_validate(made)


@router.get("", responses=problems(404))
async def list_assignments(
    call: Read,
    limit: Annotated[Limit, Query()] = DEFAULT_LIMIT,
    starting_after: Annotated[AssignmentId | None, Query()] = None,
    user_id: Annotated[UserId | None, Query(description="Only this user's.")] = None,
    role: Annotated[RoleCode | None, Query(description="Only of this role.")] = None,
    business_unit_id: Annotated[BusinessUnitId | None, Query(description="Only in this very unit.")] = None,
    ended: Annotated[bool, Query(description="Those that have ended or expired instead.")] = False,
) -> Page[AssignmentShown]:
    """Assignments in force, newest first."""
    found = await assignments.list_assignments(
        call.rooms[People],
        call.tenant_id,
        by=Actor.of(call),
        user_id=user_id,
        role=role,
        business_unit_id=business_unit_id,
        ended=ended,
        after=starting_after,
        count=limit + 1,
    )
    return page(found, limit, AssignmentShown.model_validate)


@router.get("/{assignment_id}", responses=problems(404))
async def read_assignment(call: Read, assignment_id: AssignmentId) -> AssignmentShown:
    """One assignment, in force or not."""
    found = await assignments.get_assignment(
        call.rooms[People], call.tenant_id, assignment_id, by=Actor.of(call)
    )
    return AssignmentShown.model_validate(found)


@router.post("/{assignment_id}/end", responses=problems(404, 409))
async def end_assignment(call: Write, assignment_id: AssignmentId) -> AssignmentShown:
    """Takes the role away. Twice is as once."""
    ended = await assignments.end_assignment(
        call.rooms[People], call.tenant_id, assignment_id, by=Actor.of(call)
    )
    return AssignmentShown.model_validate(ended)

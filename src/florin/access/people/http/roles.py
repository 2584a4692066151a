"""/v1/roles: built-in ones and the tenant's own. Changing them is for those who may in the whole tenant."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from pydantic import Field, StringConstraints

from florin.access.people import roles
from florin.access.people.http.render import RoleCode
from florin.access.people.model import Role
from florin.access.people.policy import Actor
from florin.access.people.room import People
from florin.kernel.http.call import Call, requires
from florin.kernel.http.problem import problems
from florin.kernel.ids import RoleId
from florin.kernel.paging import DEFAULT_LIMIT, Limit, Page, page
from florin.kernel.permissions import PERMISSIONS
from florin.tenancy.http.fields import Body, Shown, Text, absent

router = APIRouter(prefix="/v1/roles", tags=["Roles"])

Read = Annotated[Call, Depends(requires("roles:read", by_unit=True))]
Write = Annotated[Call, Depends(requires("roles:write", tenants_only=True))]
InPath = Annotated[RoleCode, Path(description="The role's code.")]
Description = Annotated[str, StringConstraints(max_length=500, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*$")]
Permissions = Annotated[
    list[Annotated[str, StringConstraints(min_length=1, max_length=40)]],
    Field(
        max_length=len(PERMISSIONS),
        description=f"Of {', '.join(f'`{one}`' for one in sorted(PERMISSIONS))}; `payments:*` is all of an "
        "area, `*` all that is a tenant's. None that you do not have.",
        examples=[["payments:read", "refunds:read", "refunds:write"]],
    ),
]


class RoleShown(Shown):
    """A role."""

    id: RoleId | None = Field(description="Null: built in.")
    code: str
    name: str
    description: str
    permissions: list[str]
    built_in: bool
    platform: bool = Field(description="Only for users of the tenant PLATFORM.")
    created_at: datetime | None
    created_by: str | None
    updated_at: datetime | None


class NewRole(Body):
    """A role to be made."""

    code: RoleCode = Field(examples=["refund_desk"])
    name: Text = Field(examples=["Refund desk"])
    description: Description = ""
    permissions: Permissions


class RoleChanges(Body):
    """What to change. Whoever has the role feels it at once."""

    name: Text = Field(default_factory=absent)
    description: Description = Field(default_factory=absent)
    permissions: Permissions = Field(default_factory=absent)


@router.post("", status_code=201, responses=problems(409))
async def create_role(call: Write, body: NewRole) -> RoleShown:
    """Makes a role of the tenant's own."""
    made = await roles.create_role(
        call.rooms[People],
        call.tenant_id,
        code=body.code,
        name=body.name,
        description=body.description,
        permissions=body.permissions,
        by=Actor.of(call),
    )
    return shown(made)


@router.get("", responses=problems())
async def list_roles(
    call: Read,
    limit: Annotated[Limit, Query()] = DEFAULT_LIMIT,
    starting_after: Annotated[RoleCode | None, Query(description="The last item's code.")] = None,
) -> Page[RoleShown]:
    """Roles, in order of their codes."""
    found = await roles.list_roles(call.rooms[People], call.tenant_id, after=starting_after, count=limit + 1)
    return page(found, limit, shown)


@router.get("/{role_code}", responses=problems(404))
async def read_role(call: Read, role_code: InPath) -> RoleShown:
    """One role."""
    return shown(await roles.get_role(call.rooms[People], call.tenant_id, role_code))


@router.patch("/{role_code}", responses=problems(404, 409))
async def patch_role(call: Write, role_code: InPath, body: RoleChanges) -> RoleShown:
    """Changes a role of the tenant's own."""
    changed = await roles.change_role(
        call.rooms[People], call.tenant_id, role_code, body.given(), by=Actor.of(call)
    )
    return shown(changed)


@router.delete("/{role_code}", status_code=204, responses=problems(404, 409))
async def delete_role(call: Write, role_code: InPath) -> None:
    """Deletes a role of the tenant's own that nobody has."""
    await roles.delete_role(call.rooms[People], call.tenant_id, role_code, by=Actor.of(call))


def shown(role: Role) -> RoleShown:
    """The role as the API shows it."""
    return RoleShown.model_validate(role)

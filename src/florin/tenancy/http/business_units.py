"""/v1/business-units: the parts of a tenant, as a tree."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field

from florin.kernel.errors import Forbidden
from florin.kernel.http.call import Call
from florin.kernel.http.problem import problems
from florin.kernel.ids import BusinessUnitId
from florin.kernel.paging import DEFAULT_LIMIT, Limit, Page, page
from florin.kernel.permissions import beyond
from florin.tenancy import service
from florin.tenancy.errors import BusinessUnitNotFound
from florin.tenancy.http.fields import Body, Shown, Text, UnitRead, UnitWrite, absent, check_reach
from florin.tenancy.model import BusinessUnitType, Status
from florin.tenancy.service import Tenancy

router = APIRouter(prefix="/v1/business-units", tags=["Tenant"])


class BusinessUnitShown(Shown):
    """A business unit."""

    id: BusinessUnitId
    name: str
    type: BusinessUnitType
    status: Status
    parent_id: BusinessUnitId | None
    level: int = Field(description="1 on top, and one more with each step down.")
    created_at: datetime
    updated_at: datetime


class NewBusinessUnit(Body):
    """A business unit to be made."""

    name: Text = Field(examples=["Retail, south"])
    type: BusinessUnitType
    parent_id: BusinessUnitId | None = None


class BusinessUnitChanges(Body):
    """What to change. A new parent moves the unit with all below it; null moves it to the top."""

    name: Text = Field(default_factory=absent)
    type: BusinessUnitType = Field(default_factory=absent)
    status: Status = Field(default_factory=absent)
    parent_id: BusinessUnitId | None = None


@router.post("", status_code=201, responses=problems())
async def create_business_unit(call: UnitWrite, body: NewBusinessUnit) -> BusinessUnitShown:
    """Makes a business unit, on top or below another."""
    check_reach(call, body.parent_id, param="parent_id")
    unit = await service.create_business_unit(
        call.rooms[Tenancy], call.tenant_id, name=body.name, type=body.type, parent_id=body.parent_id
    )
    return BusinessUnitShown.model_validate(unit)


@router.get("", responses=problems())
async def list_business_units(
    call: UnitRead,
    limit: Annotated[Limit, Query()] = DEFAULT_LIMIT,
    starting_after: Annotated[BusinessUnitId | None, Query()] = None,
    parent_id: Annotated[BusinessUnitId | None, Query()] = None,
    status: Annotated[Status | None, Query()] = None,
) -> Page[BusinessUnitShown]:
    """Business units, newest first."""
    units = await service.list_business_units(
        call.rooms[Tenancy],
        call.tenant_id,
        parent_id=parent_id,
        only=call.units,
        status=status,
        after=starting_after,
        count=limit + 1,
    )
    return page(units, limit, BusinessUnitShown.model_validate)


@router.get("/{unit_id}", responses=problems(404))
async def read_business_unit(call: UnitRead, unit_id: BusinessUnitId) -> BusinessUnitShown:
    """One business unit."""
    _check_reaches(call, unit_id)
    unit = await service.get_business_unit(call.rooms[Tenancy], call.tenant_id, unit_id)
    return BusinessUnitShown.model_validate(unit)


@router.patch("/{unit_id}", responses=problems(404))
async def patch_business_unit(
    call: UnitWrite, unit_id: BusinessUnitId, body: BusinessUnitChanges
) -> BusinessUnitShown:
    """Changes or moves a business unit. Nobody moves one to where he would be allowed more in it."""
    _check_reaches(call, unit_id)
    if "parent_id" in body.model_fields_set:
        _check_move(call, unit_id, body.parent_id)
    unit = await service.change_business_unit(call.rooms[Tenancy], call.tenant_id, unit_id, body.given())
    return BusinessUnitShown.model_validate(unit)


def _check_reaches(call: Call, unit_id: UUID) -> None:
    if not call.reaches(unit_id):
        raise BusinessUnitNotFound


def _check_move(call: Call, unit_id: UUID, parent_id: UUID | None) -> None:
    """What somebody may do in the new parent he may do in all that hangs below it."""
    check_reach(call, parent_id, param="parent_id")
    who = call.principal
    gained = beyond(who.held_at(unit_id), who.held_at(parent_id))
    if gained:
        raise Forbidden(f"there you would be allowed {', '.join(gained)} in it", param="parent_id")

"""/v1/business-units: the parts of a tenant, as a tree."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from florin.kernel.http.problem import problems
from florin.kernel.ids import BusinessUnitId
from florin.kernel.paging import DEFAULT_LIMIT, Limit, Page, page
from florin.tenancy import service
from florin.tenancy.http.fields import Body, Read, Shown, Text, Write, absent, tenants_only
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
async def create_business_unit(call: Write, body: NewBusinessUnit) -> BusinessUnitShown:
    """Makes a business unit, on top or below another."""
    tenants_only(call)
    unit = await service.create_business_unit(
        call.rooms[Tenancy], call.tenant_id, name=body.name, type=body.type, parent_id=body.parent_id
    )
    return BusinessUnitShown.model_validate(unit)


@router.get("", responses=problems())
async def list_business_units(
    call: Read,
    limit: Annotated[Limit, Query()] = DEFAULT_LIMIT,
    starting_after: Annotated[BusinessUnitId | None, Query()] = None,
    parent_id: Annotated[BusinessUnitId | None, Query()] = None,
    status: Annotated[Status | None, Query()] = None,
) -> Page[BusinessUnitShown]:
    """Business units, newest first."""
    tenants_only(call)
    units = await service.list_business_units(
        call.rooms[Tenancy],
        call.tenant_id,
        parent_id=parent_id,
        status=status,
        after=starting_after,
        count=limit + 1,
    )
    return page(units, limit, BusinessUnitShown.model_validate)


@router.get("/{unit_id}", responses=problems(404))
async def read_business_unit(call: Read, unit_id: BusinessUnitId) -> BusinessUnitShown:
    """One business unit."""
    tenants_only(call)
    unit = await service.get_business_unit(call.rooms[Tenancy], call.tenant_id, unit_id)
    return BusinessUnitShown.model_validate(unit)


@router.patch("/{unit_id}", responses=problems(404))
async def patch_business_unit(
    call: Write, unit_id: BusinessUnitId, body: BusinessUnitChanges
) -> BusinessUnitShown:
    """Changes or moves a business unit."""
    tenants_only(call)
    unit = await service.change_business_unit(call.rooms[Tenancy], call.tenant_id, unit_id, body.given())
    return BusinessUnitShown.model_validate(unit)

"""/v1/tenant: the tenant itself. Its status is the operator's to change, with the `florin` command."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from florin.kernel.http.problem import problems
from florin.kernel.money import CurrencyCode
from florin.tenancy.http.fields import (
    Body,
    Email,
    Phone,
    ShortText,
    Shown,
    TenantRead,
    TenantWrite,
    Text,
    Timezone,
    absent,
)
from florin.tenancy.model import TenantStatus, TenantType
from florin.tenancy.service import Tenancy, change_tenant, get_tenant

router = APIRouter(prefix="/v1/tenant", tags=["Tenant"])

Country = Annotated[str, Field(pattern="^[A-Z]{2}$", description="ISO 3166-1 alpha-2.", examples=["ZA"])]


class TenantShown(Shown):
    """A tenant, in the mode of the key that asks."""

    code: str = Field(examples=["DEMO"])
    live: bool
    name: str
    type: TenantType
    status: TenantStatus
    contact_email: str
    country: str
    timezone: str
    currency: str
    registration_number: str | None
    tax_number: str | None
    contact_phone: str | None
    address_line1: str | None
    address_line2: str | None
    city: str | None
    province: str | None
    postal_code: str | None
    limit_per_minute: int | None = Field(
        description="Calls of all keys and users together; null: the platform's."
    )
    limit_per_hour: int | None
    limit_per_day: int | None
    created_at: datetime
    updated_at: datetime


class TenantChanges(Body):
    """What to change. Null empties a field that may be empty."""

    name: Text = Field(default_factory=absent)
    type: TenantType = Field(default_factory=absent)
    contact_email: Email = Field(default_factory=absent)
    country: Country = Field(default_factory=absent)
    timezone: Timezone = Field(default_factory=absent)
    currency: CurrencyCode = Field(default_factory=absent)
    registration_number: ShortText | None = None
    tax_number: ShortText | None = None
    contact_phone: Phone | None = None
    address_line1: Text | None = None
    address_line2: Text | None = None
    city: ShortText | None = None
    province: ShortText | None = None
    postal_code: ShortText | None = None


@router.get("", responses=problems())
async def read_tenant(call: TenantRead) -> TenantShown:
    """The tenant that the key belongs to."""
    return TenantShown.model_validate(await get_tenant(call.rooms[Tenancy], call.tenant_id))


@router.patch("", responses=problems())
async def patch_tenant(call: TenantWrite, body: TenantChanges) -> TenantShown:
    """Changes the tenant's details, in the mode of the key."""
    changed = await change_tenant(call.rooms[Tenancy], call.tenant_id, body.given())
    return TenantShown.model_validate(changed)

"""/v1/platform/tenants: all tenants, for the tenant PLATFORM, which runs the house."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from pydantic import Field

from florin.kernel.http.call import Call, requires
from florin.kernel.http.problem import problems
from florin.kernel.money import CurrencyCode
from florin.kernel.paging import DEFAULT_LIMIT, Limit, Page, page
from florin.tenancy import platform
from florin.tenancy.http.fields import Body, Email, Phone, ShortText, Shown, Text, Timezone
from florin.tenancy.http.tenant import Country, TenantShown
from florin.tenancy.model import TenantDetails, TenantStatus, TenantType
from florin.tenancy.service import Tenancy, create_tenant, set_status

router = APIRouter(prefix="/v1/platform/tenants", tags=["Platform"])

Read = Annotated[Call, Depends(requires("platform:read", tenants_only=True, platform=True))]
Write = Annotated[Call, Depends(requires("platform:write", tenants_only=True, platform=True))]

_CODE = r"^[A-Z][A-Z0-9_-]{1,19}$"
Code = Annotated[str, Path(pattern=_CODE, description="The tenant's code.", examples=["ACME"])]


class TwinShown(TenantShown):
    """One of a tenant's twins."""

    tenant_id: int


class PlatformTenant(Shown):
    """A tenant: its live books and its test books."""

    code: str = Field(examples=["ACME"])
    live: TwinShown | None = Field(description="Null where a code was registered and never furnished.")
    test: TwinShown | None


class NewTenant(Body):
    """A tenant to be made. Both twins begin with this."""

    code: Annotated[str, Field(pattern=_CODE, description="2 to 20 of A-Z, 0-9, _ and -.", examples=["ACME"])]
    name: Text = Field(examples=["Acme Bank"])
    type: TenantType
    contact_email: Email
    country: Country
    timezone: Timezone
    currency: CurrencyCode
    registration_number: ShortText | None = None
    tax_number: ShortText | None = None
    contact_phone: Phone | None = None
    address_line1: Text | None = None
    address_line2: Text | None = None
    city: ShortText | None = None
    province: ShortText | None = None
    postal_code: ShortText | None = None
    status: TenantStatus = Field(
        TenantStatus.ACTIVE, description="Of the live twin; the test twin is active at once."
    )


class NewStatus(Body):
    """What a tenant's status is to be. Keys and sessions of one that is not ACTIVE are refused with 403."""

    status: TenantStatus
    live: bool | None = Field(None, description="Of the live twin only, or of the test twin; null: of both.")


@router.post("", status_code=201, responses=problems(409))
async def create_platform_tenant(call: Write, body: NewTenant) -> PlatformTenant:
    """Registers a tenant with live and test books. `florin users create` makes its first administrator."""
    details = TenantDetails(**body.model_dump(exclude={"code", "status"}))
    twins = await create_tenant(call.rooms[Tenancy], body.code, details, status=body.status)
    return _shown(platform.Twins(body.code, *twins))


@router.get("", responses=problems())
async def list_platform_tenants(
    call: Read,
    limit: Annotated[Limit, Query()] = DEFAULT_LIMIT,
    starting_after: Annotated[str | None, Query(pattern=_CODE, description="The last item's code.")] = None,
) -> Page[PlatformTenant]:
    """Tenants, in order of their codes."""
    found = await platform.list_twins(call.rooms[Tenancy], after=starting_after, count=limit + 1)
    return page(found, limit, _shown)


@router.get("/{tenant_code}", responses=problems(404))
async def read_platform_tenant(call: Read, tenant_code: Code) -> PlatformTenant:
    """One tenant."""
    return _shown(await platform.get_twins(call.rooms[Tenancy], tenant_code))


@router.put("/{tenant_code}/status", responses=problems(404, 409))
async def put_platform_tenant_status(call: Write, tenant_code: Code, body: NewStatus) -> PlatformTenant:
    """Suspends a tenant, or lets it work again. Its keys and sessions feel it within moments."""
    await set_status(call.rooms[Tenancy], tenant_code, body.status, live=body.live)
    return _shown(await platform.get_twins(call.rooms[Tenancy], tenant_code))


def _shown(twins: platform.Twins) -> PlatformTenant:
    return PlatformTenant.model_validate(twins)

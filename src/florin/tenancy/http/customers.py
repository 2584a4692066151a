"""/v1/customers: who pays. A partner's key sees and makes its own customers only."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import Field

from florin.kernel.errors import TenantsOnly
from florin.kernel.http.call import Call, requires
from florin.kernel.http.problem import problems
from florin.kernel.ids import BusinessUnitId, CustomerId, PartnerId
from florin.kernel.paging import DEFAULT_LIMIT, Limit, Page, page
from florin.tenancy import service
from florin.tenancy.http.fields import Body, Email, Metadata, Shown, Text, absent, check_reach
from florin.tenancy.service import Tenancy

router = APIRouter(prefix="/v1/customers", tags=["Customers"])

Read = Annotated[Call, Depends(requires("tenancy:read", by_unit=True))]
Write = Annotated[Call, Depends(requires("tenancy:write", by_unit=True))]


class CustomerShown(Shown):
    """A customer."""

    id: CustomerId
    partner_id: PartnerId | None = Field(description="Whose customer; null: the tenant's own.")
    business_unit_id: BusinessUnitId | None
    reference: str
    name: str | None
    email: str | None
    metadata: dict[str, str]
    created_at: datetime
    updated_at: datetime


class NewCustomer(Body):
    """A customer to be made. Leave personal fields out where the reference will do."""

    reference: Text = Field(
        description="What you know them by, unique among your customers.", examples=["C-1001"]
    )
    name: Text | None = None
    email: Email | None = None
    business_unit_id: BusinessUnitId | None = None
    metadata: Metadata = Field(default_factory=dict)


class CustomerChanges(Body):
    """What to change. Null empties a personal field."""

    reference: Text = Field(default_factory=absent)
    name: Text | None = None
    email: Email | None = None
    business_unit_id: BusinessUnitId | None = None
    metadata: Metadata = Field(default_factory=absent, description="Replaces all metadata.")


@router.post("", status_code=201, responses=problems(409))
async def create_customer(call: Write, body: NewCustomer) -> CustomerShown:
    """Makes a customer of the partner whose key it is, or of the tenant."""
    if body.business_unit_id is not None and call.principal.partner_id is not None:
        raise TenantsOnly  # units are the tenant's: a partner does not even learn which there are
    check_reach(call, body.business_unit_id)
    customer = await service.create_customer(
        call.rooms[Tenancy],
        call.tenant_id,
        partner_id=call.principal.partner_id,
        business_unit_id=body.business_unit_id,
        reference=body.reference,
        name=body.name,
        email=body.email,
        metadata=body.metadata,
    )
    return CustomerShown.model_validate(customer)


@router.get("", responses=problems())
async def list_customers(
    call: Read,
    limit: Annotated[Limit, Query()] = DEFAULT_LIMIT,
    starting_after: Annotated[CustomerId | None, Query()] = None,
    business_unit_id: Annotated[BusinessUnitId | None, Query()] = None,
    reference: Annotated[Text | None, Query()] = None,
) -> Page[CustomerShown]:
    """Customers, newest first."""
    customers = await service.list_customers(
        call.rooms[Tenancy],
        call.tenant_id,
        partner_id=call.principal.partner_id,
        business_unit_id=business_unit_id,
        reference=reference,
        units=call.units,
        after=starting_after,
        count=limit + 1,
    )
    return page(customers, limit, CustomerShown.model_validate)


@router.get("/{customer_id}", responses=problems(404))
async def read_customer(call: Read, customer_id: CustomerId) -> CustomerShown:
    """One customer."""
    customer = await service.get_customer(
        call.rooms[Tenancy], call.tenant_id, customer_id, call.principal.partner_id, units=call.units
    )
    return CustomerShown.model_validate(customer)


@router.patch("/{customer_id}", responses=problems(404, 409))
async def patch_customer(call: Write, customer_id: CustomerId, body: CustomerChanges) -> CustomerShown:
    """Changes a customer, or forgets personal fields."""
    if body.business_unit_id is not None and call.principal.partner_id is not None:
        raise TenantsOnly
    if "business_unit_id" in body.model_fields_set:
        check_reach(call, body.business_unit_id)
    customer = await service.change_customer(
        call.rooms[Tenancy],
        call.tenant_id,
        customer_id,
        call.principal.partner_id,
        body.given(),
        units=call.units,
    )
    return CustomerShown.model_validate(customer)

"""/v1/customers: who pays. A partner's key sees and makes its own customers only."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import Field, StringConstraints, model_validator

from florin.kernel.errors import TenantsOnly
from florin.kernel.http.call import Call, requires
from florin.kernel.http.notes import note_read
from florin.kernel.http.problem import problems
from florin.kernel.ids import BusinessUnitId, CustomerId, PartnerId, PersonId
from florin.kernel.paging import DEFAULT_LIMIT, Limit, Page
from florin.tenancy.customers import sealing, service
from florin.tenancy.customers.model import BankAccount, Customer
from florin.tenancy.http.fields import Body, Email, Metadata, Phone, Shown, Text, absent, check_reach
from florin.tenancy.service import Tenancy

router = APIRouter(prefix="/v1/customers", tags=["Customers"])

Read = Annotated[Call, Depends(requires("tenancy:read", by_unit=True))]
Look = Annotated[Call, Depends(requires("tenancy:read", by_unit=True, privileged=True))]
Write = Annotated[Call, Depends(requires("tenancy:write", by_unit=True))]

AccountNumber = Annotated[
    str,
    StringConstraints(min_length=4, max_length=50, pattern=r"^[A-Za-z0-9 -]+$"),
    Field(examples=["DE89 3704 0044 0532 0130 00"]),
]


class AccountShown(Shown):
    """A customer's bank account."""

    number: str = Field(description="An IBAN or a bank's own number; `***3000` without personal:read.")
    bank_code: str | None


class CustomerShown(Shown):
    """A customer. Without personal:read, personal fields are masked: `a***@shop.example`."""

    id: CustomerId
    partner_id: PartnerId | None = Field(description="Whose customer; null: the tenant's own.")
    business_unit_id: BusinessUnitId | None
    reference: str
    person_id: PersonId | None = Field(description="Whose key seals what is personal; null: nothing is.")
    name: str | None
    email: str | None
    phone: str | None
    account: AccountShown | None
    metadata: dict[str, str]
    created_at: datetime
    updated_at: datetime
    erased_at: datetime | None = Field(description="When all that was personal of them was destroyed.")


class NewAccount(Body):
    """A bank account."""

    number: AccountNumber = Field(description="An IBAN, whose check digits are verified, or a bank's number.")
    bank_code: (
        Annotated[str, StringConstraints(min_length=1, max_length=20, pattern=r"^[A-Za-z0-9 -]+$")] | None
    ) = Field(None, description="BIC, sort code, IFSC or branch code.")


class NewCustomer(Body):
    """A customer to be made. Leave personal fields out where the reference will do."""

    reference: Text = Field(
        description="What you know them by, unique among your customers. Not personal: it is kept in plain.",
        examples=["C-1001"],
    )
    name: Text | None = None
    email: Email | None = None
    phone: Phone | None = Field(None, description="International, with + and the country's code.")
    account: NewAccount | None = None
    business_unit_id: BusinessUnitId | None = None
    metadata: Metadata = Field(default_factory=dict)


class CustomerChanges(Body):
    """What to change. Null empties a personal field."""

    reference: Text = Field(default_factory=absent)
    name: Text | None = None
    email: Email | None = None
    phone: Phone | None = None
    account: NewAccount | None = None
    business_unit_id: BusinessUnitId | None = None
    metadata: Metadata = Field(default_factory=absent, description="Replaces all metadata.")


class CustomerSearch(Body):
    """One address or number."""

    email: Email | None = None
    phone: Phone | None = None
    account_number: AccountNumber | None = None

    @model_validator(mode="after")
    def _one(self) -> "CustomerSearch":
        if sum(value is not None for value in (self.email, self.phone, self.account_number)) != 1:
            raise ValueError("name one of email, phone and account_number")
        return self

    @property
    def wanted(self) -> sealing.Wanted:
        """What is looked for. Raises InvalidRequest."""
        if self.account_number is not None:
            return sealing.wanted("account", self.account_number)
        return sealing.wanted("email" if self.email is not None else "phone", self.email or self.phone or "")


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
        phone=body.phone,
        account=_account(body.account),
        metadata=body.metadata,
    )
    return render(call, customer)


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
        units=call.units,
        business_unit_id=business_unit_id,
        reference=reference,
        after=starting_after,
        count=limit + 1,
    )
    return Page(data=await shown_to(call, customers[:limit]), has_more=len(customers) > limit)


@router.post("/search", responses=problems())
async def search_customers(
    call: Look,
    body: CustomerSearch,
    limit: Annotated[Limit, Query()] = DEFAULT_LIMIT,
    starting_after: Annotated[CustomerId | None, Query()] = None,
) -> Page[CustomerShown]:
    """Customers of one e-mail address, telephone or account number, newest first. The value is not kept, and
    stands in no address line: what is compared is its keyed digest.
    """
    customers = await service.find_customers(
        call.rooms[Tenancy],
        call.tenant_id,
        body.wanted,
        partner_id=call.principal.partner_id,
        units=call.units,
        after=starting_after,
        count=limit + 1,
    )
    return Page(data=await shown_to(call, customers[:limit]), has_more=len(customers) > limit)


@router.get("/{customer_id}", responses=problems(404))
async def read_customer(call: Read, customer_id: CustomerId) -> CustomerShown:
    """One customer."""
    customer = await service.get_customer(
        call.rooms[Tenancy], call.tenant_id, customer_id, call.principal.partner_id, call.units
    )
    [shown] = await shown_to(call, [customer])
    return shown


@router.patch("/{customer_id}", responses=problems(404, 409))
async def patch_customer(call: Write, customer_id: CustomerId, body: CustomerChanges) -> CustomerShown:
    """Changes a customer, or forgets personal fields."""
    if body.business_unit_id is not None and call.principal.partner_id is not None:
        raise TenantsOnly
    changes = body.given()
    if "business_unit_id" in changes:
        check_reach(call, body.business_unit_id)
    if "account" in changes:
        changes["account"] = _account(body.account)
    customer = await service.change_customer(
        call.rooms[Tenancy],
        call.tenant_id,
        customer_id,
        call.principal.partner_id,
        changes,
        call.units,
    )
    [shown] = await shown_to(call, [customer])
    return shown


async def shown_to(call: Call, customers: Sequence[Customer]) -> list[CustomerShown]:
    """Customers as this caller may see them. Whose personal data he sees unmasked is noted first."""
    plain = [one.id for one in customers if one.person_id and _may_see(call, one)]
    await note_read(call, "customer", plain, ("name", "email", "phone", "account"))
    return [render(call, one) for one in customers]


def render(call: Call, customer: Customer) -> CustomerShown:
    """The customer as this caller may see it."""
    shown = CustomerShown.model_validate(customer)
    if not _may_see(call, customer):
        masked: dict[str, Any] = sealing.masked(customer)
        masked["account"] = masked["account"] and AccountShown.model_validate(masked["account"])
        return shown.model_copy(update=masked)
    return shown


def _may_see(call: Call, customer: Customer) -> bool:
    return call.may("personal:read", customer.business_unit_id)


def _account(given: NewAccount | None) -> BankAccount | None:
    return None if given is None else BankAccount(given.number, given.bank_code)

"""/v1/customers/{id}/erase, /v1/users/{id}/erase, /v1/legal-holds, /v1/retention: tenants' own."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from florin.kernel.errors import InvalidRequest
from florin.kernel.http.call import Call, requires
from florin.kernel.http.problem import problems
from florin.kernel.ids import CustomerId, LegalHoldId, PersonId, UserId
from florin.kernel.paging import DEFAULT_LIMIT, Limit, Page, page
from florin.privacy.erasure import service as erasure
from florin.privacy.model import Erased, Kind, LegalHold
from florin.privacy.retention import rules
from florin.privacy.retention.policy import MOST_YEARS, Retention
from florin.privacy.retention.service import EVENTS_YEARS
from florin.privacy.room import Privacy

router = APIRouter(prefix="/v1")

Erase = Annotated[Call, Depends(requires("personal:erase", tenants_only=True, privileged=True))]
Read = Annotated[Call, Depends(requires("tenancy:read", tenants_only=True))]
Write = Annotated[Call, Depends(requires("tenancy:write", tenants_only=True))]
Reason = Annotated[
    str,
    StringConstraints(min_length=3, max_length=300, pattern=r"^[^\x00-\x1f\x7f]+$", strip_whitespace=True),
]
Years = Annotated[int, Field(strict=True, ge=0, le=MOST_YEARS)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PrivacyReason(_Body):
    """Why. The audit log keeps it: no names."""

    reason: Reason = Field(examples=["request 2026-118 of the person"])


class ErasedShown(BaseModel):
    """A person whose data are gone."""

    customer_id: CustomerId | None
    user_id: UserId | None
    person_id: PersonId | None
    erased_at: datetime


class NewLegalHold(_Body):
    """One customer or one user, and why their data have to stay."""

    customer_id: CustomerId | None = None
    user_id: UserId | None = None
    reason: Reason = Field(examples=["dispute 4711"])

    def subject(self) -> tuple[Kind, UUID]:
        """Whom it is about. Raises InvalidRequest unless it is one."""
        if self.user_id is None and self.customer_id is not None:
            return Kind.CUSTOMER, self.customer_id
        if self.user_id is not None and self.customer_id is None:
            return Kind.USER, self.user_id
        param = "customer_id" if self.user_id is None else "user_id"
        raise InvalidRequest(f"{param}: name one of customer_id and user_id", param=param)


class LegalHoldShown(BaseModel):
    """A legal hold. While one stands, the person is not erased."""

    id: LegalHoldId
    person_id: PersonId
    customer_id: CustomerId | None
    user_id: UserId | None
    reason: str
    placed_at: datetime
    placed_by: str
    released_at: datetime | None
    released_by: str | None


class LeastYears(BaseModel):
    """What the platform lets a tenant go down to."""

    personal_years: int
    transactions_years: int
    audit_years: int


class RetentionShown(BaseModel):
    """For how many years what is kept."""

    personal_years: int = Field(description="People about whom nothing has happened so long are erased.")
    transactions_years: int = Field(description="Payments older than that lose free text; the books stay.")
    audit_years: int
    erasure_waits_years: int = Field(
        description="So long after the last payment nobody is erased on request."
    )
    events_years: int = Field(description="The platform's: events and webhook deliveries.")
    least: LeastYears


class RetentionChanges(_Body):
    """The rules to change; what is left out stays."""

    personal_years: Years = Field(7, examples=[7])
    transactions_years: Years = Field(10, examples=[10])
    audit_years: Years = Field(3, examples=[3])
    erasure_waits_years: Years = Field(0, examples=[0])


@router.post("/customers/{customer_id}/erase", tags=["Customers"], responses=problems(404, 409))
async def erase_customer(call: Erase, customer_id: CustomerId, body: PrivacyReason) -> ErasedShown:
    """Destroys the key of all that is personal of a customer, and empties it. It cannot be undone. Id,
    reference and payments stay; names, addresses, numbers and metadata are gone, from the audit log too.
    """
    return await _erase(call, Kind.CUSTOMER, customer_id, body)


@router.post("/users/{user_id}/erase", tags=["Privacy"], responses=problems(404, 409))
async def erase_user(call: Erase, user_id: UserId, body: PrivacyReason) -> ErasedShown:
    """The same of a user, whose sessions and roles end at once."""
    return await _erase(call, Kind.USER, user_id, body)


@router.post("/legal-holds", status_code=201, tags=["Privacy"], responses=problems(404, 409))
async def create_legal_hold(call: Erase, body: NewLegalHold) -> LegalHoldShown:
    """Forbids that a person is erased, on request or by age, until the hold is released."""
    kind, id = body.subject()
    hold = await erasure.place_hold(
        call.rooms[Privacy], call.tenant_id, kind, id, reason=body.reason, by=call.principal.name
    )
    return _hold(hold)


@router.get("/legal-holds", tags=["Privacy"], responses=problems(404))
async def list_legal_holds(
    call: Erase,
    limit: Annotated[Limit, Query()] = DEFAULT_LIMIT,
    starting_after: Annotated[LegalHoldId | None, Query()] = None,
    customer_id: Annotated[CustomerId | None, Query(description="Only those on this customer.")] = None,
    user_id: Annotated[UserId | None, Query(description="Only those on this user.")] = None,
    in_force: Annotated[
        bool | None, Query(description="Only those that stand, or only those that ended.")
    ] = None,
) -> Page[LegalHoldShown]:
    """Legal holds, newest first; a customer's or a user's."""
    subject = None
    if customer_id is not None:
        subject = (Kind.CUSTOMER, customer_id)
    elif user_id is not None:
        subject = (Kind.USER, user_id)
    found = await erasure.list_holds(
        call.rooms[Privacy],
        call.tenant_id,
        subject=subject,
        in_force=in_force,
        after=starting_after,
        count=limit + 1,
    )
    return page(found, limit, _hold)


@router.post("/legal-holds/{hold_id}/release", tags=["Privacy"], responses=problems(404, 409))
async def release_legal_hold(call: Erase, hold_id: LegalHoldId, body: PrivacyReason) -> LegalHoldShown:
    """Ends a hold. Others on the same person go on."""
    hold = await erasure.release_hold(
        call.rooms[Privacy], call.tenant_id, hold_id, by=call.provenance(body.reason)
    )
    return _hold(hold)


@router.get("/retention", tags=["Privacy"], responses=problems())
async def read_retention(call: Read) -> RetentionShown:
    """For how many years what is kept, and the least that the platform allows."""
    privacy = call.rooms[Privacy]
    return _retention(privacy, await rules.in_force(privacy, call.tenant_id))


@router.put("/retention", tags=["Privacy"], responses=problems())
async def put_retention(call: Write, body: RetentionChanges) -> RetentionShown:
    """Changes some of the rules, from now on. What they let go goes in the night."""
    privacy = call.rooms[Privacy]
    changes = {name: getattr(body, name) for name in body.model_fields_set}
    changed = await rules.change(privacy, call.tenant_id, changes, by=call.principal.name)
    return _retention(privacy, changed)


async def _erase(call: Call, kind: Kind, id: UUID, body: PrivacyReason) -> ErasedShown:
    erased = await erasure.erase(
        call.rooms[Privacy], call.tenant_id, kind, id, by=call.provenance(body.reason)
    )
    return _erased(erased)


def _erased(erased: Erased) -> ErasedShown:
    return ErasedShown(
        customer_id=erased.id if erased.kind is Kind.CUSTOMER else None,
        user_id=erased.id if erased.kind is Kind.USER else None,
        person_id=erased.person_id,
        erased_at=erased.erased_at,
    )


def _hold(hold: LegalHold) -> LegalHoldShown:
    return LegalHoldShown.model_validate(hold, from_attributes=True)


def _retention(privacy: Privacy, found: Retention) -> RetentionShown:
    least = LeastYears.model_validate(rules.floor_of(privacy.settings), from_attributes=True)
    return RetentionShown(
        personal_years=found.personal_years,
        transactions_years=found.transactions_years,
        audit_years=found.audit_years,
        erasure_waits_years=found.erasure_waits_years,
        events_years=EVENTS_YEARS,
        least=least,
    )

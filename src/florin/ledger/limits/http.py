"""Shared limits over HTTP. An account joins and leaves one by PATCH /v1/accounts/{id}."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from florin.kernel.clock import rfc3339
from florin.kernel.http.call import Call, requires
from florin.kernel.http.problem import problems
from florin.kernel.ids import AccountId, LimitId, encode_id
from florin.kernel.money import CurrencyCode
from florin.kernel.paging import DEFAULT_LIMIT, Limit, Page, page
from florin.ledger.http import render
from florin.ledger.http.schemas import AccountResponse, BoundMinor, Name, Reason, Request
from florin.ledger.limits import service
from florin.ledger.limits.model import NewLimit, SharedLimit
from florin.ledger.model import Direction
from florin.ledger.service import Ledger
from florin.ledger.store import UNSET

router = APIRouter(prefix="/v1/limits", tags=["Limits"])

Read = Annotated[Call, Depends(requires("ledger:read", tenants_only=True))]
Write = Annotated[Call, Depends(requires("ledger:write", tenants_only=True))]


class NewLimitRequest(Request):
    """A limit for accounts of one currency and one normal side."""

    name: Name
    side: Direction = Field(description="The normal side of the accounts that will share it.")
    currency: CurrencyCode
    min_balance: BoundMinor | None = Field(None, description="Refuse what would leave less. Null: no bound.")
    max_balance: BoundMinor | None = Field(None, description="Refuse what would leave more. Null: no bound.")
    reason: Reason | None = None


class LimitChange(Request):
    """What to change; what is left out stays."""

    name: Name | None = None
    min_balance: BoundMinor | None = Field(None, description="Null removes the bound.")
    max_balance: BoundMinor | None = Field(None, description="Null removes the bound.")
    reason: Reason | None = None


class LimitShown(BaseModel):
    """A limit, and what the accounts that share it hold together."""

    id: LimitId
    name: str
    side: Direction
    currency: CurrencyCode
    min_balance: int | None
    max_balance: int | None
    balance: int = Field(description="The sum of the accounts' balances.")
    pending_debits: int
    pending_credits: int
    available: int = Field(description="The balance less what holds may take from it.")
    created_at: str


@router.post(
    "", status_code=201, summary="Create a shared limit", response_model=LimitShown, responses=problems(409)
)
async def create_limit(call: Write, body: NewLimitRequest) -> Any:
    """Makes a limit that no account shares yet."""
    new = NewLimit(body.name, body.side, body.currency, body.min_balance, body.max_balance)
    return render_limit(
        await service.create_limit(call.rooms[Ledger], call.tenant_id, new, by=call.provenance(body.reason))
    )


@router.get("", summary="List shared limits", responses=problems())
async def list_limits(
    call: Read, limit: Limit = DEFAULT_LIMIT, starting_after: LimitId | None = None
) -> Page[LimitShown]:
    """Limits, newest first."""
    found = await service.limits(
        call.rooms[Ledger], call.tenant_id, limit=limit + 1, starting_after=starting_after
    )
    return page(found, limit, lambda one: LimitShown(**render_limit(one)))


@router.get("/{limit_id}", summary="Read a shared limit", response_model=LimitShown, responses=problems(404))
async def read_limit(call: Read, limit_id: LimitId) -> Any:
    """The limit, and what the accounts that share it hold together."""
    return render_limit(await service.limit(call.rooms[Ledger], call.tenant_id, limit_id))


@router.patch(
    "/{limit_id}", summary="Change a shared limit", response_model=LimitShown, responses=problems(404, 409)
)
async def change_limit(call: Write, limit_id: LimitId, body: LimitChange) -> Any:
    """Changes name or bounds. A sum beyond the new bounds may stay, and moves only towards them."""
    given = body.model_fields_set
    changed = await service.change_limit(
        call.rooms[Ledger],
        call.tenant_id,
        limit_id,
        name=body.name,
        min_balance_minor=body.min_balance if "min_balance" in given else UNSET,
        max_balance_minor=body.max_balance if "max_balance" in given else UNSET,
        by=call.provenance(body.reason),
    )
    return render_limit(changed)


@router.get("/{limit_id}/accounts", summary="List the accounts that share a limit", responses=problems(404))
async def list_members(
    call: Read, limit_id: LimitId, limit: Limit = DEFAULT_LIMIT, starting_after: AccountId | None = None
) -> Page[AccountResponse]:
    """Accounts, newest first."""
    await service.limit(call.rooms[Ledger], call.tenant_id, limit_id)
    found = await service.members(
        call.rooms[Ledger], call.tenant_id, limit_id, limit=limit + 1, starting_after=starting_after
    )
    return page(found, limit, lambda one: AccountResponse(**render.account(one)))


def render_limit(found: SharedLimit) -> dict[str, Any]:
    """A LimitShown."""
    return {
        "id": encode_id("lim", found.id),
        "name": found.name,
        "side": found.side,
        "currency": found.currency,
        "min_balance": found.min_balance_minor,
        "max_balance": found.max_balance_minor,
        "balance": found.balance_minor,
        "pending_debits": found.pending_debits_minor,
        "pending_credits": found.pending_credits_minor,
        "available": found.available_minor,
        "created_at": rfc3339(found.created_at),
    }

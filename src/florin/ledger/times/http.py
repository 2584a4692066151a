"""Balances of the past, what has restated them, and the closing of periods, over HTTP."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field, StringConstraints

from florin.kernel import clock
from florin.kernel.clock import rfc3339
from florin.kernel.dates import Instant
from florin.kernel.http.problem import problems
from florin.kernel.ids import AccountId, PeriodId, encode_id
from florin.kernel.money import CurrencyCode
from florin.kernel.paging import DEFAULT_LIMIT, Limit, Page, page
from florin.ledger import service as ledger_service
from florin.ledger.http import render
from florin.ledger.http.accounts import Read, Write
from florin.ledger.http.schemas import Name, Request, StatementEntry, TrialBalanceResponse
from florin.ledger.model import NORMAL_SIDE, Direction
from florin.ledger.service import Ledger
from florin.ledger.times import service
from florin.ledger.times.model import BalanceAt, PeriodClosing, StatementLine

router = APIRouter()

At = Annotated[Instant | None, Query(description="Counting what is effective by then. Default: now.")]
KnownAt = Annotated[
    Instant | None, Query(description="Counting what was recorded by then. Default: all of it.")
]


class BalanceAtResponse(BaseModel):
    """What an account held at a moment."""

    account: AccountId
    currency: CurrencyCode
    balance: int
    at: str | None
    known_at: str | None
    entry_seq: int = Field(description="The last entry recorded by the earlier of the two times; 0: none.")
    known_seq: int = Field(description="The last entry recorded by `known_at`; 0: none.")


class RestatementEntry(StatementEntry):
    """An entry that has changed a balance after it was known; balances in the order of recording."""

    description: str | None
    correlation_id: str | None


class RestatementResponse(BaseModel):
    """The balance of one moment, as it was known and as it is known now."""

    account: AccountId
    currency: CurrencyCode
    at: str
    known_at: str
    balance_then: int
    balance_now: int
    difference: int
    data: list[RestatementEntry] = Field(description="What made the difference, in the order of recording.")
    has_more: bool


class ClosePeriodRequest(Request):
    """A period to be closed, for good."""

    closed_before: Instant = Field(description="Nothing more counts at an earlier instant. Not after now.")
    name: Name = Field(description="What the closing is called.", examples=["2026-10"])
    reason: Annotated[str | None, StringConstraints(min_length=1, max_length=500, pattern=r"^[^\x00]*$")] = (
        Field(None, description="Why, for the audit log.")
    )


class PeriodResponse(BaseModel):
    """A closing of the books: from `closed_at` on nothing more counts before `closed_before`."""

    id: PeriodId
    name: str
    closed_before: str
    closed_at: str


@router.get(
    "/v1/accounts/{account_id}/balance-at",
    tags=["Accounts"],
    summary="Read a past balance",
    response_model=BalanceAtResponse,
    responses=problems(404),
)
async def read_balance_at(call: Read, account_id: AccountId, at: At = None, known_at: KnownAt = None) -> Any:
    """What the account held: as of `at`, as it was known at `known_at`. Holds are not part of it."""
    found = await service.balance_at(call.rooms[Ledger], call.tenant_id, account_id, at=at, known_at=known_at)
    return {
        "account": encode_id("acct", account_id),
        "currency": found.currency,
        "balance": found.balance_minor,
        "at": rfc3339(at) if at else None,
        "known_at": rfc3339(known_at) if known_at else None,
        "entry_seq": found.entry_seq,
        "known_seq": found.known_seq,
    }


@router.get(
    "/v1/accounts/{account_id}/restatements",
    tags=["Accounts"],
    summary="Read how a past balance was restated",
    response_model=RestatementResponse,
    responses=problems(404),
)
async def read_restatements(
    call: Read,
    account_id: AccountId,
    at: Annotated[
        Instant | None, Query(description="The moment whose balance is compared. Default: now.")
    ] = None,
    known_at: Annotated[
        Instant | None, Query(description="When it was known before. Default: at that very moment.")
    ] = None,
    limit: Limit = DEFAULT_LIMIT,
    starting_after: Annotated[int | None, Query(ge=1, le=2**63 - 1, description="An entry's seq.")] = None,
) -> Any:
    """The balance as of `at`, as known at `known_at` and as known now, and the entries between the two."""
    at = at or clock.now()
    known_at = known_at or at
    found = await service.restatement(
        call.rooms[Ledger],
        call.tenant_id,
        account_id,
        at=at,
        known_at=known_at,
        limit=limit,
        after_seq=starting_after or 0,
    )
    return {
        "account": encode_id("acct", account_id),
        "currency": found.now.currency,
        "at": rfc3339(at),
        "known_at": rfc3339(known_at),
        "balance_then": found.then.balance_minor,
        "balance_now": found.now.balance_minor,
        "difference": found.difference_minor,
        "data": [_entry(found.now, line) for line in found.lines],
        "has_more": found.has_more,
    }


@router.get(
    "/v1/trial-balance",
    tags=["Accounts"],
    summary="Read the trial balance",
    response_model=TrialBalanceResponse,
    responses=problems(),
)
async def read_trial_balance(call: Read, at: At = None, known_at: KnownAt = None) -> Any:
    """Per currency, the balances on either side by type of account, now or then. The difference is 0."""
    ledger = call.rooms[Ledger]
    if at is None and known_at is None:
        return render.trial_balance(await ledger_service.trial_balance(ledger, call.tenant_id))
    return render.trial_balance(
        await service.trial_balance_at(ledger, call.tenant_id, at=at, known_at=known_at)
    )


@router.post(
    "/v1/periods/close",
    status_code=201,
    tags=["Periods"],
    summary="Close a period",
    response_model=PeriodResponse,
    responses=problems(409),
)
async def close_period(call: Write, body: ClosePeriodRequest) -> Any:
    """Closes the books before an instant: from now on what would count earlier is refused (`period_closed`).

    It cannot be undone. What is wrong in a closed period is corrected in the open one.
    """
    closing = await service.close_period(
        call.rooms[Ledger],
        call.tenant_id,
        closed_before=body.closed_before,
        name=body.name,
        by=call.provenance(body.reason),
    )
    return _period(closing)


@router.get("/v1/periods", tags=["Periods"], summary="List closed periods", responses=problems())
async def list_periods(
    call: Read, limit: Limit = DEFAULT_LIMIT, starting_after: PeriodId | None = None
) -> Page[PeriodResponse]:
    """The closings of the books, newest first."""
    found = await service.closings(
        call.rooms[Ledger], call.tenant_id, limit=limit + 1, starting_after=starting_after
    )
    return page(found, limit, lambda one: PeriodResponse(**_period(one)))


def _period(closing: PeriodClosing) -> dict[str, Any]:
    return {
        "id": encode_id("per", closing.id),
        "name": closing.name,
        "closed_before": rfc3339(closing.closed_before),
        "closed_at": rfc3339(closing.closed_at),
    }


def _entry(account: BalanceAt, line: StatementLine) -> dict[str, Any]:
    sign = 1 if NORMAL_SIDE[account.type] is Direction.DEBIT else -1
    return {
        "seq": line.seq,
        "transfer": encode_id("tr", line.transfer_id),
        "direction": "debit" if line.amount_minor > 0 else "credit",
        "amount": abs(line.amount_minor),
        "balance_before": line.balance_after_minor - sign * line.amount_minor,
        "balance_after": line.balance_after_minor,
        "recorded_at": rfc3339(line.recorded_at),
        "effective_at": rfc3339(line.effective_at),
        "description": line.description,
        "correlation_id": line.correlation_id,
    }

"""Accounts, their balances and statements, and the trial balance."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from florin.audit import service as audit
from florin.audit.http import AuditEntryShown
from florin.audit.http import render as render_entry
from florin.kernel.dates import Instant
from florin.kernel.errors import InvalidRequest
from florin.kernel.http.call import Call, requires
from florin.kernel.http.lean import LeanRoute
from florin.kernel.http.problem import problems
from florin.kernel.ids import AccountId, AuditId
from florin.kernel.paging import DEFAULT_LIMIT, Limit, Page, page
from florin.ledger import service
from florin.ledger.errors import BoundGivenTwice
from florin.ledger.http import render
from florin.ledger.http.schemas import (
    AccountChange,
    AccountCode,
    AccountResponse,
    BalanceResponse,
    NewAccountRequest,
    NodeCode,
    Noted,
    StatementEntry,
)
from florin.ledger.model import AccountStatus, AccountType, NewAccount
from florin.ledger.service import Ledger
from florin.ledger.store import UNSET

router = APIRouter(tags=["Accounts"])
lean = APIRouter(tags=["Accounts"], route_class=LeanRoute)

# The books are the tenant's: they show what it owes to every partner.
Read = Annotated[Call, Depends(requires("ledger:read", tenants_only=True))]
Audit = Annotated[Call, Depends(requires("audit:read", tenants_only=True, privileged=True))]
ReadAll = Annotated[Call, Depends(requires("ledger:read", tenants_only=True, privileged=True))]
"""What shows the whole books at once: the audit log notes who saw them."""

Write = Annotated[Call, Depends(requires("ledger:write", tenants_only=True))]


@router.post(
    "/v1/accounts",
    status_code=201,
    summary="Open an account",
    response_model=AccountResponse,
    responses=problems(409),
)
async def open_account(call: Write, body: NewAccountRequest) -> Any:
    """Opens an account with a balance of zero. Its code is unique within the tenant, and puts it into the
    classes of the chart: their types, currencies and bounds are binding.
    """
    opened = await service.open_account(
        call.rooms[Ledger],
        call.tenant_id,
        NewAccount(
            code=body.code,
            name=body.name,
            type=body.type,
            currency=body.currency,
            min_balance_minor=_lowest(body),
            max_balance_minor=body.max_balance,
            metadata=body.metadata,
            clears_within=body.clears_within,
            match_by=body.match_by,
        ),
        by=call.provenance(body.reason),
    )
    return render.account(opened)


@router.get("/v1/accounts", summary="List accounts", responses=problems())
async def list_accounts(
    call: Read,
    type_: Annotated[AccountType | None, Query(alias="type")] = None,
    currency: Annotated[str | None, Query(pattern="^[A-Z]{3}$")] = None,
    status: AccountStatus | None = None,
    code_prefix: Annotated[AccountCode | None, Query(description="Only codes that begin like this.")] = None,
    under: Annotated[NodeCode | None, Query(description="Only those at or below this code.")] = None,
    metadata: Annotated[
        list[Noted] | None,
        Query(
            max_length=10,
            description="Only those with this noted on them, as `key:value`. Several: all of them; the "
            "rarest first is fastest.",
            examples=[["customer:1024"]],
        ),
    ] = None,
    limit: Limit = DEFAULT_LIMIT,
    starting_after: AccountId | None = None,
) -> Page[AccountResponse]:
    """Accounts, newest first."""
    found = await service.accounts(
        call.rooms[Ledger],
        call.tenant_id,
        limit=limit + 1,
        starting_after=starting_after,
        type=type_,
        currency=currency,
        status=status,
        code_prefix=code_prefix,
        under=under,
        metadata=_noted(metadata or []),
    )
    return page(found, limit, lambda one: AccountResponse(**render.account(one)))


@router.get(
    "/v1/accounts/{account_id}",
    summary="Read an account",
    response_model=AccountResponse,
    responses=problems(404),
)
async def read_account(call: Read, account_id: AccountId) -> Any:
    """The account with its balance."""
    return render.account(await service.account(call.rooms[Ledger], call.tenant_id, account_id))


@router.patch(
    "/v1/accounts/{account_id}",
    summary="Change an account",
    response_model=AccountResponse,
    responses=problems(404, 409),
)
async def change_account(call: Write, account_id: AccountId, body: AccountChange) -> Any:
    """Changes name, metadata, bounds, limit, clearing or status. Only an empty account can be closed, and
    then for good.
    """
    given = body.model_fields_set
    changed = await service.change_account(
        call.rooms[Ledger],
        call.tenant_id,
        account_id,
        name=body.name,
        metadata=body.metadata,
        status=body.status,
        min_balance_minor=_lowest(body) if given & {"min_balance", "credit_limit"} else UNSET,
        max_balance_minor=body.max_balance if "max_balance" in given else UNSET,
        limit_id=body.limit if "limit" in given else UNSET,
        clears_within=body.clears_within if "clears_within" in given else UNSET,
        match_by=body.match_by,
        by=call.provenance(body.reason),
    )
    return render.account(changed)


def _lowest(body: NewAccountRequest | AccountChange) -> int | None:
    if {"min_balance", "credit_limit"} <= body.model_fields_set:
        raise BoundGivenTwice(param="credit_limit")
    return body.min_balance if body.credit_limit is None else -body.credit_limit


def _noted(pairs: list[str]) -> dict[str, str]:
    noted: dict[str, str] = {}
    for key, _, value in (pair.partition(":") for pair in pairs):
        if noted.setdefault(key, value) != value:
            raise InvalidRequest(f"no account has two values of {key}", param="metadata")
    return noted


@lean.get(
    "/v1/accounts/{account_id}/balance",
    summary="Read a balance",
    response_model=BalanceResponse,
    responses=problems(404),
)
async def read_balance(call: Read, account_id: AccountId) -> dict[str, Any]:
    """What the account holds now, and what of it is available."""
    return render.balance(await service.balance(call.rooms[Ledger], call.tenant_id, account_id))


@router.get("/v1/accounts/{account_id}/entries", summary="List an account's entries", responses=problems(404))
async def list_entries(
    call: Read,
    account_id: AccountId,
    since: Annotated[Instant | None, Query(alias="from", description="Recorded at or after this.")] = None,
    until: Annotated[Instant | None, Query(alias="to", description="Recorded before this.")] = None,
    limit: Limit = DEFAULT_LIMIT,
    starting_after: Annotated[int | None, Query(ge=1, le=2**63 - 1, description="An entry's seq.")] = None,
) -> Page[StatementEntry]:
    """The account's statement, newest first; seq has no gaps."""
    found = await service.entries(
        call.rooms[Ledger],
        call.tenant_id,
        account_id,
        limit=limit + 1,
        before_seq=starting_after,
        since=since,
        until=until,
    )
    return page(found, limit, lambda one: StatementEntry(**render.entry(one)))


@router.get(
    "/v1/accounts/{account_id}/changes",
    summary="List changes of an account's settings",
    responses=problems(404),
)
async def list_changes(
    call: Audit, account_id: AccountId, limit: Limit = DEFAULT_LIMIT, starting_after: AuditId | None = None
) -> Page[AuditEntryShown]:
    """Who changed name, bounds, status and the like, when, from where and why, newest first."""
    ledger = call.rooms[Ledger]
    await service.account(ledger, call.tenant_id, account_id)
    found = await audit.entries(
        ledger.database,
        call.tenant_id,
        limit=limit + 1,
        entity_type="account",
        entity_id=str(account_id),
        starting_after=starting_after,
    )
    return page(found, limit, render_entry)

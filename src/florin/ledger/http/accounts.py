"""Accounts, their balances and statements, and the trial balance."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from florin.kernel.dates import Instant
from florin.kernel.http.call import Call, requires
from florin.kernel.http.lean import LeanRoute
from florin.kernel.http.problem import problems
from florin.kernel.ids import AccountId
from florin.kernel.paging import DEFAULT_LIMIT, Limit, Page, page
from florin.ledger import service
from florin.ledger.http import render
from florin.ledger.http.schemas import (
    AccountChange,
    AccountCode,
    AccountResponse,
    BalanceResponse,
    NewAccountRequest,
    StatementEntry,
)
from florin.ledger.model import AccountStatus, AccountType, NewAccount
from florin.ledger.service import Ledger
from florin.ledger.store import UNSET

router = APIRouter(tags=["Accounts"])
lean = APIRouter(tags=["Accounts"], route_class=LeanRoute)

# The books are the tenant's: they show what it owes to every partner.
Read = Annotated[Call, Depends(requires("ledger:read", tenants_only=True))]
Write = Annotated[Call, Depends(requires("ledger:write", tenants_only=True))]


@router.post(
    "/v1/accounts",
    status_code=201,
    summary="Open an account",
    response_model=AccountResponse,
    responses=problems(409),
)
async def open_account(call: Write, body: NewAccountRequest) -> Any:
    """Opens an account with a balance of zero. Its code is unique within the tenant."""
    opened = await service.open_account(
        call.rooms[Ledger],
        call.tenant_id,
        NewAccount(
            code=body.code,
            name=body.name,
            type=body.type,
            currency=body.currency,
            min_balance_minor=body.min_balance,
            max_balance_minor=body.max_balance,
            metadata=body.metadata,
        ),
    )
    return render.account(opened)


@router.get("/v1/accounts", summary="List accounts", responses=problems())
async def list_accounts(
    call: Read,
    type_: Annotated[AccountType | None, Query(alias="type")] = None,
    currency: Annotated[str | None, Query(pattern="^[A-Z]{3}$")] = None,
    status: AccountStatus | None = None,
    code_prefix: Annotated[AccountCode | None, Query(description="Only codes that begin like this.")] = None,
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
    """Changes name, metadata, bounds or status. Only an empty account can be closed, and then for good."""
    given = body.model_fields_set
    changed = await service.change_account(
        call.rooms[Ledger],
        call.tenant_id,
        account_id,
        name=body.name,
        metadata=body.metadata,
        status=body.status,
        min_balance_minor=body.min_balance if "min_balance" in given else UNSET,
        max_balance_minor=body.max_balance if "max_balance" in given else UNSET,
    )
    return render.account(changed)


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

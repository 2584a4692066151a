"""The only caller of `queries.sql`: rows in, model out. The caller's transaction is its tenant's."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import aiosql
from psycopg.types.json import Jsonb

from florin.kernel.coalescer import ArrayFunction, array
from florin.kernel.db import Connection
from florin.ledger.errors import TransferNotFound
from florin.ledger.model import (
    NOWHERE,
    Account,
    AccountStatus,
    AccountType,
    Balance,
    Entry,
    Hold,
    HoldLeg,
    HoldStatus,
    MatchBy,
    NewAccount,
    Origin,
    SystemAccount,
    Transfer,
    TransferEntry,
    TransferKind,
    TrialBalanceLine,
)

_queries: Any = aiosql.from_path(Path(__file__).with_name("queries.sql"), "apsycopg")

UNSET: Any = object()
"""Stands for a value that is left as it is; None removes it."""

_ACCOUNT_FILTERS: Final = (
    "starting_after",
    "type",
    "currency",
    "status",
    "code_prefix",
    "under",
    "limit_id",
)


async def insert_account(
    connection: Connection, tenant_id: int, account_id: UUID, new: NewAccount, created_at: datetime
) -> bool:
    """Opens an account; False where money has no such currency. Raises UniqueViolation, CheckViolation."""
    inserted: int = await _queries.insert_account(
        connection,
        tenant_id=tenant_id,
        id=account_id,
        code=new.code,
        type=new.type,
        currency=new.currency,
        min_balance=new.min_balance_minor,
        max_balance=new.max_balance_minor,
        name=new.name,
        metadata=Jsonb(new.metadata or {}),
        clears_within=new.clears_within,
        match_by=new.match_by,
        created_at=created_at,
    )
    return inserted == 1


async def account(connection: Connection, tenant_id: int, account_id: UUID) -> Account | None:
    """The account, if there is one."""
    found = await _accounts(connection, tenant_id, [account_id])
    return found[0] if found else None


async def account_exists(connection: Connection, tenant_id: int, account_id: UUID) -> bool:
    """Whether the tenant has this account."""
    return bool(await _queries.account_exists(connection, tenant_id=tenant_id, id=account_id))


async def accounts(
    connection: Connection,
    tenant_id: int,
    *,
    limit: int,
    metadata: Mapping[str, str] | None = None,
    **filters: Any,
) -> list[Account]:
    """Accounts, newest first, with all of `metadata` noted on them.

    Filters: `starting_after`, `type`, `currency`, `status`, `code_prefix`, `under`, `limit_id`.
    """
    asked = dict.fromkeys(_ACCOUNT_FILTERS) | filters
    if metadata:
        key, value = next(iter(metadata.items()))
        rows = _queries.account_ids_by_metadata(
            connection,
            tenant_id=tenant_id,
            limit=limit,
            key=key,
            value=value,
            noted=Jsonb(metadata),
            **asked,
        )
    else:
        rows = _queries.account_ids(connection, tenant_id=tenant_id, limit=limit, **asked)
    return await _accounts(connection, tenant_id, [row[0] async for row in rows])


async def _accounts(connection: Connection, tenant_id: int, ids: list[UUID]) -> list[Account]:
    return [_account(row) async for row in _queries.accounts(connection, tenant_id=tenant_id, ids=ids)]


async def hold_chart(connection: Connection, tenant_id: int, *, alone: bool) -> None:
    """Keeps the chart as it is until the transaction ends. Before any account is locked."""
    await _queries.hold_chart(connection, tenant_id=tenant_id, alone=alone)


async def lock_account(connection: Connection, tenant_id: int, account_id: UUID) -> AccountStatus | None:
    """The status of the account, locked against postings; None: there is no such account."""
    row = await _queries.lock_account(connection, tenant_id=tenant_id, id=account_id)
    return None if row is None else AccountStatus(row[0])


async def update_account_status(
    connection: Connection, tenant_id: int, account_id: UUID, status: AccountStatus
) -> None:
    """Freezes, unfreezes or closes. Raises CheckViolation for one that cannot be closed."""
    await _queries.update_account_status(connection, tenant_id=tenant_id, id=account_id, status=status)


async def update_account_details(
    connection: Connection,
    tenant_id: int,
    account_id: UUID,
    *,
    name: str | None,
    metadata: dict[str, str] | None,
    min_balance_minor: Any,
    max_balance_minor: Any,
    clears_within: Any,
    match_by: MatchBy | None,
) -> None:
    """Changes what is given. Raises CheckViolation where its own bounds cross."""
    flagged = {
        "min_balance": min_balance_minor,
        "max_balance": max_balance_minor,
        "clears_within": clears_within,
    }
    await _queries.update_account_details(
        connection,
        tenant_id=tenant_id,
        id=account_id,
        name=name,
        metadata=None if metadata is None else Jsonb(metadata),
        match_by=match_by,
        **{f"set_{field}": value is not UNSET for field, value in flagged.items()},
        **{field: None if value is UNSET else value for field, value in flagged.items()},
    )


async def bind_bounds(
    connection: Connection, tenant_id: int, *, code: str | None = None, account_id: UUID | None = None
) -> tuple[str, str | None] | None:
    """Gives an account, or those at or below a code, the tighter of their own bounds and their classes'.

    Locks them in order of their ids. Returns the code of an account whose bounds would cross, and the class
    that has to do with it, after changing nothing; None: done.
    """
    account_code, class_code, _ = await _queries.bind_bounds(
        connection, tenant_id=tenant_id, code=code, account_id=account_id
    )
    return None if account_code is None else (account_code, class_code)


async def share_limit(
    connection: Connection, tenant_id: int, account_ids: list[UUID], limit_id: UUID | None
) -> tuple[str, UUID | None] | None:
    """Lets accounts share a limit, or with None none. Returns the code of a refusal and its account."""
    refusal, account_id = await _queries.share_limit(
        connection, tenant_id=tenant_id, ids=account_ids, limit_id=limit_id
    )
    return None if refusal is None else (refusal, account_id)


async def ensure_accounts(
    connection: Connection, tenant_id: int, ids: list[UUID], wanted: Sequence[SystemAccount]
) -> list[UUID]:
    """The ids of these accounts, in order; `ids` are for those that do not exist yet."""
    found: list[UUID] = await _queries.ensure_accounts(
        connection,
        tenant_id=tenant_id,
        ids=ids,
        codes=[one.code for one in wanted],
        names=[one.name for one in wanted],
        types=[one.type.value for one in wanted],
        currencies=[one.currency for one in wanted],
    )
    return found


async def entries(connection: Connection, tenant_id: int, account_id: UUID, **filters: Any) -> list[Entry]:
    """Entries of an account, newest first: `limit`, `before_seq`, `since`, `until`."""
    rows = _queries.entries(connection, tenant_id=tenant_id, account_id=account_id, **filters)
    return [Entry(*row) async for row in rows]


async def transfers(connection: Connection, tenant_id: int, ids: Sequence[UUID]) -> list[Transfer]:
    """These transfers, in this order; those that do not exist are left out."""
    rows = _queries.transfers(connection, tenant_id=tenant_id, ids=list(ids))
    found = {row[0]: _transfer(row) async for row in rows}
    return [found[one] for one in ids if one in found]


def _found(ids: Sequence[UUID], rows: Sequence[Sequence[Any]]) -> list[Transfer | Exception]:
    found = {row[0]: _transfer(row) for row in rows}
    return [found.get(one) or TransferNotFound() for one in ids]


FIND: ArrayFunction[UUID, Transfer] = ArrayFunction(
    _queries.transfers.sql.replace("%(tenant_id)s", "$1").replace("%(ids)s", "$2"),
    lambda ids: (array(ids),),
    _found,
)
"""Reads transfers: callers of one moment share one query, as those do who repeat their requests."""


async def transfer_page(
    connection: Connection, tenant_id: int, *, account_id: UUID | None, **filters: Any
) -> list[Transfer]:
    """Transfers, newest first: `limit`, `starting_after`, `kind`, `correlation_id`, `since`, `until`.

    With `account_id`: those that moved money on it, in the order of its entries.
    """
    if account_id is None:
        rows = _queries.transfer_ids(connection, tenant_id=tenant_id, **filters)
    else:
        rows = _queries.transfer_ids_of_account(
            connection, tenant_id=tenant_id, account_id=account_id, **filters
        )
    return await transfers(connection, tenant_id, [row[0] async for row in rows])


async def holds(
    connection: Connection,
    tenant_id: int,
    *,
    limit: int,
    hold_id: UUID | None = None,
    starting_after: UUID | None = None,
    status: HoldStatus | None = None,
    account_id: UUID | None = None,
) -> list[Hold]:
    """Holds, newest first."""
    rows = _queries.holds(
        connection,
        tenant_id=tenant_id,
        id=hold_id,
        starting_after=starting_after,
        status=status,
        account_id=account_id,
        limit=limit,
    )
    return [_hold(row) async for row in rows]


async def due_holds(connection: Connection, tenant_id: int, limit: int) -> list[UUID]:
    """Holds whose time has passed and that still reserve."""
    return [row[0] async for row in _queries.due_holds(connection, tenant_id=tenant_id, limit=limit)]


async def trial_balance(connection: Connection, tenant_id: int) -> list[TrialBalanceLine]:
    """Sums of balances by currency, type and side."""
    return [
        TrialBalanceLine(currency, AccountType(type_), int(debits), int(credits_))
        async for currency, type_, debits, credits_ in _queries.trial_balance(connection, tenant_id=tenant_id)
    ]


async def exponents(connection: Connection) -> dict[str, int]:
    """Decimal places of the minor unit, by currency."""
    return {code: exponent async for code, exponent in _queries.exponents(connection)}


async def accounts_by_code(
    connection: Connection, tenant_id: int, codes: Sequence[str]
) -> dict[str, tuple[UUID, AccountType, str]]:
    """Ids, types and currencies of the accounts that have these codes."""
    rows = _queries.accounts_by_code(connection, tenant_id=tenant_id, codes=list(codes))
    return {
        code: (account_id, AccountType(type_), currency) async for code, account_id, type_, currency in rows
    }


def _account(row: Sequence[Any]) -> Account:
    (account_id, code, name, type_, currency, status, own_lowest, own_highest, lowest, highest, *rest) = row
    (limit_id, clears_within, match_by, clearing_class, *balance, metadata, created_at) = rest
    return Account(
        id=account_id,
        code=code,
        name=name,
        type=AccountType(type_),
        currency=currency,
        status=AccountStatus(status),
        min_balance_minor=own_lowest,
        max_balance_minor=own_highest,
        effective_min_minor=lowest,
        effective_max_minor=highest,
        limit_id=limit_id,
        clears_within=clears_within,
        match_by=MatchBy(match_by),
        clearing_class=clearing_class,
        balance=Balance(account_id, AccountType(type_), currency, *balance),
        metadata=metadata,
        created_at=created_at,
    )


def _transfer(row: Sequence[Any]) -> Transfer:
    (transfer_id, kind, recorded_at, effective_at, related_id, description, metadata, *rest) = row
    (correlation_id, causation_id, template, exchange, reversal_ids, *legs) = rest
    origin = Origin(correlation_id, causation_id, template, exchange)
    return Transfer(
        id=transfer_id,
        kind=TransferKind(kind),
        recorded_at=recorded_at,
        effective_at=effective_at,
        related_id=related_id,
        description=description,
        metadata=metadata,
        reversal_ids=tuple(reversal_ids or ()),
        origin=NOWHERE if origin == NOWHERE else origin,
        entries=tuple(TransferEntry(*leg) for leg in zip(*legs, strict=True)),
    )


def _hold(row: Sequence[Any]) -> Hold:
    (hold_id, status, expires_at, description, metadata, created_at, updated_at, *legs) = row
    return Hold(
        id=hold_id,
        status=HoldStatus(status),
        legs=tuple(HoldLeg(*leg) for leg in zip(*legs, strict=True)),
        expires_at=expires_at,
        description=description,
        metadata=metadata,
        created_at=created_at,
        updated_at=updated_at,
    )

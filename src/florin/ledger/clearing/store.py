"""The only caller of `queries.sql`: rows in, model out. The caller's transaction is its tenant's."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import aiosql

from florin.kernel.db import Connection
from florin.ledger.clearing.model import Aging, ClearingAccount, Item, MatchBy, TrailEvent, TrailTransfer
from florin.ledger.model import TransferKind

_queries: Any = aiosql.from_path(Path(__file__).with_name("queries.sql"), "apsycopg")


async def rule(connection: Connection, tenant_id: int, account_id: UUID) -> tuple[timedelta, MatchBy] | None:
    """Within which time the account clears, and how; None: it is no clearing account."""
    row = await _queries.rule(connection, tenant_id=tenant_id, account_id=account_id)
    return None if row is None else (row[0], MatchBy(row[1]))


async def account_ids(connection: Connection, tenant_id: int) -> list[UUID]:
    """All clearing accounts."""
    return [row[0] async for row in _queries.account_ids(connection, tenant_id=tenant_id)]


async def accounts(
    connection: Connection,
    tenant_id: int,
    *,
    limit: int,
    at: datetime | None = None,
    account_id: UUID | None = None,
    starting_after: UUID | None = None,
) -> list[ClearingAccount]:
    """Clearing accounts as they stood at an instant, newest first."""
    rows = _queries.accounts(
        connection,
        tenant_id=tenant_id,
        account_id=account_id,
        at=at,
        starting_after=starting_after,
        limit=limit,
    )
    return [_account(row) async for row in rows]


def _account(row: Sequence[Any]) -> ClearingAccount:
    (account_id, code, name, currency, clears_within, match_by, balance, *counted) = row
    (open_items, open_minor, overdue_items, overdue_minor, oldest, oldest_age, *aging) = counted
    return ClearingAccount(
        account_id=account_id,
        code=code,
        name=name,
        currency=currency,
        clears_within=clears_within,
        match_by=MatchBy(match_by),
        balance_minor=balance,
        open_items=open_items,
        open_minor=open_minor,
        overdue_items=overdue_items,
        overdue_minor=overdue_minor,
        oldest=oldest,
        oldest_age=oldest_age,
        aging=Aging(*aging),
    )


async def items(
    connection: Connection,
    tenant_id: int,
    account_id: UUID,
    *,
    match_by: MatchBy,
    clears_within: timedelta,
    limit: int,
    at: datetime | None = None,
    overdue: bool | None = None,
    starting_after: UUID | None = None,
) -> list[Item]:
    """What had not cleared on the account at an instant, oldest first."""
    rows = _queries.items(
        connection,
        tenant_id=tenant_id,
        account_id=account_id,
        match_by=match_by,
        clears_within=clears_within,
        at=at,
        overdue=overdue,
        starting_after=starting_after,
        limit=limit,
    )
    return [Item(*row) async for row in rows]


async def item_of(
    connection: Connection,
    tenant_id: int,
    account_id: UUID,
    transfer_id: UUID,
    correlation_id: str | None,
    *,
    match_by: MatchBy,
    clears_within: timedelta,
) -> Item | None:
    """What is open now of that to which the transfer belongs; None: it has cleared."""
    row = await _queries.item_of(
        connection,
        tenant_id=tenant_id,
        account_id=account_id,
        match_by=match_by,
        clears_within=clears_within,
        transfer_id=transfer_id,
        correlation_id=correlation_id,
    )
    return None if row is None else Item(*row)


async def touches(
    connection: Connection, tenant_id: int, account_id: UUID, transfer_id: UUID
) -> tuple[str | None] | None:
    """The transfer's correlation id; None: it has nothing to do with the account."""
    found: tuple[str | None] | None = await _queries.touches(
        connection, tenant_id=tenant_id, account_id=account_id, transfer_id=transfer_id
    )
    return found


async def trail_transfers(
    connection: Connection,
    tenant_id: int,
    account_id: UUID,
    transfer_id: UUID,
    correlation_id: str | None,
    limit: int,
) -> list[TrailTransfer]:
    """The transfer and what hangs together with it, oldest first."""
    rows = _queries.trail_transfers(
        connection,
        tenant_id=tenant_id,
        account_id=account_id,
        transfer_id=transfer_id,
        correlation_id=correlation_id,
        limit=limit,
    )
    return [TrailTransfer(one, TransferKind(kind), *rest) async for one, kind, *rest in rows]


async def trail_events(
    connection: Connection, tenant_id: int, object_ids: list[UUID], event_ids: list[UUID], limit: int
) -> list[TrailEvent]:
    """The events about these objects, and these events themselves, oldest first."""
    rows = _queries.trail_events(
        connection, tenant_id=tenant_id, object_ids=object_ids, event_ids=event_ids, limit=limit
    )
    return [TrailEvent(*row) async for row in rows]


async def tell_overdue(connection: Connection, tenant_id: int, account_id: UUID) -> int:
    """Writes an event for each of the account's items that is overdue and was not told yet; how many."""
    told: int = await _queries.tell_overdue(connection, tenant_id=tenant_id, account_ids=[account_id])
    return told

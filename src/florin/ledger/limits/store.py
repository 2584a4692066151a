"""The only caller of `queries.sql`: rows in, model out. The caller's transaction is its tenant's."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import aiosql

from florin.kernel.db import Connection
from florin.ledger.limits.model import LimitMismatch, NewLimit, SharedLimit
from florin.ledger.model import Direction
from florin.ledger.store import UNSET

_queries: Any = aiosql.from_path(Path(__file__).with_name("queries.sql"), "apsycopg")


async def insert_limit(
    connection: Connection, tenant_id: int, limit_id: UUID, new: NewLimit, created_at: datetime
) -> bool:
    """Makes a limit; False where money has no such currency. Raises UniqueViolation, CheckViolation."""
    inserted: int = await _queries.insert_limit(
        connection,
        tenant_id=tenant_id,
        id=limit_id,
        name=new.name,
        side=new.side,
        currency=new.currency,
        min_balance=new.min_balance_minor,
        max_balance=new.max_balance_minor,
        created_at=created_at,
    )
    return inserted == 1


async def limits(
    connection: Connection,
    tenant_id: int,
    *,
    limit: int,
    limit_id: UUID | None = None,
    starting_after: UUID | None = None,
) -> list[SharedLimit]:
    """Limits, newest first; with an id, that one."""
    rows = _queries.limits(
        connection, tenant_id=tenant_id, id=limit_id, starting_after=starting_after, limit=limit
    )
    return [_limit(row) async for row in rows]


async def lock_limit(connection: Connection, tenant_id: int, limit_id: UUID) -> bool:
    """Locks the limit against postings to its members; False: there is none."""
    return await _queries.lock_limit(connection, tenant_id=tenant_id, id=limit_id) is not None


async def update_limit(
    connection: Connection,
    tenant_id: int,
    limit_id: UUID,
    *,
    name: str | None,
    min_balance_minor: Any,
    max_balance_minor: Any,
) -> None:
    """Changes what is given. Raises UniqueViolation, CheckViolation."""
    await _queries.update_limit(
        connection,
        tenant_id=tenant_id,
        id=limit_id,
        name=name,
        set_min_balance=min_balance_minor is not UNSET,
        min_balance=None if min_balance_minor is UNSET else min_balance_minor,
        set_max_balance=max_balance_minor is not UNSET,
        max_balance=None if max_balance_minor is UNSET else max_balance_minor,
    )


async def limit_sums(connection: Connection, tenant_id: int) -> list[LimitMismatch]:
    """Limits whose running sums are not those of their members."""
    return [
        LimitMismatch(limit_id, balance, debits, credits_, *map(int, members))
        async for limit_id, balance, debits, credits_, *members in _queries.limit_sums(
            connection, tenant_id=tenant_id
        )
    ]


def _limit(row: Sequence[Any]) -> SharedLimit:
    (limit_id, name, side, *rest) = row
    return SharedLimit(limit_id, name, Direction(side), *rest)

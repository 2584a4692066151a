"""The only caller of `queries.sql`: rows in, model out. The caller's transaction is its tenant's."""

from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import aiosql

from florin.kernel.db import Connection
from florin.ledger.monitors.model import Comparison, Metric, Monitor, NewMonitor

_queries: Any = aiosql.from_path(Path(__file__).with_name("queries.sql"), "apsycopg")


async def monitors(
    connection: Connection,
    tenant_id: int,
    *,
    limit: int,
    monitor_id: UUID | None = None,
    account_id: UUID | None = None,
    active: bool | None = None,
    starting_after: UUID | None = None,
) -> list[Monitor]:
    """Monitors, newest first."""
    rows = _queries.monitors(
        connection,
        tenant_id=tenant_id,
        id=monitor_id,
        account_id=account_id,
        active=active,
        starting_after=starting_after,
        limit=limit,
    )
    return [
        Monitor(one, account, name, Metric(metric), Comparison(comparison), *rest)
        async for one, account, name, metric, comparison, *rest in rows
    ]


async def account_of(connection: Connection, tenant_id: int, monitor_id: UUID) -> UUID | None:
    """The account that the monitor looks at; None: there is no such monitor."""
    found: UUID | None = await _queries.account_of(connection, tenant_id=tenant_id, id=monitor_id)
    return found


async def insert_monitor(
    connection: Connection, tenant_id: int, monitor_id: UUID, new: NewMonitor, created_at: datetime
) -> None:
    """Makes a monitor. The caller has locked its account."""
    await _queries.insert_monitor(
        connection,
        tenant_id=tenant_id,
        id=monitor_id,
        account_id=new.account_id,
        name=new.name,
        metric=new.metric,
        comparison=new.comparison,
        threshold=new.threshold_minor,
        created_at=created_at,
    )


async def update_monitor(
    connection: Connection,
    tenant_id: int,
    monitor_id: UUID,
    *,
    name: str | None,
    threshold_minor: int | None,
    active: bool | None,
) -> None:
    """Changes what is given. The caller has locked the account."""
    await _queries.update_monitor(
        connection, tenant_id=tenant_id, id=monitor_id, name=name, threshold=threshold_minor, active=active
    )


async def mark_account(connection: Connection, tenant_id: int, account_id: UUID) -> None:
    """Notes on the account whether any active monitor looks at it. The caller has locked it."""
    await _queries.mark_account(connection, tenant_id=tenant_id, account_id=account_id)


async def active_count(connection: Connection, tenant_id: int, account_id: UUID) -> int:
    """How many active monitors look at the account."""
    found: int = await _queries.active_count(connection, tenant_id=tenant_id, account_id=account_id)
    return found

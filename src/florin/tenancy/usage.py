"""What tenants use: API calls counted as they come, the rest measured from the tables.

A call is a number in this process's memory until the next flush, so a process that is killed forgets
a few seconds' worth; and if the answer to a flush's commit is lost, that flush is counted twice.
Usage is for people to look at. What is owed is in the ledger.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

import structlog

from florin.kernel.clock import now
from florin.kernel.db import CONNECTION_LOST, Database, set_tenant
from florin.kernel.errors import Unavailable
from florin.tenancy import store
from florin.tenancy.model import Metric, Usage
from florin.tenancy.service import Tenancy

log = structlog.get_logger(__name__)

COUNTED: Final[Sequence[tuple[Metric, str, str]]] = (
    (Metric.PAYMENTS, "payments", "payments"),
    (Metric.TRANSACTIONS, "ledger", "transfers"),
)
"""Metrics that are rows made on a day, with the table whose rows they are."""


class UsageMeter:
    """Counts in memory, and adds to the tables every few seconds in one transaction."""

    def __init__(self, database: Database, *, every_s: float = 5) -> None:
        self._database = database
        self._every_s = every_s
        self._calls: Counter[int] = Counter()

    def count_call(self, tenant_id: int) -> None:
        """One API call."""
        self._calls[tenant_id] += 1

    async def flush(self) -> None:
        """Adds what was counted to today's rows. On failure it is kept for the next time.

        Raises:
            Unavailable: the database is away.
        """
        calls, self._calls = self._calls, Counter()
        if not calls:
            return
        today = now().date()
        try:
            async with self._database.platform() as connection:
                for tenant_id in sorted(calls):  # one lock order for all processes
                    await connection.execute(set_tenant(tenant_id))
                    await store.add_usage(
                        connection, tenant_id, {(today, Metric.API_CALLS): calls[tenant_id]}
                    )
        except BaseException:
            self._calls.update(calls)
            raise

    async def run(self) -> None:
        """Flushes until cancelled, and once more then."""
        try:
            while True:
                await asyncio.sleep(self._every_s)
                try:
                    await self.flush()
                except (*CONNECTION_LOST, Unavailable):
                    log.warning("usage_flush_put_off")
        finally:
            await self.flush()


async def measure(tenancy: Tenancy, day: date) -> None:
    """Measures what every tenant made on `day` (UTC), and what it stores now; overwrites the day's values.

    Storage is an estimate from the planner's statistics: of each table, the share of its rows that are
    the tenant's. It reads none of them.
    """
    start = datetime.combine(day, time(), UTC)
    async with tenancy.database.platform() as connection:
        registered = await store.registry(connection)
        tables = await store.tenant_tables(connection)
    present = {(schema, table) for schema, table, _, _ in tables}
    for tenant_id, _, _ in registered:
        async with tenancy.database.tenant(tenant_id) as connection:
            for metric, schema, table in COUNTED:
                if (schema, table) not in present:
                    continue
                made = await store.count_made_on(
                    connection, tenant_id, schema, table, start, start + timedelta(days=1)
                )
                await store.set_usage(connection, tenant_id, Usage(day, metric, made))
            stored = 0
            for schema, table, size_bytes, rows in tables:
                if rows:
                    own = await store.estimated_rows(connection, tenant_id, schema, table)
                    stored += size_bytes * min(own, rows) // rows
            await store.set_usage(connection, tenant_id, Usage(day, Metric.STORAGE_BYTES, stored))


async def get_usage(
    tenancy: Tenancy, tenant_id: int, first: date, last: date, metric: Metric | None = None
) -> list[Usage]:
    """Daily values from `first` to `last`, both included, oldest first."""
    async with tenancy.database.tenant(tenant_id) as connection:
        return await store.usage(connection, tenant_id, first, last, metric)

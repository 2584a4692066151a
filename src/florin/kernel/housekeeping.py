"""What the kernel itself wants done in the background."""

from datetime import timedelta
from typing import Final

from florin.kernel.clock import now
from florin.kernel.db import Database
from florin.kernel.jobs import Job, Periodic, PerTenant

IDEMPOTENCY_RETENTION: Final = timedelta(days=7)
_KEYS_AT_A_TIME: Final = 5000


async def ensure_partitions(database: Database) -> int:
    """Makes the partitions of the coming months; how many were missing."""
    async with database.platform() as connection:
        cursor = await connection.execute("SELECT kernel.ensure_partitions()")
        row = await cursor.fetchone()
    made: int = row[0] if row else 0
    return made


async def forget_idempotency_keys(database: Database, tenant_id: int) -> int:
    """Deletes a tenant's keys older than seven days, in short transactions; how many.

    The table has no index on the time: that index would cost every payment, this costs one scan a day.
    """
    before = now() - IDEMPOTENCY_RETENTION
    forgotten = 0
    while True:
        async with database.tenant(tenant_id) as connection:
            cursor = await connection.execute(
                "DELETE FROM kernel.idempotency_keys WHERE tenant_id = %(tenant_id)s AND slot = ANY (ARRAY("
                "  SELECT slot FROM kernel.idempotency_keys"
                "  WHERE tenant_id = %(tenant_id)s AND created_at < %(before)s LIMIT %(limit)s))",
                {"tenant_id": tenant_id, "before": before, "limit": _KEYS_AT_A_TIME},
            )
        forgotten += cursor.rowcount
        if cursor.rowcount < _KEYS_AT_A_TIME:
            return forgotten


def kernel_jobs(database: Database) -> list[Job]:
    """Partitions ahead and the retention of idempotency keys, once a day each."""
    return [
        Periodic("kernel.partitions", "10 0 * * *", lambda: ensure_partitions(database)),
        PerTenant(
            "kernel.idempotency_retention",
            "40 3 * * *",
            lambda tenant_id: forget_idempotency_keys(database, tenant_id),
        ),
    ]

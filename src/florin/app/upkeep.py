"""The upkeep of the ledger: what is posted gets projected, proved and sealed, tenant by tenant.

One after the other, a second each and then a rest: whoever posts comes first. Tenants who have posted
nothing since are told apart by one look at all of them, in one round trip.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

import structlog

from florin.kernel.clock import now
from florin.kernel.db import Database, set_tenant
from florin.kernel.jobs import SomeTenantsFailed, Tenants
from florin.kernel.pipeline import Statement, run_pipeline
from florin.ledger.proof.service import prove
from florin.ledger.seals.service import Seals, seal_all
from florin.ledger.service import Ledger
from florin.ledger.times.service import project_due

log = structlog.get_logger(__name__)

_NEWEST: Final = b"SELECT id FROM ledger.transfers WHERE tenant_id = $1 ORDER BY id DESC LIMIT 1"
_SETTLED_AFTER_S: Final = 45.0
"""Half a minute until a transfer is sealed, and some for clocks that differ."""

_PROVING_S: Final = 1.0
_REST: Final = 2
"""How long to rest for each second of work: of two cores, the books get a sixth."""

_AT_A_LOOK: Final = 500


class Upkeep:
    """Remembers how far each tenant has been seen to; after a restart everybody is visited once."""

    def __init__(self, ledger: Ledger, seals: Seals, tenants: Tenants) -> None:
        self._ledger, self._seals, self._tenants = ledger, seals, tenants
        self._settled: dict[int, UUID] = {}

    async def run(self) -> None:
        """One round.

        Raises:
            SomeTenantsFailed: each failure has been logged; the others have been seen to.
        """
        failed = []
        for tenant_id, newest in (
            await newest_transfers(self._ledger.database, await self._tenants())
        ).items():
            if self._settled.get(tenant_id) == newest:
                continue
            begun_at, begun_s = now().timestamp(), time.monotonic()
            try:
                await project_due(self._ledger, tenant_id)
                await prove(self._ledger, tenant_id, lasting_s=_PROVING_S)
                await seal_all(self._seals, tenant_id)
            except Exception:
                log.exception("upkeep_failed", tenant_id=tenant_id)
                failed.append(tenant_id)
            spent_s = time.monotonic() - begun_s
            old = begun_at - (newest.int >> 80) / 1000 > _SETTLED_AFTER_S
            if tenant_id not in failed and old and spent_s < _PROVING_S:
                self._settled[tenant_id] = newest
            await asyncio.sleep(_REST * spent_s)
        if failed:
            raise SomeTenantsFailed(f"upkeep: tenants {failed}")


async def newest_transfers(database: Database, tenants: Sequence[int]) -> Mapping[int, UUID]:
    """The newest transfer of each tenant that has any."""
    found: dict[int, UUID] = {}
    for start in range(0, len(tenants), _AT_A_LOOK):
        some = tenants[start : start + _AT_A_LOOK]
        statements = [Statement(b"BEGIN")]
        for tenant_id in some:
            statements += (
                Statement(set_tenant(tenant_id).encode()),
                Statement(_NEWEST, (tenant_id,)),
            )
        statements.append(Statement(b"COMMIT"))
        async with database.connection() as connection:
            answers = (await run_pipeline(connection, statements))[2:-1:2]
        found |= {tenant_id: rows[0][0] for tenant_id, rows in zip(some, answers, strict=True) if rows}
    return found

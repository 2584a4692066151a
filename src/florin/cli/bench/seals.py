"""What sealing costs, to be held against what posting costs."""

import time
from datetime import timedelta

from florin.app.rooms import key_ring
from florin.kernel.db import Database
from florin.kernel.settings import Settings
from florin.ledger.seals import service
from florin.ledger.seals.service import Seals
from florin.ledger.service import Ledger


async def seal_at_once(settings: Settings, database: Database, tenant_id: int) -> tuple[int, float]:
    """Seals all that is posted; how many transfers that were, and how many seconds it took."""
    seals = Seals(Ledger(database), key_ring(settings))
    before = await service.backlog(seals.ledger, tenant_id, grace=timedelta(0))
    leaves = before.sealed
    started = time.perf_counter()
    async for step in service.seal(seals, tenant_id, grace=timedelta(0)):
        leaves = step.leaves
    return leaves - before.sealed, time.perf_counter() - started

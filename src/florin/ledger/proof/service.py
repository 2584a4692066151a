"""The proof that never ends: whatever has been committed is verified soon after, once, run by run.

Runs end at the mark before which the log is complete, so a run's rows are final. A run's faults, their
events and how far it came are one transaction: a prover that is killed has done all of a run or none.
"""

import time
from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog
from prometheus_client import Gauge
from psycopg.errors import LockNotAvailable

from florin.kernel.errors import Unavailable
from florin.ledger.proof import store
from florin.ledger.proof.model import Fault, Proven, Standing
from florin.ledger.service import Ledger

log = structlog.get_logger(__name__)

BEHIND = Gauge(
    "florin_ledger_proven_seconds_behind",
    "How long the oldest transfer that is not verified yet has waited",
    ["tenant"],
    multiprocess_mode="mostrecent",
)
FAULTS = Gauge(
    "florin_ledger_faults",
    "Faults that the verification of the books has found",
    ["tenant"],
    multiprocess_mode="mostrecent",
)

PROVEN_RULES: Final = (
    "legs_balance",
    "transfers_shaped",
    "entries_follow",
    "reversals_recorded",
    "reversals_add_up",
)
"""What is asked of every run; `rules/` says it."""

GRACE: Final = timedelta(seconds=5)
"""How long an id may be on its way; a transfer that takes longer gets another (ledger.enter)."""

RUN_TRANSFERS: Final = 20_000
LASTING_S: Final = 5.0
_COUNT_UP_TO: Final = 100_000


async def prove(
    ledger: Ledger,
    tenant_id: int,
    *,
    grace: timedelta = GRACE,
    run_transfers: int = RUN_TRANSFERS,
    lasting_s: float = LASTING_S,
) -> Proven:
    """Verifies what has been committed since the last time, in runs; returns what that was. For a job.

    Faults are noted, logged and told as events, each once. No run begins later than `lasting_s`: with a
    long past to prove, other tenants get their turn in between.

    Raises:
        Unavailable: the server is away; the runs that were done stay done.
    """
    total = Proven(0, 0)
    mark = await complete_before(ledger, tenant_id, grace)
    begun_s = time.monotonic()
    while mark is not None and (total.transfers == 0 or time.monotonic() - begun_s < lasting_s):
        run = await _prove_run(ledger, tenant_id, mark, run_transfers)
        if run is None:
            break
        total = Proven(
            total.transfers + run.transfers, total.entries + run.entries, total.faults + run.faults
        )
        for fault in run.faults:
            log.error(
                "ledger_fault_found",
                tenant_id=tenant_id,
                rule=fault.rule,
                detail=fault.detail,
                transfer_id=_text(fault.transfer_id),
                account_id=_text(fault.account_id),
                seq=fault.seq,
            )
    found = await standing(ledger, tenant_id, count_up_to=1)
    BEHIND.labels(str(tenant_id)).set(found.behind_s)
    FAULTS.labels(str(tenant_id)).set(found.fault_count)
    return total


async def complete_before(ledger: Ledger, tenant_id: int, grace: timedelta) -> UUID | None:
    """Moves the mark before which the log is complete, unless somebody posts for long; returns it."""
    try:
        async with ledger.database.tenant(tenant_id) as connection:
            return await store.advance(connection, tenant_id, grace)
    except Unavailable as refusal:
        if not isinstance(refusal.__cause__, LockNotAvailable):
            raise
    # Somebody has been posting for long. What lies before the old mark is as good as ever.
    async with ledger.database.tenant(tenant_id) as connection:
        return await store.sealed_before(connection, tenant_id)


async def _prove_run(ledger: Ledger, tenant_id: int, mark: UUID, transfers: int) -> Proven | None:
    """The next run; None: there is none. Locks the row that says how far the proof has come."""
    async with ledger.database.tenant(tenant_id) as connection:
        before = await store.proven_before(connection, tenant_id)
        if before is not None and before >= mark:
            return None
        await connection.execute("SET LOCAL work_mem = '32MB'")
        await connection.execute("SET LOCAL jit = off")
        from_id = await store.lock_proof(connection, tenant_id)
        if from_id >= mark:
            return None
        to_id = await store.skip_transfers(connection, tenant_id, from_id, transfers)
        to_id = mark if to_id is None else min(to_id, mark)
        faults: list[Fault] = []
        for rule in PROVEN_RULES:
            faults += await store.faults_of(connection, rule, tenant_id, from_id=from_id, to_id=to_id)
        new = await store.add_faults(connection, tenant_id, faults)
        run = Proven(*await store.count_legs(connection, tenant_id, from_id, to_id), tuple(new))
        await store.move_proof(connection, tenant_id, to_id, run)
    return run


async def standing(ledger: Ledger, tenant_id: int, *, count_up_to: int = _COUNT_UP_TO) -> Standing:
    """How the proof of these books stands; what waits for it is counted up to a number."""
    async with ledger.database.tenant(tenant_id) as connection:
        return await store.standing(connection, tenant_id, count_up_to=count_up_to)


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)

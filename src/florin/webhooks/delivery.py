"""The loop that delivers: looks for work tenant by tenant, leases it, sends it, notes what came of it.

Any number of processes may run one each. A tenant is looked at when a notice says that it has something,
when one of its deliveries has ended, and every few seconds anyway: notices are hints. What a killed
process had leased is due again when the lease ends.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Final

import httpx
import structlog
from prometheus_client import Counter, Gauge
from psycopg.errors import DeadlockDetected, LockNotAvailable

from florin.kernel.clock import now
from florin.kernel.coalescer import Coalescer
from florin.kernel.crypto import KeyRing
from florin.kernel.db import CONNECTION_LOST, Database
from florin.kernel.errors import Unavailable
from florin.kernel.ids import new_id
from florin.kernel.outbound import Confinement, confined_client
from florin.kernel.provenance import Provenance, acting_as
from florin.webhooks import policy, store
from florin.webhooks.model import Finished, Owed, Reply, Result, Verdict
from florin.webhooks.sender import CONNECT_TIMEOUT_S, TIMEOUT_S, attempt, released

log = structlog.get_logger(__name__)

ATTEMPTS = Counter("florin_webhook_attempts", "Webhooks sent", ["result"])
IN_FLIGHT = Gauge("florin_webhook_in_flight", "Webhooks on their way")

LEASE: Final = timedelta(seconds=60)
"""Four times what an attempt may take: only a worker that died, or lost its database, lets it lapse."""

_LOST: Final = (*CONNECTION_LOST, Unavailable, DeadlockDetected, LockNotAvailable)
_LOOKERS: Final = 4
_ACTOR: Final = "job:webhooks.deliver"
_EVENTS_PER_LOOK: Final = 1000
_CLAIMS_PER_LOOK: Final = 64
_RELEASE_WITHIN_S: Final = 3.0

Tenants = Callable[[], Awaitable[Sequence[int]]]
Judge = Callable[[Owed, Reply], Verdict]


def judge_now(owed: Owed, reply: Reply) -> Verdict:
    """The published policy, at the present time."""
    return policy.judge(owed, reply, now())


class Deliverer:
    """Fan-out and deliveries of every tenant."""

    def __init__(
        self,
        database: Database,
        keys: KeyRing,
        confinement: Confinement,
        *,
        tenants: Tenants | None = None,
        in_flight: int = 256,
        sweep_every_s: float = 3,
        grace_s: float = 5,
        lease: timedelta = LEASE,
        judge: Judge = judge_now,
        client: httpx.AsyncClient | None = None,
    ) -> None:
        """`in_flight` bounds the requests of this process; each endpoint has a bound of its own."""
        self._database = database
        self._keys = keys
        self._confinement = confinement
        self._tenants = tenants or (lambda: store.tenants(database))
        self._free = in_flight
        self._sweep_every_s = sweep_every_s
        self._grace_s = grace_s
        self._lease = lease
        self._judge = judge
        self._client = client or confined_client(
            confinement,
            connect_timeout_s=CONNECT_TIMEOUT_S,
            timeout_s=TIMEOUT_S,
            max_connections=in_flight,
        )
        self._finish = Coalescer(database, store.FINISH, actor=_ACTOR)
        self._due: dict[int, None] = {}  # ordered: tenants take turns
        self._looking: set[int] = set()
        self._changed = asyncio.Event()
        self._sweep_now = asyncio.Event()
        self._sending: set[asyncio.Task[None]] = set()

    def heard(self, payload: str | None) -> None:
        """For a Listener: a tenant has something; None: anyone may."""
        if payload is None:
            self._sweep_now.set()
        elif payload.isdigit():
            self.look_at(int(payload))

    def look_at(self, tenant_id: int) -> None:
        """Has this tenant looked at soon."""
        self._due[tenant_id] = None
        self._changed.set()

    async def run(self) -> None:
        """Delivers until cancelled; then gives requests on their way a moment, and releases the rest."""
        try:
            with acting_as(lambda: Provenance(_ACTOR)):
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._sweep())
                    for _ in range(_LOOKERS):
                        group.create_task(self._look_around())
        finally:
            await self._wind_down()

    async def _sweep(self) -> None:
        while True:
            self._sweep_now.clear()
            try:
                for tenant_id in await self._tenants():
                    self.look_at(tenant_id)
            except _LOST as error:
                log.warning("webhook_sweep_failed", error=repr(error))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._sweep_now.wait(), self._sweep_every_s)

    async def _look_around(self) -> None:
        while True:
            tenant_id = self._next()
            if tenant_id is None:
                self._changed.clear()
                await self._changed.wait()
                continue
            reserved = min(self._free, _CLAIMS_PER_LOOK)
            self._free -= reserved
            self._looking.add(tenant_id)
            used = 0
            try:
                used = await self._look(tenant_id, reserved)
            except _LOST as error:
                log.warning("webhook_look_failed", tenant_id=tenant_id, error=repr(error))
                self.look_at(tenant_id)
                await asyncio.sleep(0.5)
            except Exception:
                # One tenant's trouble must not stop the others: the next sweep comes back to it.
                log.exception("webhook_look_failed", tenant_id=tenant_id)
            finally:
                self._looking.discard(tenant_id)
                self._free += reserved - used
                self._changed.set()

    def _next(self) -> int | None:
        if not self._free:
            return None
        tenant_id = next((due for due in self._due if due not in self._looking), None)
        if tenant_id is not None:
            del self._due[tenant_id]
        return tenant_id

    async def _look(self, tenant_id: int, limit: int) -> int:
        """Fans out and leases in one transaction; how many deliveries are now on their way."""
        async with self._database.tenant(tenant_id) as connection:
            fanned_out = await store.fan_out(connection, tenant_id, _EVENTS_PER_LOOK)
            owed = await store.claim(connection, tenant_id, self._lease, limit)
        for one in owed:
            task = asyncio.get_running_loop().create_task(self._deliver(tenant_id, one))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
        if fanned_out == _EVENTS_PER_LOOK or len(owed) == limit:
            self.look_at(tenant_id)
        return len(owed)

    async def _deliver(self, tenant_id: int, owed: Owed) -> None:
        attempt_id = new_id()
        IN_FLIGHT.inc()
        try:
            try:
                reply = await attempt(self._client, self._confinement, self._keys, tenant_id, owed)
                verdict = self._judge(owed, reply)
            except asyncio.CancelledError:
                reply, verdict = released(), Verdict(Result.RELEASED)
            held = await self._finish.call(tenant_id, Finished(attempt_id, owed, reply, verdict))
        except Unavailable:
            log.warning("webhook_outcome_lost", tenant_id=tenant_id, event_id=str(owed.event_id))
        except Exception:
            # Its lease lapses, and it is tried again.
            log.exception("webhook_outcome_lost", tenant_id=tenant_id, event_id=str(owed.event_id))
        else:
            ATTEMPTS.labels(verdict.result).inc()
            if not held:
                log.warning("webhook_lease_lapsed", tenant_id=tenant_id, event_id=str(owed.event_id))
        finally:
            IN_FLIGHT.dec()
            self._free += 1
            self.look_at(tenant_id)

    async def _wind_down(self) -> None:
        if self._sending:
            await asyncio.wait(self._sending, timeout=self._grace_s)
        late = list(self._sending)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=_RELEASE_WITHIN_S)
        await self._client.aclose()

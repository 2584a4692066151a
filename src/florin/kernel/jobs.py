"""Background jobs: periodic and deferred work, on a queue in PostgreSQL (schema `jobs`, procrastinate).

A feature declares what it wants done and when; one process of any number does it, once per tick, never
twice at a time. Work for tenants takes each tenant in turn: one that fails is logged and does not keep
the others from theirs. docs/decisions/0003-job-queue.md says why this library.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import perf_counter
from typing import Any, Final

import procrastinate
import structlog
from procrastinate.exceptions import ConnectorException
from psycopg import AsyncConnection

from florin.kernel.clock import now
from florin.kernel.db import CONNECTION_LOST
from florin.kernel.errors import Unavailable
from florin.kernel.provenance import Provenance, acting_as

log = structlog.get_logger(__name__)

Tenants = Callable[[], Awaitable[Sequence[int]]]

_HEARTBEAT_S: Final = 5.0
_STALLED_AFTER_S: Final = 30.0
_MISSED_TICK_S: Final = 24 * 3600
"""A tick that was missed while no worker ran is made up for at the next start, if it is no older."""

_REST: Final = 9
"""How long to rest for each second of housekeeping, up to `_LONGEST_REST_S`: a tenth of a core goes to it."""

_LONGEST_REST_S: Final = 5.0

_KEEP_FAILED: Final = timedelta(days=14)
_AWAY: Final = (*CONNECTION_LOST, ConnectorException, Unavailable)


@dataclass(frozen=True, slots=True)
class Periodic:
    """Work that is done again and again, once for the whole system."""

    name: str
    """Unique, dotted: `kernel.partitions`."""

    cron: str
    """Five fields of cron, in UTC, and optionally a sixth for seconds; `every()` writes simple ones."""

    run: Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class PerTenant:
    """Work that is done again and again for every tenant: `run(tenant_id)`.

    Housekeeping, unless it is urgent: one tenant at a time, whichever job it is of, and then a rest. After a
    night without a worker all of it is due at once, and whoever pays comes first.
    """

    name: str
    cron: str
    run: Callable[[int], Awaitable[object]]
    urgent: bool = False
    """Whether somebody waits for it."""


@dataclass(frozen=True, slots=True)
class Deferred:
    """Work that is asked for by `Jobs.defer(name, ...)`, and tried up to ten times."""

    name: str
    run: Callable[..., Awaitable[object]]


Job = Periodic | PerTenant | Deferred


class SomeTenantsFailed(Exception):
    """The work failed for some tenants; each failure has been logged."""


def every(seconds: int) -> str:
    """The cron line for every so many seconds.

    Raises:
        ValueError: not 1 to 30 seconds, nor whole minutes up to 30, nor whole hours up to 12, nor a day,
            or no divisor of the next larger unit: ticks would be uneven.
    """
    for unit_s, next_s, line in (
        (1, 60, "* * * * * */{}"),
        (60, 3600, "*/{} * * * *"),
        (3600, 86400, "0 */{} * * *"),
    ):
        if unit_s <= seconds < next_s and seconds % unit_s == 0 and next_s % seconds == 0:
            return line.format(seconds // unit_s)
    if seconds == 86400:  # noqa: PLR2004 - a day
        return "0 0 * * *"
    raise ValueError(f"{seconds} s does not divide a minute, an hour or a day evenly")


class Jobs:
    """The queue: `defer` from any process, `run` in a worker."""

    def __init__(
        self,
        url: str,
        tenants: Tenants,
        jobs: Sequence[Job],
        *,
        deferred_at_once: int = 4,
        stalled_after_s: float = _STALLED_AFTER_S,
        polling_every_s: float = 5.0,
    ) -> None:
        """`url`: a login as `florin_app`. `stalled_after_s`: how long a silent worker keeps its jobs."""
        self._tenants = tenants
        self._housekeeping = asyncio.Semaphore(1)
        # Each periodic job has a place of its own: one that rests keeps nobody from working.
        self._concurrency = deferred_at_once + sum(not isinstance(job, Deferred) for job in jobs)
        self._stalled_after_s = stalled_after_s
        self._polling_every_s = polling_every_s
        self._app = procrastinate.App(
            connector=procrastinate.PsycopgConnector(
                conninfo=url,
                min_size=1,
                max_size=deferred_at_once + 4,
                configure=_look_into_jobs,
                kwargs={"application_name": "florin-jobs"},
            ),
            periodic_defaults={"max_delay": _MISSED_TICK_S},
        )
        for job in jobs:
            self._declare(job)

    def _declare(self, job: Job) -> None:
        if isinstance(job, Deferred):
            retry = procrastinate.RetryStrategy(max_attempts=10, exponential_wait=2)
            self._app.task(name=job.name, retry=retry)(_acting_for(job))
            return

        async def tick(timestamp: int) -> None:
            if isinstance(job, Periodic):
                with acting_as(lambda: Provenance(actor=f"job:{job.name}")):
                    await job.run()
            else:
                await self._for_every_tenant(job)

        # lock: never two at a time. queueing_lock: ticks that nobody could serve do not pile up.
        task = self._app.task(name=job.name, lock=job.name, queueing_lock=job.name)(tick)
        self._app.periodic(cron=job.cron)(task)

    async def _for_every_tenant(self, job: PerTenant) -> None:
        failed = []
        for tenant_id in await self._tenants():
            try:
                with acting_as(lambda: Provenance(actor=f"job:{job.name}")):
                    await self._visit(job, tenant_id)
            except Exception:
                log.exception("job_failed_for_tenant", job=job.name, tenant_id=tenant_id)
                failed.append(tenant_id)
        if failed:
            raise SomeTenantsFailed(f"{job.name}: tenants {failed}")

    async def _visit(self, job: PerTenant, tenant_id: int) -> None:
        if job.urgent:
            await job.run(tenant_id)
            return
        async with self._housekeeping:
            started = perf_counter()
            try:
                await job.run(tenant_id)
            finally:
                await asyncio.sleep(min(_REST * (perf_counter() - started), _LONGEST_REST_S))

    async def __aenter__(self) -> "Jobs":
        await self._app.open_async()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._app.close_async()

    async def defer(
        self, name: str, arguments: Mapping[str, Any] | None = None, *, at: datetime | None = None
    ) -> int:
        """Asks for a Deferred job, now or at a time; the id of the job.

        Args:
            name: a Deferred that this queue was made with.
            arguments: what JSON holds; ids as text, no secrets and no personal data.

        Raises:
            KeyError: no such job.
        """
        return await self._app.tasks[name].configure(schedule_at=at).defer_async(**(arguments or {}))

    async def run(self) -> None:
        """Works until cancelled, through restarts of the server. Needs `async with jobs`."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._work())
            group.create_task(self._rescue())

    async def _work(self) -> None:
        while True:
            try:
                await self._app.run_worker_async(
                    concurrency=self._concurrency,
                    fetch_job_polling_interval=self._polling_every_s,
                    update_heartbeat_interval=min(_HEARTBEAT_S, self._stalled_after_s / 3),
                    stalled_worker_timeout=self._stalled_after_s,
                    shutdown_graceful_timeout=5,
                    delete_jobs="successful",
                    install_signal_handlers=False,
                )
            except _AWAY as error:
                log.warning("job_worker_restarts", error=repr(error))
            await asyncio.sleep(1)

    async def _rescue(self) -> None:
        """Puts jobs of dead workers back; on a timer, as a job could wait behind the lock of a dead one."""
        while True:
            with suppress(*_AWAY):
                manager = self._app.job_manager
                for job in await manager.get_stalled_jobs(seconds_since_heartbeat=self._stalled_after_s):
                    log.warning("job_of_dead_worker_retried", job=job.task_name, job_id=job.id)
                    await manager.retry_job(job, retry_at=now())
                await manager.delete_old_jobs(
                    nb_hours=_KEEP_FAILED // timedelta(hours=1), include_failed=True, include_aborted=True
                )
            await asyncio.sleep(min(10.0, self._stalled_after_s / 3))


def _acting_for(job: Deferred) -> Callable[..., Awaitable[object]]:
    async def run(**arguments: Any) -> object:
        with acting_as(lambda: Provenance(actor=f"job:{job.name}")):
            return await job.run(**arguments)

    return run


async def _look_into_jobs(connection: AsyncConnection[Any]) -> None:
    """The library names its tables without a schema."""
    await connection.execute("SET search_path = jobs")
    if not connection.autocommit:
        await connection.commit()

"""Periodic and deferred work on a real queue."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import procrastinate
import psycopg
import pytest
from psycopg import AsyncConnection

from florin.kernel.clock import now
from florin.kernel.jobs import Deferred, Job, Jobs, Periodic, PerTenant, every
from florin.kernel.provenance import Provenance, acting

EVERY_SECOND = every(1)


async def two_tenants() -> list[int]:
    return [1, 2]


@asynccontextmanager
async def working(url: str, *jobs: Job, **options: Any) -> AsyncIterator[Jobs]:
    """A queue with a worker at work on it."""
    async with Jobs(url, two_tenants, jobs, polling_every_s=0.2, **options) as queue:
        task = asyncio.get_running_loop().create_task(queue.run())
        try:
            yield queue
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture(autouse=True)
def clean(database_urls: Any) -> None:
    with psycopg.connect(database_urls.owner, autocommit=True) as connection:
        connection.execute(
            "TRUNCATE jobs.procrastinate_jobs, jobs.procrastinate_events, jobs.procrastinate_workers,"
            " jobs.procrastinate_periodic_defers CASCADE"
        )


async def statuses(database_urls: Any) -> dict[str, int]:
    """How many jobs there are in each state."""
    async with await AsyncConnection.connect(database_urls.owner) as connection:
        cursor = await connection.execute(
            "SELECT status::text, count(*) FROM jobs.procrastinate_jobs GROUP BY status"
        )
        return dict(await cursor.fetchall())


def test_the_migration_holds_the_schema_of_the_installed_library() -> None:
    ours = Path(__file__).parents[2].joinpath("migrations/0009_jobs/up.sql").read_text()
    held = ours.split("-- procrastinate: begin\n")[1].split("-- procrastinate: end\n")[0]
    shipped = Path(procrastinate.__file__).with_name("sql").joinpath("schema.sql").read_text()
    assert held.strip() == shipped.strip()


@pytest.mark.parametrize(
    ("seconds", "cron"),
    [
        (1, "* * * * * */1"),
        (30, "* * * * * */30"),
        (60, "*/1 * * * *"),
        (600, "*/10 * * * *"),
        (3600, "0 */1 * * *"),
        (43200, "0 */12 * * *"),
        (86400, "0 0 * * *"),
    ],
)
def test_even_intervals_become_cron_lines(seconds: int, cron: str) -> None:
    assert every(seconds) == cron


@pytest.mark.parametrize("seconds", [0, -1, 7, 45, 61, 420, 5400, 90000])
def test_uneven_intervals_are_refused(seconds: int) -> None:
    with pytest.raises(ValueError, match="evenly"):
        every(seconds)


async def test_periodic_work_is_done_for_every_tenant_once_a_tick(database_urls: Any) -> None:
    done: list[int] = []
    whole: list[None] = []

    async def each(tenant_id: int) -> None:
        done.append(tenant_id)

    async def all_at_once() -> None:
        whole.append(None)

    jobs = (PerTenant("test.each", EVERY_SECOND, each), Periodic("test.whole", EVERY_SECOND, all_at_once))
    async with working(database_urls.app, *jobs), working(database_urls.app, *jobs):
        await asyncio.sleep(3.2)
    assert done[:4] == [1, 2, 1, 2]
    assert 2 <= len(whole) <= 5  # not twice that, though two workers saw every tick
    assert (await statuses(database_urls)).keys() <= {"todo"}  # what is done leaves no row


async def test_housekeeping_is_done_one_at_a_time_with_rests_and_nothing_urgent_waits_for_it(
    database_urls: Any,
) -> None:
    at_work: set[str] = set()
    together: list[set[str]] = []
    urgent: list[float] = []

    def chore(name: str) -> PerTenant:
        async def run(_: int) -> None:
            at_work.add(name)
            together.append(set(at_work))
            await asyncio.sleep(0.02)
            at_work.remove(name)

        return PerTenant(name, EVERY_SECOND, run)

    async def at_once(_: int) -> None:
        urgent.append(time.monotonic())

    chores = [chore(f"test.chore{number}") for number in range(8)]
    began = time.monotonic()
    async with working(
        database_urls.app, *chores, PerTenant("test.urgent", EVERY_SECOND, at_once, urgent=True)
    ):
        await asyncio.sleep(3.2)
    took = time.monotonic() - began
    assert all(len(one) == 1 for one in together)
    assert 4 <= len(together) <= took / 0.2 + 1, "each takes 0.02 s, and nine times that to rest"
    assert len(urgent) >= 4, "two tenants, each second"


async def test_a_tenant_that_fails_does_not_keep_the_others_from_theirs(database_urls: Any) -> None:
    done: list[int] = []

    async def each(tenant_id: int) -> None:
        if tenant_id == 1:
            raise RuntimeError("this tenant's own trouble")
        done.append(tenant_id)

    async with working(database_urls.app, PerTenant("test.each", EVERY_SECOND, each)):
        await asyncio.sleep(2.2)
    assert done and set(done) == {2}
    assert (await statuses(database_urls))["failed"] >= 1


async def test_work_that_outlasts_its_interval_is_never_done_twice_at_a_time(database_urls: Any) -> None:
    running, most = 0, 0

    async def slow() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(1.5)
        running -= 1

    async with working(database_urls.app, Periodic("test.slow", EVERY_SECOND, slow)):
        await asyncio.sleep(3.5)
        assert (await statuses(database_urls)).get("todo", 0) <= 1
    assert most == 1


async def test_deferred_work_is_done_with_its_arguments_under_its_name(database_urls: Any) -> None:
    got: asyncio.Future[tuple[str, int, Provenance | None]] = asyncio.get_running_loop().create_future()

    async def work(name: str, count: int) -> None:
        got.set_result((name, count, acting()))

    async with working(database_urls.app, Deferred("test.work", work)) as queue:
        with pytest.raises(KeyError):
            await queue.defer("test.unknown")
        await queue.defer("test.work", {"name": "x", "count": 3}, at=now())
        assert await asyncio.wait_for(got, 5) == ("x", 3, Provenance("job:test.work"))


async def test_deferred_work_that_fails_is_tried_again(database_urls: Any) -> None:
    tries: list[None] = []
    succeeded = asyncio.Event()

    async def work() -> None:
        tries.append(None)
        if len(tries) == 1:
            raise RuntimeError("not this time")
        succeeded.set()

    async with working(database_urls.app, Deferred("test.work", work)) as queue:
        await queue.defer("test.work")
        await asyncio.wait_for(succeeded.wait(), 8)
    assert len(tries) == 2
    assert await statuses(database_urls) == {}


async def test_the_job_of_a_dead_worker_is_done_by_another(database_urls: Any) -> None:
    done = asyncio.Event()

    async def work() -> None:
        done.set()

    async with Jobs(database_urls.app, two_tenants, [Deferred("test.work", work)]) as queue:
        await queue.defer("test.work")
        # What a worker that was killed leaves behind: a job in hand, and no heartbeat any more.
        async with await AsyncConnection.connect(database_urls.owner, autocommit=True) as connection:
            await connection.execute("SET search_path = jobs")
            await connection.execute(
                "INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - interval '1 hour')"
            )
            await connection.execute(
                "SELECT procrastinate_fetch_job_v2(NULL, (SELECT max(id) FROM procrastinate_workers))"
            )
        assert await statuses(database_urls) == {"doing": 1}
    async with working(database_urls.app, Deferred("test.work", work), stalled_after_s=1):
        await asyncio.wait_for(done.wait(), 8)


async def test_the_worker_outlives_its_connections(database_urls: Any) -> None:
    done = asyncio.Event()

    async def work() -> None:
        done.set()

    async with working(database_urls.app, Deferred("test.work", work)) as queue:
        await asyncio.sleep(0.5)
        async with await AsyncConnection.connect(database_urls.root, autocommit=True) as root:
            await root.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = 'florin-jobs'"
            )
        async with asyncio.timeout(10):
            while True:
                try:
                    await queue.defer("test.work")
                    break
                except procrastinate.exceptions.ConnectorException:
                    await asyncio.sleep(0.2)
            await done.wait()


async def test_no_foreign_key_leads_in_or_out_of_the_queue(database_urls: Any) -> None:
    async with await AsyncConnection.connect(database_urls.owner) as connection:
        cursor = await connection.execute(
            "SELECT conname FROM pg_constraint c JOIN pg_class a ON a.oid = c.conrelid"
            " JOIN pg_class b ON b.oid = c.confrelid WHERE c.contype = 'f'"
            " AND (a.relnamespace = 'jobs'::regnamespace) <> (b.relnamespace = 'jobs'::regnamespace)"
        )
        assert await cursor.fetchall() == []

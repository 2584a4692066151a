"""Rate limits: never more than the limit in total, exact where it is small, cheap where it is large."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import psycopg
import pytest

from florin.access.callers import KeyHolder
from florin.access.limits import RateLimits
from florin.access.service import Access, create_key
from florin.access.store import Lease, Leased
from florin.kernel.db import Database
from florin.kernel.errors import TooManyRequests
from florin.tenancy.model import Metric, Tenant
from florin.tenancy.service import Tenancy
from florin.tenancy.usage import UsageMeter, get_usage

from .conftest import Clock, CountingDatabase, Urls, bearer

Twins = tuple[Tenant, Tenant]

MIDDAY = datetime(2030, 6, 15, 12, 0, 0, tzinfo=UTC).timestamp()


@pytest.fixture
def clock() -> Clock:
    """Midday: a minute, an hour and half a day begin."""
    clock = Clock()
    clock.at = MIDDAY
    return clock


@pytest.fixture
async def processes(
    database: Database, database_urls: Urls, clock: Clock, access: Access
) -> AsyncIterator[tuple[Access, Access]]:
    """Two rooms of access with nothing in common but the database."""
    async with Database(database_urls.app) as other:
        yield (
            Access(database, access.notifier, clock=clock),
            Access(other, access.notifier, clock=clock),
        )


async def holder(
    access: Access, twins: Twins, minute: int | None, hour: int | None = None, day: int | None = None
) -> KeyHolder:
    made = await create_key(
        access,
        twins[0].tenant_id,
        name="k",
        scopes=["*"],
        limits={"per_minute": minute, "per_hour": hour, "per_day": day},
    )
    return await access.authenticate(bearer(made.secret))


async def admitted(access: Access, key: KeyHolder) -> bool:
    try:
        await access.admit(key)
    except TooManyRequests:
        return False
    return True


@pytest.mark.parametrize("limit", [1, 2, 7, 50])
async def test_a_small_limit_is_kept_to_the_call_by_two_processes_under_a_rush(
    processes: tuple[Access, Access], access: Access, twins: Twins, limit: int
) -> None:
    key = await holder(access, twins, limit)
    rush = await asyncio.gather(*(admitted(processes[n % 2], key) for n in range(3 * limit + 20)))
    assert sum(rush) == limit


@pytest.mark.parametrize("limit", [200, 1_000])
async def test_a_large_limit_is_never_exceeded_and_is_reached_by_whoever_goes_on(
    processes: tuple[Access, Access], access: Access, twins: Twins, limit: int
) -> None:
    key = await holder(access, twins, limit)
    total = 0
    for _ in range(limit // 20):
        total += sum(await asyncio.gather(*(admitted(processes[n % 2], key) for n in range(30))))
    assert total == limit


async def test_keys_that_are_forgotten_and_seen_anew_keep_to_their_limits(
    access: Access, twins: Twins, clock: Clock, database: Database
) -> None:
    limits = RateLimits(database, clock=clock, max_keys=1)
    keys = [await holder(access, twins, 5) for _ in range(3)]

    async def admitted_by_small_memory(key: KeyHolder) -> bool:
        try:
            await limits.admit(key, key.limits)
        except TooManyRequests:
            return False
        return True

    rush = await asyncio.gather(*(admitted_by_small_memory(keys[n % 3]) for n in range(90)))
    assert all(sum(rush[n::3]) <= 5 for n in range(3))
    assert sum(rush) >= 3


async def test_every_window_is_kept_and_a_refused_call_takes_from_none(
    processes: tuple[Access, Access], access: Access, twins: Twins, clock: Clock
) -> None:
    key = await holder(access, twins, 10, 25, 30)
    counts = []
    for _ in range(4):
        rush = await asyncio.gather(*(admitted(processes[n % 2], key) for n in range(60)))
        counts.append(sum(rush))
        clock.at += 60
    assert counts == [10, 10, 5, 0]
    clock.at += 3600
    assert sum([await admitted(processes[0], key) for _ in range(10)]) == 5


async def test_a_lease_that_arrives_after_its_window_is_over_is_not_used(
    access: Access, twins: Twins, clock: Clock, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = Access(database, access.notifier, clock=clock)
    key = await holder(access, twins, 3)
    lease = room._limits._lease
    call = lease.call

    async def slow(tenant_id: int, item: Lease) -> list[Leased]:
        got = await call(tenant_id, item)
        if clock.at < MIDDAY + 60:
            clock.at += 60  # while the lease is on its way
        return got

    monkeypatch.setattr(lease, "call", slow)
    assert sum(await asyncio.gather(*(admitted(room, key) for _ in range(3)))) == 3
    assert not await admitted(room, key)
    with psycopg.connect(database.url) as connection:
        connection.execute(f"SET app.tenant_id = {key.tenant_id}".encode())
        taken = connection.execute(
            "SELECT taken FROM access.rate_windows WHERE tenant_id = %s AND subject_id = %s ORDER BY ends_at",
            (key.tenant_id, key.id),
        ).fetchall()
    assert taken == [(3,), (3,)], "the calls were taken from the window that they fell in"


async def test_a_key_without_limits_asks_once_for_ceilings_and_gets_no_headers(
    access: Access, counting: CountingDatabase, twins: Twins, clock: Clock
) -> None:
    room = Access(counting, access.notifier, clock=clock)
    key = await holder(access, twins, None)
    assert [await room.admit(key) for _ in range(100)] == [[]] * 100
    assert counting.borrowed == 1


async def test_a_large_limit_costs_few_queries(
    access: Access, counting: CountingDatabase, twins: Twins, clock: Clock
) -> None:
    room = Access(counting, access.notifier, clock=clock)
    key = await holder(access, twins, 1_000_000)
    for _ in range(2_000):
        await room.admit(key)
    assert counting.borrowed <= 15


async def test_a_key_that_is_refused_costs_no_further_query(
    access: Access, counting: CountingDatabase, twins: Twins, clock: Clock
) -> None:
    room = Access(counting, access.notifier, clock=clock)
    key = await holder(access, twins, 1)
    assert await admitted(room, key)
    assert not await admitted(room, key)
    borrowed = counting.borrowed
    assert not any([await admitted(room, key) for _ in range(50)])
    assert counting.borrowed == borrowed


async def test_answers_carry_the_tightest_window(
    access: Access, twins: Twins, clock: Clock, database: Database
) -> None:
    room = Access(database, access.notifier, clock=clock)
    key = await holder(access, twins, 5, 8)
    clock.at += 18
    first = dict(await room.admit(key))
    assert first == {
        b"ratelimit-limit": b"5",
        b"ratelimit-remaining": b"4",
        b"ratelimit-reset": b"42",
        b"ratelimit-policy": b'"minute";q=5;w=60, "hour";q=8;w=3600',
        b"ratelimit": b'"minute";r=4;t=42',
    }
    for _ in range(4):
        await room.admit(key)
    clock.at += 60
    assert dict(await room.admit(key))[b"ratelimit"] == b'"hour";r=2;t=3522'


async def test_remaining_falls_by_one_with_each_call(
    access: Access, twins: Twins, clock: Clock, database: Database
) -> None:
    room = Access(database, access.notifier, clock=clock)
    key = await holder(access, twins, 300)
    seen = [int(dict(await room.admit(key))[b"ratelimit-remaining"]) for _ in range(300)]
    assert seen == list(range(299, -1, -1))


async def test_a_refusal_says_when_to_come_again(
    access: Access, twins: Twins, clock: Clock, database: Database
) -> None:
    room = Access(database, access.notifier, clock=clock)
    key = await holder(access, twins, 1, 1)
    await room.admit(key)
    clock.at += 0.5
    with pytest.raises(TooManyRequests, match="the limit of 1 calls per hour is used up") as refused:
        await room.admit(key)
    headers = refused.value.headers
    assert headers["retry-after"] == headers["ratelimit-reset"] == "3600"
    assert headers["ratelimit-remaining"] == "0"
    assert headers["ratelimit"] == '"hour";r=0;t=3600'


async def test_admitted_calls_are_metered_and_refused_ones_are_not(
    access: Access, tenancy: Tenancy, twins: Twins, database: Database
) -> None:
    meter = UsageMeter(database)
    clock = Clock()
    room = Access(database, access.notifier, meter=meter, clock=clock)
    key = await holder(access, twins, 3)
    for _ in range(5):
        await admitted(room, key)
    await meter.flush()
    today = datetime.now(UTC).date()
    (usage,) = await get_usage(tenancy, key.tenant_id, today, today)
    assert (usage.metric, usage.value) == (Metric.API_CALLS, 3)

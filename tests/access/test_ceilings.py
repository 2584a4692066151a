"""Ceilings: what all callers of a partner, and of a tenant, may do together, across processes."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from random import Random
from uuid import UUID

import psycopg
import pytest

from florin.access.callers import KeyHolder
from florin.access.service import Access, change_key, create_key
from florin.access.store import Lease, Leased
from florin.kernel.db import Database
from florin.kernel.errors import TooManyRequests
from florin.kernel.http.call import Principal, PrincipalKind
from florin.kernel.ids import new_id
from florin.kernel.settings import Settings
from florin.tenancy.model import Tenant
from florin.tenancy.service import Tenancy, change_partner, create_partner, set_limits
from tests.access.test_limits import MIDDAY, admitted

from .conftest import Clock, CountingDatabase, Urls, bearer

Twins = tuple[Tenant, Tenant]


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.at = MIDDAY
    return clock


@dataclass
class Processes:
    """Four rooms of access with nothing in common but the database."""

    rooms: list[Access]

    async def rush(self, keys: list[KeyHolder], each: int, clients: int = 32) -> Counter[UUID]:
        """So many clients of every process, keys in turn, call so often each: who was admitted how often."""

        async def client(room: Access, number: int) -> list[UUID]:
            key = keys[number % len(keys)]
            return [key.id for _ in range(each) if await admitted(room, key)]

        answers = await asyncio.gather(*(client(room, n) for room in self.rooms for n in range(clients)))
        return Counter(one for answer in answers for one in answer)


@pytest.fixture
async def processes(database_urls: Urls, access: Access, clock: Clock) -> AsyncIterator[Processes]:
    databases = [Database(database_urls.app, size=3) for _ in range(4)]
    for database in databases:
        await database.open()
    yield Processes([Access(one, access.notifier, clock=clock) for one in databases])
    for database in databases:
        await database.close()


async def partner_of(tenancy: Tenancy, twins: Twins, **limits: int) -> UUID:
    tenant_id = twins[0].tenant_id
    found = await create_partner(tenancy, tenant_id, name="Shop", email=f"{new_id()}@shop.example")
    await change_partner(tenancy, tenant_id, found.id, limits)
    return found.id


async def key(
    access: Access,
    twins: Twins,
    *,
    partner_id: UUID | None = None,
    minute: int | None = None,
    hour: int | None = None,
    day: int | None = None,
) -> KeyHolder:
    made = await create_key(
        access,
        twins[0].tenant_id,
        name="k",
        scopes=["*"],
        partner_id=partner_id,
        limits={"per_minute": minute, "per_hour": hour, "per_day": day},
    )
    return await access.authenticate(bearer(made.secret))


def taken(urls: Urls, tenant_id: int) -> dict[UUID, int]:
    """What has been handed out, by subject, of the windows that are open at midday."""
    with psycopg.connect(urls.app) as connection:
        connection.execute(f"SET app.tenant_id = {tenant_id}".encode())
        rows = connection.execute(
            "SELECT subject_id, max(taken) FROM access.rate_windows WHERE tenant_id = %s GROUP BY 1",
            (tenant_id,),
        ).fetchall()
    return dict(rows)


@pytest.mark.parametrize("quota", [1, 7, 100])
async def test_a_small_quota_is_used_up_to_the_call_by_four_processes(
    processes: Processes, access: Access, twins: Twins, quota: int
) -> None:
    one = await key(access, twins, minute=quota)
    assert (await processes.rush([one], each=2)).total() == quota


@pytest.mark.parametrize("quota", [500, 2_000])
async def test_of_a_large_quota_no_process_strands_more_than_a_64th(
    processes: Processes, access: Access, twins: Twins, quota: int
) -> None:
    one = await key(access, twins, minute=quota, day=10 * quota)
    seen = (await processes.rush([one], each=quota // 64)).total()
    assert quota - 4 * (quota // 64) <= seen <= quota
    for room in processes.rooms:  # and whoever goes on uses up what it holds
        while await admitted(room, one):
            seen += 1
    assert seen == quota


@pytest.mark.parametrize("quota", [9, 90])
async def test_two_keys_of_a_partner_share_its_ceiling(
    processes: Processes, access: Access, tenancy: Tenancy, twins: Twins, quota: int
) -> None:
    shop = await partner_of(tenancy, twins, limit_per_minute=quota)
    keys = [await key(access, twins, partner_id=shop, minute=1_000) for _ in range(2)]
    seen = await processes.rush(keys, each=2)
    assert seen.total() == quota
    stranger = await key(access, twins, minute=5)
    assert (await processes.rush([stranger], each=1)).total() == 5, "it is the partner's own"


async def test_all_of_a_tenant_share_its_ceiling_and_its_twin_does_not(
    processes: Processes, access: Access, tenancy: Tenancy, twins: Twins
) -> None:
    await set_limits(tenancy, twins[0].code, {"limit_per_minute": 40}, live=True)
    shop = await partner_of(tenancy, twins, limit_per_minute=30)
    keys = [
        await key(access, twins, partner_id=shop),
        await key(access, twins, partner_id=shop, minute=1_000),
        await key(access, twins),
        await key(access, twins, hour=1_000),
    ]
    seen = await processes.rush(keys, each=3)
    assert seen.total() == 40
    assert seen[keys[0].id] + seen[keys[1].id] <= 30
    test = await create_key(access, twins[1].tenant_id, name="k", scopes=["*"])
    other = await access.authenticate(bearer(test.secret))
    assert (await processes.rush([other], each=1)).total() == 128


async def test_what_the_tenant_refuses_uses_nothing_of_key_and_partner(
    processes: Processes, access: Access, tenancy: Tenancy, twins: Twins, database_urls: Urls
) -> None:
    await set_limits(tenancy, twins[0].code, {"limit_per_minute": 10}, live=True)
    shop = await partner_of(tenancy, twins, limit_per_hour=100, limit_per_day=100)
    one = await key(access, twins, partner_id=shop, minute=50, hour=60, day=70)
    assert (await processes.rush([one], each=3)).total() == 10
    used = taken(database_urls, one.tenant_id)
    assert set(used.values()) == {10}, "every window was asked for what the tightest gave"
    assert set(used) == {one.id, shop, UUID(int=one.tenant_id)}


async def test_keys_with_nine_windows_in_any_order_by_four_processes_never_deadlock_or_exceed(
    processes: Processes, access: Access, tenancy: Tenancy, twins: Twins, clock: Clock, database_urls: Urls
) -> None:
    await set_limits(
        tenancy,
        twins[0].code,
        {"limit_per_minute": 300, "limit_per_hour": 700, "limit_per_day": 2_000},
        live=True,
    )
    shops = [
        await partner_of(tenancy, twins, limit_per_minute=120, limit_per_hour=400, limit_per_day=900)
        for _ in range(3)
    ]
    keys = [await key(access, twins, partner_id=shops[n % 3], minute=60, hour=200, day=500) for n in range(9)]
    Random(1).shuffle(keys)
    total: Counter[UUID] = Counter()
    for _ in range(3):
        seen = await processes.rush(keys, each=4)
        assert max(seen.values()) <= 60
        for shop in range(3):
            of_shop = [one.id for one in keys if one.partner_id == shops[shop]]
            assert sum(seen[one] for one in of_shop) <= 120
        assert 300 - 4 * 4 <= seen.total() <= 300
        total += seen
        clock.at += 60
        if total.total() > 380:
            break
    assert total.total() <= 700
    used = taken(database_urls, keys[0].tenant_id)
    assert used[UUID(int=keys[0].tenant_id)] <= 700


async def test_clocks_that_cross_the_end_of_a_window_under_load_exceed_neither_window(
    processes: Processes, access: Access, tenancy: Tenancy, twins: Twins, clock: Clock, database_urls: Urls
) -> None:
    shop = await partner_of(tenancy, twins, limit_per_minute=50)
    keys = [await key(access, twins, partner_id=shop, minute=30, day=500) for _ in range(2)]
    clock.at += 59.9

    async def turn() -> None:
        await asyncio.sleep(0.005)
        clock.at += 0.2

    seen, _ = await asyncio.gather(processes.rush(keys, each=6), turn())
    assert seen.total() <= 100
    with psycopg.connect(database_urls.app) as connection:
        connection.execute(f"SET app.tenant_id = {keys[0].tenant_id}".encode())
        rows = connection.execute(
            "SELECT taken FROM access.rate_windows WHERE tenant_id = %s AND subject_id = %s",
            (keys[0].tenant_id, shop),
        ).fetchall()
    assert all(row[0] <= 50 for row in rows)
    assert seen.total() <= sum(row[0] for row in rows)


async def test_the_tightest_of_all_windows_is_shown_and_all_are_listed(
    access: Access, tenancy: Tenancy, twins: Twins, clock: Clock
) -> None:
    await set_limits(tenancy, twins[0].code, {"limit_per_day": 5_000}, live=True)
    shop = await partner_of(tenancy, twins, limit_per_minute=3)
    keys = [await key(access, twins, partner_id=shop, minute=100) for _ in range(2)]
    room = Access(access.database, access.notifier, clock=clock)
    await room.admit(keys[0])
    headers = dict(await room.admit(keys[1]))
    assert headers[b"ratelimit-policy"] == (
        b'"minute";q=100;w=60, "partner-minute";q=3;w=60, "tenant-day";q=5000;w=86400'
    )
    assert headers[b"ratelimit"] == b'"partner-minute";r=1;t=60'
    assert await admitted(room, keys[0])
    with pytest.raises(TooManyRequests, match="the limit of the partner of 3 calls per minute") as refused:
        await room.admit(keys[1])
    assert refused.value.headers["retry-after"] == "60"


async def test_users_have_limits_from_the_settings_and_share_their_tenants_ceiling(
    access: Access, tenancy: Tenancy, twins: Twins, clock: Clock
) -> None:
    settings = Settings(user_limit_per_minute=4, user_limit_per_hour=0, user_limit_per_day=0)
    room = Access(access.database, access.notifier, clock=clock, settings=settings)

    def user() -> Principal:
        return Principal(
            tenant_id=twins[0].tenant_id,
            partner_id=None,
            id=new_id(),
            scopes=frozenset(),
            live=True,
            kind=PrincipalKind.USER,
        )

    async def calls(who: Principal) -> int:
        count = 0
        for _ in range(9):
            try:
                await room.admit(who)
            except TooManyRequests:
                break
            count += 1
        return count

    assert [await calls(user()) for _ in range(2)] == [4, 4]
    await set_limits(tenancy, twins[0].code, {"limit_per_minute": 6}, live=True)
    room._heard(str(twins[0].tenant_id))
    assert [await calls(user()) for _ in range(2)] == [4, 2]


async def test_tenants_without_a_ceiling_have_the_platforms(
    access: Access, twins: Twins, clock: Clock
) -> None:
    room = Access(access.database, access.notifier, clock=clock, settings=Settings(tenant_limit_per_hour=3))
    one = await key(access, twins)
    assert [await admitted(room, one) for _ in range(5)] == [True] * 3 + [False] * 2


async def test_a_changed_limit_counts_what_was_used_under_the_old_one(
    access: Access, tenancy: Tenancy, twins: Twins, clock: Clock
) -> None:
    room = Access(access.database, access.notifier, clock=clock)
    tenant_id = twins[0].tenant_id
    made = await create_key(
        access, tenant_id, name="k", scopes=["*"], limits={"per_minute": 5, "per_hour": None, "per_day": None}
    )

    async def calls(most: int) -> int:
        return sum([await admitted(room, await room.authenticate(bearer(made.secret))) for _ in range(most)])

    assert await calls(9) == 5
    for quota, more in ((8, 3), (4, 0), (9, 1)):
        await change_key(access, tenant_id, made.key.id, {"limits": {"per_minute": quota}})
        room._heard(str(tenant_id))
        assert await calls(9) == more


async def test_a_changed_ceiling_of_a_partner_is_felt_when_it_is_heard(
    access: Access, tenancy: Tenancy, twins: Twins, clock: Clock
) -> None:
    room = Access(access.database, access.notifier, clock=clock)
    shop = await partner_of(tenancy, twins)
    one = await key(access, twins, partner_id=shop)
    assert await room.admit(one) == []
    await change_partner(tenancy, twins[0].tenant_id, shop, {"limit_per_minute": 2})
    room._heard(str(twins[0].tenant_id))
    assert [await admitted(room, one) for _ in range(3)] == [True, True, False]


async def test_a_caller_that_goes_away_while_it_waits_costs_the_others_nothing(
    access: Access, twins: Twins, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = Access(access.database, access.notifier, clock=clock)
    one = await key(access, twins, minute=3)
    lease, leased, answer = room._limits._lease, asyncio.Event(), asyncio.Event()
    call = lease.call

    async def slow(tenant_id: int, item: Lease) -> list[Leased]:
        got = await call(tenant_id, item)
        leased.set()
        await answer.wait()
        return got

    monkeypatch.setattr(lease, "call", slow)
    waiting = [asyncio.create_task(admitted(room, one)) for _ in range(3)]
    await leased.wait()
    waiting[0].cancel()
    answer.set()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert outcomes[1:] == [True, True]
    assert [await admitted(room, one) for _ in range(3)] == [True, False, False]


async def test_stores_that_outlive_a_shorter_window_are_counted_once(
    access: Access, tenancy: Tenancy, twins: Twins, clock: Clock
) -> None:
    room = Access(access.database, access.notifier, clock=clock)
    shop = await partner_of(tenancy, twins, limit_per_hour=1_000)
    keys = [await key(access, twins, partner_id=shop, minute=150, day=20_000) for _ in range(2)]
    counts = []
    for _ in range(5):
        rush = await asyncio.gather(*(admitted(room, keys[n % 2]) for n in range(200)))
        slow = [await admitted(room, keys[n % 2]) for n in range(200)]
        counts.append(sum(rush) + sum(slow))
        clock.at += 60
    assert counts == [300, 300, 300, 100, 0]


async def test_nine_windows_cost_one_lease_and_seldom_one(
    access: Access, tenancy: Tenancy, twins: Twins, counting: CountingDatabase, clock: Clock
) -> None:
    await set_limits(
        tenancy,
        twins[0].code,
        dict.fromkeys(("limit_per_minute", "limit_per_hour", "limit_per_day"), 1_000_000),
        live=True,
    )
    shop = await partner_of(
        tenancy, twins, limit_per_minute=900_000, limit_per_hour=900_000, limit_per_day=900_000
    )
    one = await key(access, twins, partner_id=shop, minute=800_000, hour=800_000, day=800_000)
    room = Access(counting, access.notifier, clock=clock)
    await room.admit(one)
    assert counting.borrowed == 2, "the ceilings, and one lease for nine windows"
    for _ in range(2_000):
        await room.admit(one)
    assert counting.borrowed <= 16

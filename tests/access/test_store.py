"""The array functions: each tenant's own, one answer per item, the same under any order."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

import pytest
from psycopg.errors import InsufficientPrivilege

from florin.access.model import Presented, digest, generate
from florin.access.service import Access, create_key
from florin.access.store import FIND_KEYS, LEASE, Lease, Leased
from florin.kernel.coalescer import Coalescer
from florin.kernel.db import Database
from florin.kernel.ids import new_id
from florin.tenancy.model import Tenant

Twins = tuple[Tenant, Tenant]

ENDS = datetime(2030, 6, 15, 12, 1, tzinfo=UTC)


def lease(key_id: UUID, needed: int, wanted: int, *, quota: int = 1_000, minute: int = 0) -> Lease:
    return Lease([(key_id, 60, ENDS + timedelta(minutes=minute), quota)], [0], needed, [wanted])


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM access.find_keys(%s, '{}')",
        "SELECT * FROM access.lease(%s, '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}')",
        "SELECT * FROM access.ceilings(%s, '{}')",
    ],
)
async def test_the_functions_serve_the_tenant_of_the_transaction_only(
    database: Database, twins: Twins, statement: str
) -> None:
    async with database.tenant(twins[0].tenant_id) as connection:
        cursor = await connection.execute(statement.encode(), (twins[0].tenant_id,))
        assert await cursor.fetchall() == []
    with pytest.raises(InsufficientPrivilege):
        async with database.tenant(twins[0].tenant_id) as connection:
            await connection.execute(statement.encode(), (twins[1].tenant_id,))


async def test_keys_are_found_in_the_order_in_which_they_are_asked_for(
    access: Access, database: Database, twins: Twins
) -> None:
    tenant_id = twins[0].tenant_id
    made = [await create_key(access, tenant_id, name="k", scopes=["*"]) for _ in range(3)]
    secrets = [made[2].secret, generate(tenant_id, live=True), made[0].secret, made[2].secret]
    find = Coalescer(database, FIND_KEYS)
    found = await asyncio.gather(
        *(find.call(tenant_id, Presented(tenant_id, True, digest(secret))) for secret in secrets)
    )
    assert [key and key.id for key in found] == [made[2].key.id, None, made[0].key.id, made[2].key.id]


async def test_what_is_needed_is_given_while_it_lasts_and_stores_are_small(
    access: Access, database: Database, twins: Twins
) -> None:
    tenant_id = twins[0].tenant_id
    key_id = (await create_key(access, tenant_id, name="k", scopes=["*"])).key.id
    take = Coalescer(database, LEASE)
    asked = [(1, 500), (5, 5), (100, 0), (3, 500), (900, 900), (1, 1)]
    got = [await take.call(tenant_id, lease(key_id, needed, wanted)) for needed, wanted in asked]
    assert got == [
        [Leased(15, 15)],  # a 64th of 1,000
        [Leased(5, 20)],
        [Leased(100, 120)],
        [Leased(13, 133)],  # a 64th of 880
        [Leased(867, 1_000)],
        [Leased(0, 1_000)],
    ]


def expected(items: Sequence[Lease], taken: dict[tuple[UUID, int], int]) -> list[list[Leased]]:
    """What access.lease has to answer, said once more in other words; `taken` is brought up to date."""
    given = []
    for item in items:
        left = [max(quota - taken[subject, period_s], 0) for subject, period_s, _, quota in item.windows]
        granted = min([item.needed, *(held + more for held, more in zip(item.held, left, strict=True))])
        stores = [min(wanted, more // 64) for wanted, more in zip(item.wanted, left, strict=True)]
        for (subject, period_s, _, _), held, more, store in zip(
            item.windows, item.held, left, stores, strict=True
        ):
            aim = max(granted, store) if granted == item.needed else granted
            calls = min(more, max(aim - held, 0))
            taken[subject, period_s] += calls
            given.append(calls)
    calls_left = iter(given)
    return [
        [Leased(next(calls_left), taken[subject, period_s]) for subject, period_s, _, _ in item.windows]
        for item in items
    ]


@pytest.mark.parametrize("seed", range(4))
async def test_windows_that_items_share_are_handed_out_in_their_order_and_never_beyond_their_quotas(
    database: Database, twins: Twins, seed: int
) -> None:
    chance, tenant_id = Random(seed), twins[0].tenant_id
    keys, shops = [new_id() for _ in range(4)], [new_id() for _ in range(2)]
    quota = {
        (subject, period_s): chance.choice([3, 40, 500, 5_000])
        for subject in (*keys, *shops)
        for period_s in (60, 3600)
    }
    taken = dict.fromkeys(quota, 0)
    for _ in range(25):
        items = []
        for _ in range(chance.randint(1, 6)):
            subjects = [chance.choice(keys), *chance.sample(shops, chance.randint(0, 2))]
            windows = [
                (one, period_s, ENDS, quota[one, period_s]) for one in subjects for period_s in (60, 3600)
            ]
            held = [chance.choice([0, 0, 0, 1, 5]) for _ in windows]
            wanted = [chance.choice([0, 10, 1_000]) for _ in windows]
            items.append(Lease(windows, held, chance.choice([1, 2, 30]), wanted))
        async with database.tenant(tenant_id) as connection:
            values = [tenant_id, *LEASE.encode(items)]
            cursor = await connection.execute(LEASE.statement.encode(), values)
            answers = LEASE.decode(items, await cursor.fetchall())
        assert answers == expected(items, taken)
        assert all(taken[window] <= quota[window] for window in quota)


async def test_leases_of_many_keys_in_any_order_by_two_processes_do_not_lock_each_other_out(
    access: Access, database: Database, twins: Twins
) -> None:
    tenant_id = twins[0].tenant_id
    ids = [(await create_key(access, tenant_id, name="k", scopes=["*"])).key.id for _ in range(10)]
    one, two = Coalescer(database, LEASE), Coalescer(database, LEASE)
    for minute in range(5):
        answers = await asyncio.gather(
            *(one.call(tenant_id, lease(key_id, 3, 0, quota=5, minute=minute)) for key_id in ids),
            *(two.call(tenant_id, lease(key_id, 3, 0, quota=5, minute=minute)) for key_id in ids[::-1]),
        )
        assert sorted(one.calls for (one,) in answers) == [2] * 10 + [3] * 10


async def test_a_window_that_is_asked_for_twice_at_once_is_answered_twice(
    access: Access, database: Database, twins: Twins
) -> None:
    """As when a key is forgotten and seen anew while its lease is on the way."""
    tenant_id = twins[0].tenant_id
    key_id = (await create_key(access, tenant_id, name="k", scopes=["*"])).key.id
    take = Coalescer(database, LEASE)
    answers = await asyncio.gather(*(take.call(tenant_id, lease(key_id, 2, 0, quota=3)) for _ in range(2)))
    assert sorted(one.calls for (one,) in answers) == [1, 2]

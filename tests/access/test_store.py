"""The array functions: each tenant's own, one answer per item, the same under any order."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from psycopg.errors import InsufficientPrivilege

from florin.access.model import Presented, digest, generate
from florin.access.service import Access, create_key
from florin.access.store import FIND_KEYS, LEASE, Lease, Leased
from florin.kernel.coalescer import Coalescer
from florin.kernel.db import Database
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
    """As when a key is forgotten and seen anew while its lease is on the way: the coalescer parts the two."""
    tenant_id = twins[0].tenant_id
    key_id = (await create_key(access, tenant_id, name="k", scopes=["*"])).key.id
    take = Coalescer(database, LEASE)
    answers = await asyncio.gather(*(take.call(tenant_id, lease(key_id, 2, 0, quota=3)) for _ in range(2)))
    assert sorted(one.calls for (one,) in answers) == [1, 2]

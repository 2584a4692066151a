"""Guesses and strangers, by address: bounded before anything is looked up, and nobody known is held up."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from datetime import timedelta

import psycopg
import pytest
from prometheus_client import REGISTRY

from florin.access.addresses import networks
from florin.access.errors import AddressNotAllowed
from florin.access.model import generate
from florin.access.service import Access, create_key, revoke_key
from florin.kernel.clock import now
from florin.kernel.db import Database
from florin.kernel.errors import Refusal, TooManyRequests, Unauthenticated
from florin.kernel.settings import Settings
from florin.tenancy.model import Tenant
from tests.access.test_limits import MIDDAY

from .conftest import Clock, CountingDatabase, Urls, bearer

Twins = tuple[Tenant, Tenant]
LIMIT = 20


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.at = MIDDAY
    return clock


_next = iter(range(1, 60_000))


@pytest.fixture
def address() -> str:
    """One that no other test has used."""
    number = next(_next)
    return f"198.51.{number // 250}.{number % 250 + 1}"


def settings(per_minute: int = LIMIT) -> Settings:
    return Settings(stranger_limit_per_minute=per_minute, stranger_limit_per_hour=0, stranger_limit_per_day=0)


@pytest.fixture
def room(counting: CountingDatabase, access: Access, clock: Clock) -> Access:
    return Access(counting, access.notifier, clock=clock, settings=settings())


@pytest.fixture
async def four(database_urls: Urls, access: Access, clock: Clock) -> AsyncIterator[list[Access]]:
    """Four rooms of access with nothing in common but the database."""
    databases = [Database(database_urls.app, size=3) for _ in range(4)]
    for database in databases:
        await database.open()
    yield [Access(one, access.notifier, clock=clock, settings=settings()) for one in databases]
    for database in databases:
        await database.close()


async def outcome(asking: Awaitable[object]) -> type[object]:
    try:
        await asking
    except Refusal as refusal:
        return type(refusal)
    return object


def looked_up() -> float:
    """Keys that were looked up, one by one or together."""
    return REGISTRY.get_sample_value("florin_group_items_sum", {"function": "access.find_keys"}) or 0.0


async def guess(room: Access, twins: Twins, address: str | None) -> type[object]:
    return await outcome(room.authenticate(bearer(generate(twins[0].tenant_id, live=True)), address))


async def test_a_flood_of_random_keys_is_looked_up_no_more_often_than_the_limit_allows(
    room: Access, counting: CountingDatabase, twins: Twins, address: str
) -> None:
    before = looked_up()
    outcomes = await asyncio.gather(*(guess(room, twins, address) for _ in range(500)))
    assert looked_up() - before <= LIMIT + 16
    assert outcomes.count(Unauthenticated) == LIMIT
    assert outcomes.count(TooManyRequests) == 480
    assert counting.borrowed <= 2 * (LIMIT + 16)
    borrowed = counting.borrowed
    assert {await guess(room, twins, address) for _ in range(50)} == {TooManyRequests}
    assert counting.borrowed == borrowed, "once it is used up, nothing is asked of the database"


async def test_a_known_key_from_a_flooding_address_is_served_meanwhile(
    room: Access, access: Access, twins: Twins, address: str, clock: Clock
) -> None:
    made = await create_key(access, twins[0].tenant_id, name="k", scopes=["*"])
    await room.authenticate(bearer(made.secret), address)
    await asyncio.gather(*(guess(room, twins, address) for _ in range(100)))
    assert (await room.authenticate(bearer(made.secret), address)).id == made.key.id
    room.callers.forget(twins[0].tenant_id)
    assert (await room.authenticate(bearer(made.secret), address)).id == made.key.id, "looked up anew"
    assert await guess(room, twins, address) is TooManyRequests
    assert await guess(room, twins, "203.0.113.9") is Unauthenticated, "another address is another's"


async def test_whoever_shows_keys_that_hold_is_not_counted_however_many_they_are(
    room: Access, access: Access, twins: Twins, address: str
) -> None:
    keys = [await create_key(access, twins[0].tenant_id, name="k", scopes=["*"]) for _ in range(3 * LIMIT)]
    found = await asyncio.gather(*(room.authenticate(bearer(key.secret), address) for key in keys))
    assert [holder.id for holder in found] == [made.key.id for made in keys]
    assert await guess(room, twins, address) is Unauthenticated


async def test_four_processes_together_answer_no_more_guesses_than_the_limit(
    four: list[Access], twins: Twins, address: str
) -> None:
    outcomes = await asyncio.gather(*(guess(four[n % 4], twins, address) for n in range(128)))
    assert outcomes.count(Unauthenticated) == LIMIT
    assert outcomes.count(TooManyRequests) == 128 - LIMIT


async def test_expired_revoked_and_malformed_keys_are_guesses_and_no_key_at_all_is_none(
    room: Access, access: Access, twins: Twins, address: str
) -> None:
    tenant_id = twins[0].tenant_id
    revoked = await create_key(access, tenant_id, name="k", scopes=["*"])
    await revoke_key(access, tenant_id, revoked.key.id)
    expired = await create_key(
        access, tenant_id, name="k", scopes=["*"], expires_at=now() + timedelta(seconds=0.05)
    )
    await asyncio.sleep(0.06)
    for _ in range(2 * LIMIT):
        assert await outcome(room.authenticate({}, address)) is Unauthenticated
    wrong = [bearer(secret) for secret in (revoked.secret, expired.secret, "nonsense", "")]
    seen = [await outcome(room.authenticate(wrong[n % 4], address)) for n in range(LIMIT + 4)]
    assert seen == [Unauthenticated] * LIMIT + [TooManyRequests] * 4


async def test_strangers_and_guesses_use_up_the_same_and_the_refusal_says_when_to_come_again(
    room: Access, twins: Twins, address: str, clock: Clock
) -> None:
    headers = [dict(await room.admit_stranger(address)) for _ in range(LIMIT - 1)]
    assert headers[-1][b"ratelimit"] == b'"address-minute";r=1;t=60'
    assert await guess(room, twins, address) is Unauthenticated
    clock.at += 15
    with pytest.raises(TooManyRequests, match="20 calls per minute") as refused:
        await room.admit_stranger(address)
    assert refused.value.headers["retry-after"] == "45"
    assert await guess(room, twins, address) is TooManyRequests
    clock.at += 45
    assert await guess(room, twins, address) is Unauthenticated


async def test_an_address_that_is_shut_stays_so_in_a_process_that_forgot_it(
    counting: CountingDatabase, access: Access, clock: Clock, address: str
) -> None:
    rooms = [Access(counting, access.notifier, clock=clock, settings=settings(3)) for _ in range(2)]
    assert [await outcome(rooms[0].admit_stranger(address)) for _ in range(3)] == [object] * 3
    assert await outcome(rooms[1].admit_stranger(address)) is TooManyRequests


async def test_a_site_with_ipv6_is_counted_as_one(room: Access, clock: Clock) -> None:
    for n in range(LIMIT):
        await room.admit_stranger(f"2001:db8:7:1::{n:x}")
    assert await outcome(room.admit_stranger("2001:db8:7:1:ffff::9")) is TooManyRequests
    assert await outcome(room.admit_stranger("2001:db8:7:2::9")) is object


async def test_zero_is_unlimited_and_sockets_of_this_machine_are_not_counted(
    access: Access, counting: CountingDatabase, clock: Clock, twins: Twins, address: str
) -> None:
    free = Access(counting, access.notifier, clock=clock, settings=settings(0))
    bound = Access(counting, access.notifier, clock=clock, settings=settings(1))
    assert [await free.admit_stranger(address) for _ in range(50)] == [[]] * 50
    assert [await bound.admit_stranger(None) for _ in range(50)] == [[]] * 50
    assert counting.borrowed == 0
    assert {await guess(bound, twins, None) for _ in range(5)} == {Unauthenticated}


async def test_a_key_away_from_its_addresses_is_refused_without_saying_which_they_are(
    room: Access, access: Access, twins: Twins, address: str
) -> None:
    allowed = networks(["192.0.2.0/24", "2001:db8::/32"])
    made = await create_key(access, twins[0].tenant_id, name="k", scopes=["*"], allowed_addresses=allowed)
    for inside in ("192.0.2.9", "::ffff:192.0.2.9", "2001:db8::5"):
        assert (await room.authenticate(bearer(made.secret), inside)).id == made.key.id
    with pytest.raises(AddressNotAllowed) as refused:
        await room.authenticate(bearer(made.secret), address)
    assert (int(refused.value.status), refused.value.code) == (403, "address_not_allowed")
    assert "192.0.2" not in refused.value.detail
    assert await outcome(room.authenticate(bearer(made.secret), None)) is AddressNotAllowed
    for _ in range(LIMIT - 1):
        await outcome(room.authenticate(bearer(made.secret), address))
    assert await outcome(room.authenticate(bearer(made.secret), address)) is TooManyRequests


async def test_addresses_are_counted_under_no_tenant_and_no_tenant_sees_them(
    room: Access, access: Access, database_urls: Urls, twins: Twins, address: str
) -> None:
    await room.admit_stranger(address)
    with psycopg.connect(database_urls.app) as connection:
        for tenant_id in (twins[0].tenant_id, 0):
            connection.execute(f"SET app.tenant_id = {tenant_id}".encode())
            found = connection.execute(
                "SELECT tenant_id FROM access.rate_windows WHERE period_s = 60"
            ).fetchall()
            assert {row[0] for row in found} <= {tenant_id}
    assert found, "and under 0 it is there"

"""Authentication: what is remembered, for how long, and what makes it forgotten."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import pytest

from florin.access.callers import Callers
from florin.access.errors import PartnerNotActive, TenantNotActive
from florin.access.model import generate
from florin.access.service import Access, create_key, revoke_key
from florin.kernel.clock import now
from florin.kernel.db import Database
from florin.kernel.errors import Refusal, Unauthenticated
from florin.kernel.notify import Listener, Notifier
from florin.tenancy.model import Status, Tenant, TenantStatus
from florin.tenancy.service import Tenancy, change_partner, create_partner, delete_partner, set_status

from .conftest import Clock, CountingDatabase, Urls, bearer, presented

Twins = tuple[Tenant, Tenant]


async def refusal_of(access: Access, headers: dict[bytes, bytes]) -> Refusal:
    with pytest.raises(Refusal) as refused:
        await access.authenticate(headers)
    return refused.value


async def refused(callers: Callers, secret: str) -> None:
    with pytest.raises(Unauthenticated):
        await callers.authenticate(presented(secret))


async def eventually(condition: Callable[[], Awaitable[bool]]) -> bool:
    """Whether it comes true within five seconds."""
    for _ in range(100):
        if await condition():
            return True
        await asyncio.sleep(0.05)
    return False


@asynccontextmanager
async def running(*services: Notifier | Listener) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(service.run()) for service in services]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


async def test_a_key_is_looked_up_once_however_many_ask_at_once(
    access: Access, counting: CountingDatabase, twins: Twins
) -> None:
    made = await create_key(access, twins[0].tenant_id, name="k", scopes=["*"])
    callers = Callers(counting, clock=Clock())
    found = await asyncio.gather(*(callers.authenticate(presented(made.secret)) for _ in range(50)))
    assert {holder.id for holder in found} == {made.key.id}
    await callers.authenticate(presented(made.secret))
    assert counting.borrowed == 1


async def test_a_caller_that_goes_away_leaves_the_others_their_answer(
    access: Access, counting: CountingDatabase, twins: Twins
) -> None:
    made = await create_key(access, twins[0].tenant_id, name="k", scopes=["*"])
    callers = Callers(counting, clock=Clock())
    first, second = (asyncio.create_task(callers.authenticate(presented(made.secret))) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).id == made.key.id
    assert counting.borrowed == 1


async def test_whatever_is_wrong_with_a_key_the_answer_is_the_same(access: Access, twins: Twins) -> None:
    tenant_id = twins[0].tenant_id
    revoked = await create_key(access, tenant_id, name="k", scopes=["*"])
    await revoke_key(access, tenant_id, revoked.key.id)
    expired = await create_key(
        access, tenant_id, name="k", scopes=["*"], expires_at=now() + timedelta(seconds=0.2)
    )
    await asyncio.sleep(0.25)
    headers: list[dict[bytes, bytes]] = [
        {},
        {b"authorization": b"Basic Zm9vOmJhcg=="},
        {b"authorization": b"Bearer \xff\xfe"},
        bearer("nonsense"),
        bearer(generate(tenant_id, live=True)),
        bearer(generate(2_000_000_000, live=True)),
        bearer(revoked.secret),
        bearer(expired.secret),
    ]
    answers = [await refusal_of(access, header) for header in headers]
    assert {(type(answer), answer.detail, answer.code) for answer in answers} == {
        (Unauthenticated, Unauthenticated().detail, "unauthenticated")
    }


async def test_a_key_that_expires_while_it_is_remembered_stops(access: Access, twins: Twins) -> None:
    clock = Clock()
    callers = Callers(access.database, clock=clock)
    made = await create_key(
        access, twins[0].tenant_id, name="k", scopes=["*"], expires_at=now() + timedelta(seconds=60)
    )
    assert (await callers.authenticate(presented(made.secret))).id == made.key.id
    clock.at += 61
    await refused(callers, made.secret)
    assert callers.remembered(presented(made.secret)) is None


async def test_a_look_up_is_believed_for_its_time_and_no_longer(
    access: Access, counting: CountingDatabase, twins: Twins
) -> None:
    clock = Clock()
    callers = Callers(counting, clock=clock, fresh_s=300, unknown_s=10)
    made = await create_key(access, twins[0].tenant_id, name="k", scopes=["*"])
    unknown = generate(twins[0].tenant_id, live=True)
    for pause_s, looked_up in ((0, 2), (9, 2), (2, 3), (290, 5)):
        clock.at += pause_s
        await callers.authenticate(presented(made.secret))
        await refused(callers, unknown)
        assert counting.borrowed == looked_up


async def test_random_keys_fill_no_memory_and_push_out_no_real_key(
    access: Access, counting: CountingDatabase, twins: Twins
) -> None:
    callers = Callers(counting, clock=Clock(), max_unknown=20, max_known=20)
    made = await create_key(access, twins[0].tenant_id, name="k", scopes=["*"])
    await callers.authenticate(presented(made.secret))
    flood = [presented(generate(twins[0].tenant_id, live=True)) for _ in range(500)]
    answers = await asyncio.gather(*(callers.authenticate(key) for key in flood), return_exceptions=True)
    assert all(isinstance(answer, Unauthenticated) for answer in answers)
    assert len(callers._memory.unknown) == 20
    assert len(callers._memory.known) == 1
    assert not callers._memory.flying
    assert counting.borrowed < 50, "a flood is looked up in groups"
    borrowed = counting.borrowed
    await callers.authenticate(presented(made.secret))
    assert counting.borrowed == borrowed


async def test_real_keys_are_remembered_up_to_a_number_longest_unused_forgotten_first(
    access: Access, counting: CountingDatabase, twins: Twins
) -> None:
    callers = Callers(counting, clock=Clock(), max_known=2)
    keys = [await create_key(access, twins[0].tenant_id, name="k", scopes=["*"]) for _ in range(3)]
    for n in (0, 1, 0, 2):
        await callers.authenticate(presented(keys[n].secret))
    borrowed = counting.borrowed
    await callers.authenticate(presented(keys[0].secret))
    assert counting.borrowed == borrowed
    await callers.authenticate(presented(keys[1].secret))
    assert counting.borrowed == borrowed + 1


async def test_a_look_up_that_a_change_overtakes_is_not_remembered(
    access: Access, counting: CountingDatabase, twins: Twins
) -> None:
    callers = Callers(counting, clock=Clock())
    made = await create_key(access, twins[0].tenant_id, name="k", scopes=["*"])
    asking = asyncio.create_task(callers.authenticate(presented(made.secret)))
    for _ in range(5):  # the look-up sets out
        await asyncio.sleep(0)
    callers.forget(twins[0].tenant_id)
    await asking
    borrowed = counting.borrowed
    await callers.authenticate(presented(made.secret))
    assert counting.borrowed == borrowed + 1


async def test_forgetting_one_tenant_keeps_the_others(
    access: Access, counting: CountingDatabase, twins: Twins
) -> None:
    callers = Callers(counting, clock=Clock())
    keys = [await create_key(access, twin.tenant_id, name="k", scopes=["*"]) for twin in twins]
    for key in keys:
        await callers.authenticate(presented(key.secret))
    callers.forget(twins[0].tenant_id)
    borrowed = counting.borrowed
    await callers.authenticate(presented(keys[1].secret))
    assert counting.borrowed == borrowed
    callers.forget(None)
    await callers.authenticate(presented(keys[1].secret))
    assert counting.borrowed == borrowed + 1


async def test_what_one_process_revokes_another_refuses_within_moments(
    database: Database, database_urls: Urls, twins: Twins
) -> None:
    notifier, listener = Notifier(database), Listener(database_urls.app)
    here = Access(database, notifier)
    there = Access(database, Notifier(database), listener=listener)
    tenant_id = twins[0].tenant_id
    made = await create_key(here, tenant_id, name="k", scopes=["*"])

    async def refused_there() -> bool:
        try:
            await there.authenticate(bearer(made.secret))
        except Unauthenticated:
            return True
        return False

    async with running(notifier, listener):
        await asyncio.sleep(0.3)  # the listener connects
        assert not await refused_there()
        await revoke_key(here, tenant_id, made.key.id)
        assert await eventually(refused_there)


async def test_a_key_that_was_unknown_is_known_in_every_process_once_it_is_made(
    database: Database, database_urls: Urls, twins: Twins, monkeypatch: pytest.MonkeyPatch
) -> None:
    notifier, listener = Notifier(database), Listener(database_urls.app)
    here = Access(database, notifier)
    there = Access(database, Notifier(database), listener=listener)
    secret = generate(twins[0].tenant_id, live=True)
    monkeypatch.setattr("florin.access.model.generate", lambda *_, **__: secret)

    async def known_there() -> bool:
        try:
            await there.authenticate(bearer(secret))
        except Unauthenticated:
            return False
        return True

    async with running(notifier, listener):
        await asyncio.sleep(0.3)
        assert not await known_there()
        await create_key(here, twins[0].tenant_id, name="k", scopes=["*"])
        assert await eventually(known_there)


async def test_after_a_lost_connection_everything_is_looked_up_anew(
    access: Access, counting: CountingDatabase, twins: Twins, database_urls: Urls
) -> None:
    listener = Listener(database_urls.app)
    there = Access(counting, Notifier(counting), listener=listener)
    made = await create_key(access, twins[0].tenant_id, name="k", scopes=["*"])
    await there.authenticate(bearer(made.secret))
    borrowed = counting.borrowed

    async def looked_up_again() -> bool:
        await there.authenticate(bearer(made.secret))
        return counting.borrowed > borrowed

    assert not await looked_up_again()
    async with running(listener):  # what it says on its first connection it says on every other
        assert await eventually(looked_up_again)


async def test_keys_of_a_suspended_tenant_are_refused_with_a_code_of_its_own(
    access: Access, tenancy: Tenancy, twins: Twins
) -> None:
    live, test = twins
    keys = [await create_key(access, twin.tenant_id, name="k", scopes=["*"]) for twin in twins]
    await set_status(tenancy, live.code, TenantStatus.SUSPENDED, live=True)
    access.callers.forget(None)
    refusal = await refusal_of(access, bearer(keys[0].secret))
    assert isinstance(refusal, TenantNotActive)
    assert (int(refusal.status), refusal.code) == (403, "tenant_not_active")
    assert (await access.authenticate(bearer(keys[1].secret))).tenant_id == test.tenant_id


async def test_keys_of_a_suspended_or_deleted_partner_are_refused(
    access: Access, tenancy: Tenancy, twins: Twins
) -> None:
    tenant_id = twins[0].tenant_id
    partner = await create_partner(tenancy, tenant_id, name="Shop", email="s@shop.example")
    made = await create_key(access, tenant_id, name="k", scopes=["*"], partner_id=partner.id)
    assert (await access.authenticate(bearer(made.secret))).partner_id == partner.id

    await change_partner(tenancy, tenant_id, partner.id, {"status": Status.SUSPENDED})
    access.callers.forget(tenant_id)
    assert isinstance(await refusal_of(access, bearer(made.secret)), PartnerNotActive)

    await change_partner(tenancy, tenant_id, partner.id, {"status": Status.ACTIVE})
    access.callers.forget(tenant_id)
    await access.authenticate(bearer(made.secret))

    await delete_partner(tenancy, tenant_id, partner.id)
    access.callers.forget(tenant_id)
    refusal = await refusal_of(access, bearer(made.secret))
    assert (int(refusal.status), refusal.code) == (403, "partner_not_active")

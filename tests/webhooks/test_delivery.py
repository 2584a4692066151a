"""Fan-out and delivery, end to end: events in PostgreSQL, webhooks over HTTP."""

import asyncio
from collections import Counter
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg import AsyncConnection
from psycopg.errors import InsufficientPrivilege
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from florin.kernel.clock import now
from florin.kernel.coalescer import Coalescer
from florin.kernel.errors import Unavailable
from florin.kernel.ids import encode_id, new_id
from florin.kernel.outbound import Confinement
from florin.webhooks import policy, service, store
from florin.webhooks.model import MAX_EXCERPT, Failure, Finished, Owed, Reply, Result, Verdict
from tests.webhooks.conftest import World, fast, served, until


def ids(world: World) -> list[str]:
    """Of what was received, in order."""
    return [one["id"] for one in world.receiver.received]


async def test_an_event_arrives_signed_with_its_id_and_content(world: World) -> None:
    await world.endpoint("thing.*")
    event_id = await world.happen(size=3)
    async with world.delivering():
        ((_, _, status, attempts),) = await world.settled()
    (received,) = world.receiver.received
    assert (status, attempts, world.receiver.refused) == ("delivered", 1, 0)
    assert received["id"] == received["event"]["id"] == encode_id("evt", event_id)
    assert received["event"]["type"] == "thing.made"
    assert received["event"]["data"]["object"]["size"] == 3


async def test_events_go_to_the_endpoints_that_want_them(world: World) -> None:
    partner, other = uuid4(), uuid4()
    exact = await world.endpoint("thing.made", partner_id=partner)
    family = await world.endpoint("thing.*", partner_id=partner)
    everything = await world.endpoint("*", partner_id=partner)
    await world.endpoint("thing", "thin.*", "thing.made.*", partner_id=partner)
    await world.endpoint("*", partner_id=other)
    own = await world.endpoint("*")
    above = await world.endpoint("*", include_partners=True)
    made = await world.happen("thing.made", partner_id=partner)
    lost = await world.happen("thing.lost", partner_id=partner)
    tenants = await world.happen("thing.made")
    async with world.delivering():
        settled = await world.settled()
    assert {(event, endpoint) for event, endpoint, *_ in settled} == {
        *((made, endpoint.id) for endpoint in (exact, family, everything, above)),
        *((lost, endpoint.id) for endpoint in (family, everything, above)),
        *((tenants, endpoint.id) for endpoint in (own, above)),
    }


async def test_a_failure_is_tried_again_with_the_same_id(world: World) -> None:
    endpoint = await world.endpoint()
    world.receiver.answer_next(500, 503)
    event_id = await world.happen()
    async with world.delivering():
        assert await world.settled() == [(event_id, endpoint.id, "delivered", 3)]
    assert ids(world) == [encode_id("evt", event_id)] * 3
    noted = await world.rows(
        "SELECT status_code, error FROM webhooks.attempts WHERE tenant_id = %s ORDER BY id", world.tenant_id
    )
    assert noted == [(500, "not_2xx"), (503, "not_2xx"), (204, None)]


async def test_a_delivery_is_given_up_when_the_schedule_is_exhausted(world: World) -> None:
    endpoint = await world.endpoint()
    world.receiver.answer_next(*[500] * 10)
    event_id = await world.happen()
    async with world.delivering():
        assert await world.settled() == [(event_id, endpoint.id, "failed", 10)]
        await asyncio.sleep(0.2)
    assert len(world.receiver.received) == 10


async def test_an_earlier_event_about_the_same_object_is_never_overtaken(world: World) -> None:
    await world.endpoint()
    world.receiver.answer_next(500, 500, 500)
    about = uuid4()
    same = [await world.happen(about=about, step=step) for step in range(4)]
    async with world.delivering():
        await world.settled()
    order = [received["id"] for received in world.receiver.received if received["answered"] == 204]
    assert order == [encode_id("evt", one) for one in same]
    assert ids(world)[:4] == [encode_id("evt", same[0])] * 4


async def test_events_of_other_objects_go_on_meanwhile(world: World) -> None:
    await world.endpoint()
    world.receiver.answer_next(500)
    about = uuid4()
    failing = await world.happen(about=about)

    def tomorrow(owed: Owed, reply: Reply) -> Verdict:
        return policy.judge(owed, reply, now(), delays_s=[86400])

    async with world.delivering(judge=tomorrow):
        await until(lambda: ids(world))
        waiting, other = await world.happen(about=about), await world.happen()
        await until(lambda: encode_id("evt", other) in ids(world))
    assert encode_id("evt", waiting) not in ids(world)
    in_line = await world.rows(
        "SELECT event_id, next_attempt_at IS NULL FROM webhooks.deliveries"
        " WHERE tenant_id = %s AND status = 'pending' ORDER BY event_id",
        world.tenant_id,
    )
    assert in_line == [(failing, False), (waiting, True)]


async def test_the_next_in_line_goes_on_when_the_one_before_is_given_up(world: World) -> None:
    await world.endpoint()
    world.receiver.answer_next(*[500] * 10)
    about = uuid4()
    first, second = [await world.happen(about=about) for _ in range(2)]
    async with world.delivering():
        settled = await world.settled()
    assert [(event, status) for event, _, status, _ in settled] == [(first, "failed"), (second, "delivered")]


async def test_gone_disables_the_endpoint_and_tells_the_others(world: World) -> None:
    gone = await world.endpoint("thing.*")
    watcher = await world.endpoint("webhook_endpoint.*")
    world.receiver.answer_next(410)
    about = uuid4()
    for _ in range(3):
        await world.happen(about=about)
    async with world.delivering():
        settled = await world.settled()
    assert [status for _, endpoint, status, _ in settled if endpoint == gone.id] == [
        "failed",
        "discarded",
        "discarded",
    ]
    assert [status for _, endpoint, status, _ in settled if endpoint == watcher.id] == ["delivered"]
    told = world.receiver.received[-1]["event"]
    assert told["type"] == "webhook_endpoint.disabled"
    assert told["data"]["object"]["id"] == encode_id("we", gone.id)
    assert told["data"]["object"]["disabled_reason"] == "gone"
    now_disabled = await service.get_endpoint(world.webhooks, world.tenant_id, None, gone.id)
    assert (now_disabled.status, now_disabled.disabled_reason) == ("disabled", "gone")
    async with world.webhooks.database.tenant(world.tenant_id) as connection:
        cursor = await connection.execute(
            "SELECT actor FROM audit.log WHERE tenant_id = %s AND entity_id = %s AND action = 'changed'",
            (world.tenant_id, str(gone.id)),
        )
        assert await cursor.fetchall() == [("job:webhooks.deliver",)]


async def test_five_days_of_failure_disable_the_endpoint(world: World) -> None:
    endpoint = await world.endpoint("thing.*")
    await world.rows(
        "UPDATE webhooks.endpoints SET failing_since = %s WHERE tenant_id = %s RETURNING id",
        now() - timedelta(days=5, minutes=1),
        world.tenant_id,
    )
    world.receiver.answer_next(500)
    await world.happen()
    async with world.delivering():
        ((_, _, status, _),) = await world.settled()
    assert status == "discarded"
    disabled = await service.get_endpoint(world.webhooks, world.tenant_id, None, endpoint.id)
    assert disabled.disabled_reason == "failing"


async def test_one_success_ends_a_time_of_failure(world: World) -> None:
    endpoint = await world.endpoint()
    world.receiver.answer_next(500)
    await world.happen()
    seen: list[bool] = []

    def note(owed: Owed, reply: Reply) -> Verdict:
        seen.append(owed.failing_since is not None)
        return fast(owed, reply)

    async with world.delivering(judge=note):
        await world.settled()
    assert seen == [False, True]  # was it marked as failing when it was claimed
    after = await service.get_endpoint(world.webhooks, world.tenant_id, None, endpoint.id)
    assert after.failing_since is None


async def test_retry_after_rests_the_whole_endpoint(world: World) -> None:
    endpoint = await world.endpoint(max_in_flight=1)
    world.receiver.answer_next(429, retry_after="1")
    for _ in range(3):
        await world.happen()
    began = now()
    async with world.delivering():
        await until(lambda: world.receiver.received)
        await asyncio.sleep(0.4)
        assert len(world.receiver.received) == 1
        paused = await service.get_endpoint(world.webhooks, world.tenant_id, None, endpoint.id)
        assert paused.paused_until is not None
        await world.settled()
    assert now() - began >= timedelta(seconds=1)
    assert Counter(ids(world)).most_common(1)[0][1] == 2


async def test_a_dead_endpoint_does_not_hold_up_another(world: World) -> None:
    async def hang(_: Request) -> Response:
        await asyncio.sleep(30)
        return Response()

    async with served(Starlette(routes=[Route("/", hang, methods=["POST"])])) as slow:
        await world.endpoint(url=slow + "/", max_in_flight=2)
        await world.endpoint()
        for _ in range(30):
            await world.happen()
        async with world.delivering(in_flight=8, grace_s=0.1):
            await until(lambda: world.receiver.verified == 30, 5)

            async def busy() -> int:
                ((count,),) = await world.rows(
                    "SELECT count(*) FROM webhooks.deliveries WHERE tenant_id = %s AND claim_id IS NOT NULL",
                    world.tenant_id,
                )
                held: int = count
                return held

            await until(lambda: _is(busy(), 2))  # the slow endpoint's own bound, and nothing else
        # What was on its way when the worker stopped is released, not counted as an attempt.
        ((still, tried),) = await world.rows(
            "SELECT count(claim_id), max(attempt_count) FILTER (WHERE status = 'pending')"
            " FROM webhooks.deliveries WHERE tenant_id = %s",
            world.tenant_id,
        )
        assert (still, tried) == (0, 0)


async def _is(count: Awaitable[int], expected: int) -> bool:
    return await count == expected


async def test_a_failing_endpoint_gets_one_request_at_a_time(world: World) -> None:
    endpoint = await world.endpoint(max_in_flight=10)
    await world.rows(
        "UPDATE webhooks.endpoints SET failing_since = now() WHERE tenant_id = %s RETURNING id",
        world.tenant_id,
    )
    for _ in range(5):
        await world.happen()
    async with world.webhooks.database.tenant(world.tenant_id) as connection:
        assert await store.fan_out(connection, world.tenant_id, 100) == 5
        claimed = await store.claim(connection, world.tenant_id, timedelta(seconds=30), 100)
    assert [owed.endpoint_id for owed in claimed] == [endpoint.id]


async def test_what_a_dead_worker_leased_is_delivered_when_the_lease_ends(world: World) -> None:
    await world.endpoint()
    event_id = await world.happen()
    async with world.webhooks.database.tenant(world.tenant_id) as connection:
        await store.fan_out(connection, world.tenant_id, 100)
        assert len(await store.claim(connection, world.tenant_id, timedelta(seconds=1), 100)) == 1
    async with world.delivering():
        await asyncio.sleep(0.4)
        assert not world.receiver.received
        await world.settled()
    assert ids(world) == [encode_id("evt", event_id)]


async def test_a_late_answer_after_the_lease_does_not_undo_what_came_since(world: World) -> None:
    await world.endpoint()
    event_id = await world.happen()
    async with world.webhooks.database.tenant(world.tenant_id) as connection:
        await store.fan_out(connection, world.tenant_id, 100)
        (late,) = await store.claim(connection, world.tenant_id, timedelta(seconds=0), 100)
    async with world.delivering():
        await world.settled()
    finish = Coalescer(world.webhooks.database, store.FINISH)
    failed = Reply(None, Failure.TIMEOUT, None, 15000)
    verdict = Verdict(Result.RETRY, now())
    item = Finished(new_id(), late, failed, verdict)
    assert not await finish.call(world.tenant_id, item)
    assert not await finish.call(world.tenant_id, item)  # the same once more changes nothing
    assert [status for _, _, status, _ in await world.deliveries()] == ["delivered"]
    ((attempts,),) = await world.rows(
        "SELECT count(*) FROM webhooks.attempts WHERE tenant_id = %s AND event_id = %s",
        world.tenant_id,
        event_id,
    )
    assert attempts == 2


async def test_several_workers_deliver_each_event_once_and_in_order(world: World) -> None:
    await world.endpoint(max_in_flight=20)
    objects = [uuid4() for _ in range(10)]
    events = [(await world.happen(about=objects[n % 10]), objects[n % 10]) for n in range(100)]
    async with world.delivering(), world.delivering(), world.delivering():
        settled = await world.settled(20)
    assert len(settled) == 100
    assert Counter(ids(world)) == Counter({encode_id("evt", event): 1 for event, _ in events})
    for about in objects:
        mine = [encode_id("evt", event) for event, of in events if of == about]
        assert [one for one in ids(world) if one in set(mine)] == mine


async def test_fan_out_twice_makes_no_second_delivery(world: World) -> None:
    await world.endpoint()
    event_id = await world.happen()
    for _ in range(2):
        async with world.webhooks.database.tenant(world.tenant_id) as connection:
            assert await store.fan_out(connection, world.tenant_id, 100) == 1
            await connection.execute(
                "INSERT INTO kernel.outbox (tenant_id, event_id) VALUES (%s, %s)", (world.tenant_id, event_id)
            )
    assert len(await world.deliveries()) == 1


async def test_an_undone_fan_out_leaves_the_outbox_as_it_was(world: World) -> None:
    await world.endpoint()
    await world.happen()
    with pytest.raises(RuntimeError, match="killed"):
        async with world.webhooks.database.tenant(world.tenant_id) as connection:
            assert await store.fan_out(connection, world.tenant_id, 100) == 1
            raise RuntimeError("killed")
    assert await world.deliveries() == []
    async with world.delivering():
        assert len(await world.settled()) == 1


async def test_redirects_are_not_followed(world: World) -> None:
    async def away(_: Request) -> Response:
        return Response(status_code=307, headers={"location": world.url})

    async with served(Starlette(routes=[Route("/", away, methods=["POST"])])) as url:
        await world.endpoint(url=url + "/")
        await world.happen()
        async with world.delivering():
            ((_, _, status, _),) = await world.settled()
    assert (status, world.receiver.verified, world.receiver.refused) == ("failed", 0, 0)
    kinds = await world.rows(
        "SELECT DISTINCT error FROM webhooks.attempts WHERE tenant_id = %s", world.tenant_id
    )
    assert kinds == [("redirected",)]


async def test_private_addresses_are_refused_at_the_time_of_sending(world: World) -> None:
    endpoint = await world.endpoint()
    await world.happen()
    async with world.delivering(confinement=Confinement()):
        await world.settled()
    errors = await world.rows(
        "SELECT DISTINCT error, endpoint_id FROM webhooks.attempts WHERE tenant_id = %s", world.tenant_id
    )
    assert errors == [("address_refused", endpoint.id)]
    assert not world.receiver.received


async def test_answers_are_kept_to_1000_characters_whatever_they_hold(world: World) -> None:
    async def babble(_: Request) -> Response:
        return Response(b"\xff\x00" + "é".encode() * 100_000, 400)

    async with served(Starlette(routes=[Route("/", babble, methods=["POST"])])) as url:
        await world.endpoint(url=url + "/")
        await world.happen()
        async with world.delivering():
            await world.settled()
    ((excerpt,), *_) = await world.rows(
        "SELECT response_excerpt FROM webhooks.attempts WHERE tenant_id = %s", world.tenant_id
    )
    assert len(excerpt) == MAX_EXCERPT
    assert "\0" not in excerpt


async def test_rotated_secrets_sign_together_until_the_old_one_expires(world: World) -> None:
    endpoint = await world.endpoint()
    old_verifier = world.receiver._verifiers[-1]
    _, until_when = await service.rotate_secret(
        world.webhooks, world.tenant_id, None, endpoint.id, timedelta(hours=1)
    )
    assert until_when > now()
    await world.happen()
    async with world.delivering():
        await world.settled()
    assert (world.receiver.verified, world.receiver.refused) == (1, 0)  # by the old secret
    new, _ = await service.rotate_secret(world.webhooks, world.tenant_id, None, endpoint.id, timedelta(0))
    world.receiver.add_secret(new)
    world.receiver._verifiers.remove(old_verifier)
    await world.happen()
    async with world.delivering():
        await world.settled()
    assert (world.receiver.verified, world.receiver.refused) == (2, 0)


async def test_secrets_are_stored_sealed_and_hidden_from_reports(world: World, database_urls: Any) -> None:
    await world.endpoint()
    ((sealed,),) = await world.rows(
        "SELECT sealed FROM webhooks.secrets WHERE tenant_id = %s", world.tenant_id
    )
    assert b"whsec_" not in sealed
    async with await AsyncConnection.connect(database_urls.readonly) as reports:
        await reports.execute("SET app.tenant_id = 1")
        with pytest.raises(InsufficientPrivilege):
            await reports.execute("SELECT sealed FROM webhooks.secrets")


async def test_a_secret_that_does_not_open_is_our_fault_and_is_tried_again(world: World) -> None:
    endpoint = await world.endpoint()
    await world.rows(
        "UPDATE webhooks.secrets SET sealed = 'x' WHERE tenant_id = %s RETURNING id", world.tenant_id
    )
    event_id = await world.happen()
    async with world.delivering():
        assert await world.settled() == [(event_id, endpoint.id, "failed", 10)]
    kinds = await world.rows(
        "SELECT DISTINCT error FROM webhooks.attempts WHERE tenant_id = %s", world.tenant_id
    )
    assert kinds == [("not_sendable",)]
    unmarked = await service.get_endpoint(world.webhooks, world.tenant_id, None, endpoint.id)
    assert unmarked.failing_since is None


async def test_lost_connections_are_survived(world: World, database_urls: Any) -> None:
    await world.endpoint()
    events = []
    async with world.delivering(), await AsyncConnection.connect(database_urls.root, autocommit=True) as root:
        for _ in range(3):
            await root.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = 'florin'"
            )
            events.append(await _happen_surely(world))
            await asyncio.sleep(0.2)
        await world.settled(20)
    assert set(ids(world)) == {encode_id("evt", event) for event in events}


async def _happen_surely(world: World) -> UUID:
    for _ in range(10):
        try:
            return await world.happen()
        except Unavailable:
            await asyncio.sleep(0.05)
    raise AssertionError("the database stayed away")

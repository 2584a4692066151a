import asyncio
from collections.abc import Mapping

from florin.providers.provider import Outcome, OutcomeStatus
from florin.providers.sandbox import courier as courier_module
from florin.providers.sandbox.courier import Courier
from florin.providers.sandbox.wire import charge_event
from tests.providers.sandbox.conftest import Inbox

EVENT = charge_event("att_1", Outcome(OutcomeStatus.SUCCEEDED, "sbx_1"))


async def test_a_receiver_that_never_takes_it_is_given_up() -> None:
    inbox = Inbox(refusals=1000)
    courier = Courier(inbox.take, b"key", retry_s=0.001)
    before = asyncio.all_tasks()
    courier.send(EVENT, after_s=0)
    await asyncio.gather(*(asyncio.all_tasks() - before))
    assert (inbox.attempts, inbox.received) == (6, [])


async def test_one_stuck_webhook_holds_up_no_other() -> None:
    arrived: list[bytes] = []

    async def deliver(_: Mapping[str, str], body: bytes) -> None:
        if b"att_stuck" in body:
            await asyncio.sleep(60)
        arrived.append(body)

    courier = Courier(deliver, b"key")
    courier.send(charge_event("att_stuck", EVENT.outcome), after_s=0)
    courier.send(EVENT, after_s=0)
    await asyncio.sleep(0.05)
    assert len(arrived) == 1
    assert b"att_1" in arrived[0]
    await courier.close()


async def test_what_is_underway_is_bounded() -> None:
    inbox = Inbox()
    courier = Courier(inbox.take, b"key")
    full = courier_module.MAX_UNDERWAY
    for _ in range(full + 5):
        courier.send(EVENT, after_s=60)
    assert courier.underway == full
    await courier.close()
    assert courier.underway == 0

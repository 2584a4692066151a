import asyncio
from itertools import count

import pytest

from florin.cli.replay.errors import Interrupted, Unreachable
from florin.cli.replay.lanes import run_lanes


async def test_each_lane_keeps_its_order_and_has_one_in_flight() -> None:
    sent: list[str] = []
    in_flight: set[str] = set()

    async def send(item: str) -> None:
        assert item[0] not in in_flight
        in_flight.add(item[0])
        await asyncio.sleep(0)
        in_flight.remove(item[0])
        sent.append(item)

    await run_lanes([["a1", "a2", "a3"], ["b1"], ["c1", "c2"]], send, asyncio.Event())
    assert [item for item in sent if item[0] == "a"] == ["a1", "a2", "a3"]
    assert len(sent) == 6


async def test_lanes_of_one_iterator_share_its_items() -> None:
    sent: list[int] = []

    async def send(item: int) -> None:
        await asyncio.sleep(0)
        sent.append(item)

    await run_lanes([iter(range(10))] * 3, send, asyncio.Event())
    await run_lanes([items := iter(range(10, 20)), items], send, asyncio.Event())
    assert sorted(sent) == list(range(20))


async def test_stop_lets_what_is_in_flight_end() -> None:
    stop = asyncio.Event()
    begun: list[int] = []
    ended: list[int] = []

    async def send(item: int) -> None:
        begun.append(item)
        if item == 5:
            stop.set()
        await asyncio.sleep(0)
        ended.append(item)

    await run_lanes([count(), count(100)], send, stop)
    assert ended == begun
    assert max(ended) == 104


async def test_a_lane_that_was_interrupted_while_waiting_ends_quietly() -> None:
    async def send(_: int) -> None:
        raise Interrupted

    await run_lanes([[1, 2]], send, asyncio.Event())


async def test_the_first_error_gives_the_other_lanes_up() -> None:
    async def send(item: int) -> None:
        if item:
            raise Unreachable("gone")
        await asyncio.sleep(60)

    with pytest.raises(Unreachable, match="gone"):
        await run_lanes([[0], [1]], send, asyncio.Event())


async def test_an_error_of_ours_is_not_hidden() -> None:
    async def send(_: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup) as caught:
        await run_lanes([[1]], send, asyncio.Event())
    assert caught.group_contains(ZeroDivisionError)

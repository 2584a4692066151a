"""Who may hold a connection: counted with connections that only say what they are."""

import asyncio
from ipaddress import ip_network

import pytest

from florin.app.guard import Bounds, Guard, bounds_of
from florin.kernel.errors import Overloaded, TooManyRequests
from florin.kernel.settings import Settings

BUSY = float("inf")


class Line:
    """A connection."""

    def __init__(self, address: str | None = "8.8.8.8", since: float = 0, reason: str | None = None) -> None:
        self.address = address
        self.waiting_since = since
        self.reason = reason
        self.was_cut = False

    def overdue(self, now: float) -> str | None:
        return self.reason

    def cut(self) -> None:
        self.was_cut = True


def guard(connections: int | None = None, per_address: int | None = None) -> Guard:
    return Guard(
        Bounds(connections=connections, per_address=per_address),
        exempt=(ip_network("127.0.0.0/8"), ip_network("10.0.0.0/24")),
        clock=lambda: 100.0,
    )


def test_an_address_has_its_number_and_gets_places_back_as_it_leaves() -> None:
    door = guard(per_address=2)
    lines = [Line(), Line()]
    assert [door.admit(one) for one in lines] == [None, None]
    assert isinstance(door.admit(Line()), TooManyRequests)
    assert door.admit(Line("8.8.4.4")) is None
    door.leave(lines[0])
    door.leave(lines[0])  # twice counts once
    assert door.admit(Line()) is None
    assert isinstance(door.admit(Line()), TooManyRequests)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.7", None, "not an address"])
def test_proxies_and_what_has_no_address_are_not_counted(address: str | None) -> None:
    door = guard(per_address=2)
    assert [door.admit(Line(address)) for _ in range(5)] == [None] * 5


def test_those_that_wait_longest_give_way_and_those_that_are_served_do_not() -> None:
    door = guard(connections=64)
    lines = [Line(since=BUSY if n % 2 else n) for n in range(64)]
    for one in lines:
        assert door.admit(one) is None
    assert door.admit(Line(since=99)) is None
    assert [one.waiting_since for one in lines if one.was_cut] == [0, 2]
    assert len(door) == 63


def test_where_all_are_served_nobody_gives_way() -> None:
    door = guard(connections=2)
    lines = [Line(since=BUSY), Line(since=BUSY)]
    for one in lines:
        assert door.admit(one) is None
    assert isinstance(door.admit(Line()), Overloaded)
    assert not any(one.was_cut for one in lines)


def test_a_sweep_ends_what_is_overdue() -> None:
    door = guard()
    good, bad = Line(), Line(reason="slow_head")
    door.admit(good)
    door.admit(bad)
    door.sweep()
    assert (good.was_cut, bad.was_cut) == (False, True)


async def test_the_sweep_comes_round_to_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("florin.app.guard._SWEEP_S", 0.01)
    door = guard()
    lines = [Line(reason="slow_body") for _ in range(250)]
    for one in lines:
        door.admit(one)
    sweeping = asyncio.ensure_future(door.run())
    await asyncio.sleep(0.2)
    sweeping.cancel()
    assert all(one.was_cut for one in lines)


def test_the_bounds_are_the_settings() -> None:
    chosen = Settings(
        max_connections=50, max_connections_per_address=5, keep_alive_s=7, request_timeout_s=3.5
    )
    assert bounds_of(chosen) == Bounds(connections=50, per_address=5, keep_alive_s=7, request_s=3.5)

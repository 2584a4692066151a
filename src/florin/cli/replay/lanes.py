"""Concurrent work in lanes: each lane has one request in flight."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

from florin.cli.replay.errors import Interrupted, ReplayError

Item = TypeVar("Item")


async def run_lanes(
    lanes: Sequence[Iterable[Item]], send: Callable[[Item], Awaitable[None]], stop: asyncio.Event
) -> None:
    """Sends every lane's items in order, the lanes side by side, until done or `stop`.

    Lanes that are one and the same iterator share its items. What is in flight at `stop` is answered
    before this returns.

    Raises:
        ReplayError: the first that any lane met; the others are given up.
    """

    async def work(lane: Iterable[Item]) -> None:
        for item in lane:
            if stop.is_set():
                return
            try:
                await send(item)
            except Interrupted:
                return

    try:
        async with asyncio.TaskGroup() as group:
            for lane in lanes:
                group.create_task(work(lane))
    except ExceptionGroup as errors:
        first = errors.exceptions[0]
        if isinstance(first, ReplayError):
            raise first from None
        raise

"""The background process, killed and stopped."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from florin.kernel.ids import encode_id
from tests.webhooks.conftest import World, served, until

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def worker(url: str, tenant_id: int, lease_s: float = 60) -> AsyncIterator[asyncio.subprocess.Process]:
    """A worker in a process of its own; it is gone afterwards."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(ROOT / "tests/webhooks/worker_process.py"),
        url,
        str(tenant_id),
        str(lease_s),
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


class SlowReceiver:
    """Takes its time over each webhook, and notes when it has begun and when it has ended."""

    def __init__(self, takes_s: float) -> None:
        self.takes_s = takes_s
        self.begun: list[str] = []
        self.app = Starlette(routes=[Route("/", self.take, methods=["POST"])])

    def has_begun(self, count: int) -> bool:
        return len(self.begun) >= count

    async def take(self, request: Request) -> Response:
        self.begun.append(request.headers["webhook-id"])
        await asyncio.sleep(self.takes_s)
        return Response(status_code=204)


@pytest.mark.slow
async def test_a_worker_killed_in_mid_delivery_loses_and_overtakes_nothing(
    world: World, database_urls: Any
) -> None:
    receiver = SlowReceiver(0.03)
    async with served(receiver.app) as url:
        await world.endpoint(url=url + "/", max_in_flight=8)
        objects = [uuid4() for _ in range(20)]
        events = [(encode_id("evt", await world.happen(about=objects[n % 20])), n % 20) for n in range(200)]
        for kill_at in (20, 60):
            async with worker(database_urls.app, world.tenant_id, lease_s=1) as process:
                await until(partial(receiver.has_begun, kill_at), 20)
                process.kill()
                await process.wait()
        async with worker(database_urls.app, world.tenant_id, lease_s=1):
            settled = await world.settled(30)
    assert len(settled) == 200
    assert {status for *_, status, _ in settled} == {"delivered"}
    assert set(receiver.begun) == {event for event, _ in events}
    # At least once: what was on its way at a kill comes again, eight at most each time.
    assert len(receiver.begun) <= 200 + 2 * 8
    for number in range(20):
        mine = [event for event, of in events if of == number]
        assert list(dict.fromkeys(one for one in receiver.begun if one in set(mine))) == mine


@pytest.mark.slow
async def test_a_worker_that_is_asked_to_stop_leaves_nothing_leased(world: World, database_urls: Any) -> None:
    receiver = SlowReceiver(20)
    async with served(receiver.app) as url:
        await world.endpoint(url=url + "/", max_in_flight=3)
        for _ in range(5):
            await world.happen()
        async with worker(database_urls.app, world.tenant_id) as process:
            await until(partial(receiver.has_begun, 3), 20)
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), 15) == 0
    rows = await world.rows(
        "SELECT status, attempt_count, claim_id IS NULL, next_attempt_at <= now() FROM webhooks.deliveries"
        " WHERE tenant_id = %s",
        world.tenant_id,
    )
    assert rows == [("pending", 0, True, True)] * 5


async def test_a_notice_wakes_the_worker_before_its_sweep(world: World) -> None:
    await world.endpoint()
    async with world.delivering(sweep_every_s=3600) as deliverer:
        await asyncio.sleep(0.3)
        await world.happen()
        await asyncio.sleep(0.3)
        assert world.receiver.verified == 0
        for noise in ("", "x", "-1", "99999999"):
            deliverer.heard(noise)
        deliverer.heard(str(world.tenant_id))
        await until(lambda: world.receiver.verified == 1, 5)
        await world.happen()
        deliverer.heard(None)  # notices may have been missed
        await until(lambda: world.receiver.verified == 2, 5)

"""Endpoints, events and a receiver on loopback; only the receiver stands for the world outside."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
import uvicorn

from florin.kernel.clock import now
from florin.kernel.crypto import KeyRing
from florin.kernel.db import Database
from florin.kernel.events import register
from florin.kernel.ids import new_id
from florin.kernel.notify import Notifier
from florin.kernel.outbound import Confinement
from florin.webhooks import policy, service
from florin.webhooks.delivery import Deliverer
from florin.webhooks.model import Endpoint, Owed, Reply, Verdict
from florin.webhooks.receiver import Receiver
from florin.webhooks.service import EndpointSettings, Webhooks

register("thing", dict)

FAST_DELAYS_S = (0.05,) * 9


def fast(owed: Owed, reply: Reply) -> Verdict:
    """The published policy with delays of a moment."""
    return policy.judge(owed, reply, now(), delays_s=FAST_DELAYS_S)


async def until(check: Callable[[], Any], within_s: float = 10) -> None:
    """Waits until `check()`, plain or async, is true."""
    async with asyncio.timeout(within_s):
        while True:
            found = check()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return
            await asyncio.sleep(0.02)


@asynccontextmanager
async def served(app: Any) -> AsyncIterator[str]:
    """The base URL of an ASGI application, served on loopback."""
    config = uvicorn.Config(
        app, port=0, lifespan="off", ws="none", log_level="critical", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    task = asyncio.get_running_loop().create_task(server.serve())
    await until(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await task


@pytest.fixture(scope="module")
async def database(database_urls: Any) -> AsyncIterator[Database]:
    async with Database(database_urls.app, size=6) as opened:
        yield opened


@pytest.fixture(scope="module")
def webhooks(database: Database) -> Webhooks:
    keys = KeyRing({"k1": bytes(range(32))})
    return Webhooks(database, Notifier(database), keys, Confinement(allow_private=True))


@pytest.fixture
async def tenant_id(database: Database) -> int:
    """A tenant of the test's own."""
    async with database.platform() as connection:
        cursor = await connection.execute(
            "INSERT INTO tenancy.registry (code, live) VALUES (%s, false) RETURNING tenant_id",
            (f"T{uuid4().hex[:12].upper()}",),
        )
        row = await cursor.fetchone()
    assert row is not None
    made: int = row[0]
    return made


@dataclass
class World:
    """One tenant, and what may happen to it."""

    webhooks: Webhooks
    tenant_id: int
    receiver: Receiver
    url: str

    async def endpoint(
        self, *events: str, url: str | None = None, partner_id: UUID | None = None, **settings: Any
    ) -> Endpoint:
        """An endpoint whose webhooks the receiver verifies."""
        wanted = EndpointSettings(url or self.url, events or ("*",), **settings)
        endpoint, secret = await service.create_endpoint(self.webhooks, self.tenant_id, partner_id, wanted)
        self.receiver.add_secret(secret)
        return endpoint

    async def happen(
        self, kind: str = "thing.made", about: UUID | None = None, partner_id: UUID | None = None, **data: Any
    ) -> UUID:
        """An event with its outbox row, as a feature writes them."""
        event_id, object_id = new_id(), about or new_id()
        async with self.webhooks.database.tenant(self.tenant_id) as connection:
            await connection.execute(
                "INSERT INTO kernel.events (tenant_id, id, type, object_id, partner_id, occurred_at, data)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s)",
                (
                    self.tenant_id,
                    event_id,
                    kind,
                    object_id,
                    partner_id,
                    now(),
                    orjson.dumps({"id": str(object_id), **data}).decode(),
                ),
            )
            await connection.execute(
                "INSERT INTO kernel.outbox (tenant_id, event_id) VALUES (%s, %s)", (self.tenant_id, event_id)
            )
        return event_id

    async def rows(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """What a query finds in this tenant's context."""
        async with self.webhooks.database.tenant(self.tenant_id) as connection:
            return await (await connection.execute(statement.encode(), parameters)).fetchall()

    async def deliveries(self) -> list[tuple[Any, ...]]:
        """(event id, endpoint id, status, attempts) in the order of events."""
        return await self.rows(
            "SELECT event_id, endpoint_id, status, attempt_count FROM webhooks.deliveries"
            " WHERE tenant_id = %s ORDER BY event_id, endpoint_id",
            self.tenant_id,
        )

    async def tenants(self) -> list[int]:
        """This one."""
        return [self.tenant_id]

    @asynccontextmanager
    async def delivering(self, **options: Any) -> AsyncIterator[Deliverer]:
        """A deliverer at work for this tenant."""
        defaults: dict[str, Any] = {"sweep_every_s": 0.05, "grace_s": 1, "judge": fast}
        defaults |= {"confinement": self.webhooks.confinement, "tenants": self.tenants}
        deliverer = Deliverer(self.webhooks.database, self.webhooks.keys, **(defaults | options))
        task = asyncio.get_running_loop().create_task(deliverer.run())
        try:
            yield deliverer
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def settled(self, within_s: float = 10) -> list[tuple[Any, ...]]:
        """The deliveries, once the outbox is empty and none is pending."""

        async def check() -> bool:
            (row,) = await self.rows(
                "SELECT (SELECT count(*) FROM kernel.outbox WHERE tenant_id = %s)"
                " + (SELECT count(*) FROM webhooks.deliveries WHERE tenant_id = %s AND status = 'pending')",
                self.tenant_id,
                self.tenant_id,
            )
            return bool(row[0] == 0)

        await until(check, within_s)
        return await self.deliveries()


@pytest.fixture
async def world(webhooks: Webhooks, tenant_id: int) -> AsyncIterator[World]:
    receiver = Receiver([])
    async with served(receiver.app) as url:
        yield World(webhooks, tenant_id, receiver, url + "/")

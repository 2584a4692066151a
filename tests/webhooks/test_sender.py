import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import orjson
import pytest
from standardwebhooks import Webhook
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from florin.kernel.clock import now
from florin.kernel.crypto import KeyRing
from florin.kernel.ids import encode_id, new_id
from florin.kernel.outbound import Confinement, confined_client
from florin.webhooks.model import Failure, Owed, Reply
from florin.webhooks.sender import Message, NotSendable, compose, send
from florin.webhooks.signing import new_secret, seal
from tests.webhooks.conftest import served

KEYS = KeyRing({"k1": b"1" * 32})
OPEN = Confinement(allow_private=True)
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def owed(secret: str, kind: str = "thing.made", **data: Any) -> Owed:
    endpoint_id = uuid4()
    sealed = seal(KEYS, secret, tenant_id=1, endpoint_id=endpoint_id)
    happened = datetime(2026, 11, 20, tzinfo=UTC)
    return Owed(uuid4(), endpoint_id, new_id(), 0, "https://x.example/", None, [sealed], kind, happened, data)


@asynccontextmanager
async def peer(talk: Talk) -> AsyncIterator[str]:
    """The URL of a server that says what it likes."""

    async def whole(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await talk(reader, writer)
        except ConnectionError:
            return
        finally:
            writer.close()

    server = await asyncio.start_server(whole, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()


async def sent(url: str, timeout_s: float = 5) -> Reply:
    async with confined_client(OPEN) as client:
        return await send(client, OPEN, Message(url, {}, b"{}"), timeout_s=timeout_s)


def test_a_message_is_the_public_event_signed() -> None:
    secret = new_secret()
    what = owed(secret, size=3)
    message = compose(what, KEYS, 1, now())
    event = Webhook(secret).verify(message.body, message.headers)
    assert event == orjson.loads(message.body)
    assert event["id"] == message.headers["webhook-id"] == encode_id("evt", what.event_id)
    assert (event["type"], event["created_at"]) == ("thing.made", "2026-11-20T00:00:00Z")
    assert event["data"] == {"object": {"size": 3}}


def test_an_event_that_nobody_can_render_or_another_tenants_secret_is_not_sent() -> None:
    with pytest.raises(NotSendable, match="unheard_of"):
        compose(owed(new_secret(), "unheard_of.made"), KEYS, 1, now())
    with pytest.raises(NotSendable, match="does not open"):
        compose(owed(new_secret()), KEYS, 2, now())


async def test_an_answer_that_trickles_for_ever_is_a_time_out() -> None:
    async def trickle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        for _step in range(100):
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    async with peer(trickle) as url:
        reply = await sent(url, timeout_s=0.3)
    assert (reply.status_code, reply.error) == (None, Failure.TIMEOUT)
    assert 250 <= reply.duration_ms < 3000


async def test_silence_is_a_time_out() -> None:
    async def silence(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        await asyncio.sleep(2)

    async with peer(silence) as url:
        assert (await sent(url, timeout_s=0.2)).error is Failure.TIMEOUT


async def test_an_endless_answer_is_read_in_part_and_counts() -> None:
    async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    async with peer(flood) as url:
        reply = await sent(url)
    assert (reply.status_code, reply.error, reply.excerpt) == (200, None, "x" * 1000)


@pytest.mark.parametrize("noise", [b"", b"\0\1\2", b"HTTP/1.1 2x0 OK\r\n\r\n", b"SSH-2.0-x\r\n"])
async def test_what_is_not_http_is_a_failure(noise: bytes) -> None:
    async def babble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(noise)
        await writer.drain()

    async with peer(babble) as url:
        assert (await sent(url)).error is Failure.PROTOCOL_ERROR


async def test_a_closed_port_is_a_failed_connection() -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    server.close()
    await server.wait_closed()
    assert (await sent(url)).error is Failure.CONNECTION_FAILED


async def test_a_url_that_is_no_longer_allowed_is_not_sent_to() -> None:
    async with confined_client(Confinement()) as client:
        for url in ("http://shop.example/", "https://10.0.0.1/"):
            reply = await send(client, Confinement(), Message(url, {}, b"{}"))
            assert (reply.error, reply.status_code) == (Failure.ADDRESS_REFUSED, None)


async def test_headers_of_the_answer_that_matter_are_kept() -> None:
    async def busy(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 429 Busy\r\nretry-after: 7\r\ncontent-length: 4\r\n\r\nbusy")
        await writer.drain()

    async with peer(busy) as url:
        reply = await sent(url)
    assert (reply.status_code, reply.retry_after, reply.excerpt) == (429, "7", "busy")


async def test_requests_to_one_host_reuse_their_connection() -> None:
    ports = set()

    async def take(request: Request) -> Response:
        assert request.client is not None
        ports.add(request.client.port)
        return Response("thanks")

    app = Starlette(routes=[Route("/", take, methods=["POST"])])
    async with served(app) as url, confined_client(OPEN) as client:
        for _ in range(5):
            assert (await send(client, OPEN, Message(url + "/", {}, b"{}"))).error is None
    assert len(ports) == 1


def test_httpx_still_has_the_pool_that_is_replaced() -> None:
    transport = httpx.AsyncHTTPTransport()
    assert type(transport._pool).__module__.startswith("httpcore")

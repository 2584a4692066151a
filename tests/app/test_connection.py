"""Connections over a real socket, with bounds small enough to wait for."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from florin.app.guard import Bounds, Guard
from florin.app.serve import Server, bind
from florin.kernel.http.gate import GIVEN_UP, UNHURRIED

BOUNDS = Bounds(
    head_s=0.4,
    body_s=0.4,
    stalled_s=0.4,
    min_bytes_per_s=1_000_000,
    request_s=0.4,
    keep_alive_s=1,
    head_bytes=4096,
    headers=20,
    url_bytes=1024,
)
BIG = 32 * 1024 * 1024
"""More than the sockets of both sides hold for a reader who does not read."""


@dataclass
class House:
    """A server with a small application, and what befell it."""

    port: int
    guard: Guard
    cancelled: list[bool] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def ask(self, request: bytes) -> bytes:
        """Everything that comes back until the server hangs up."""
        reader, writer = await self.connect()
        writer.write(request)
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        return answer


def application(house: House) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    async def answer(send: Send, body: bytes, status: int = 200) -> None:
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message: Message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        house.bodies.append(body)
        match scope["path"]:
            case "/slow" | "/unhurried":
                if scope["path"] == "/unhurried":
                    scope[UNHURRIED] = True
                try:
                    await asyncio.sleep(2.0)
                except asyncio.CancelledError:
                    house.cancelled.append(GIVEN_UP in scope)
                    task = asyncio.current_task()
                    assert task is not None
                    task.uncancel()
                    await answer(send, b"given up", 504)
                    return
                await answer(send, b"slept")
            case "/big":
                await answer(send, bytes(BIG))
            case _:
                await answer(send, b"hello")

    return application


@asynccontextmanager
async def serving(bounds: Bounds = BOUNDS, **options: Any) -> AsyncIterator[House]:
    guard = Guard(bounds, **options)
    with bind("127.0.0.1", 0) as listening:
        house = House(listening.getsockname()[1], guard)
        server = Server(application(house), guard=guard, lifespan=False)
        task = asyncio.create_task(server.serve([listening]))
        sweeping = asyncio.create_task(_sweep_often(guard))
        while not server.started or not server.servers:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        try:
            yield house
        finally:
            sweeping.cancel()
            server.should_exit = True
            await task


async def _sweep_often(guard: Guard) -> None:
    while True:
        await asyncio.sleep(0.05)
        guard.sweep()


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def problem_of(answer: bytes) -> dict[str, Any]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head
    assert b"connection: close" in head
    assert b"\r\nserver:" not in head.lower()
    found: dict[str, Any] = json.loads(body)
    assert found["request_id"].startswith("req_")
    return found


GET = b"GET / HTTP/1.1\r\nhost: x\r\n"


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (b"GET /" + b"a" * 1100 + b" HTTP/1.1\r\nhost: x\r\n\r\n", 414, "url_too_long"),
        (b"GET /?" + b"a" * 100_000, 414, "url_too_long"),
        (GET + b"".join(b"x-%d: y\r\n" % n for n in range(21)) + b"\r\n", 431, "headers_too_large"),
        (GET + b"x: " + b"y" * 5000 + b"\r\n\r\n", 431, "headers_too_large"),
        (GET + b"x: " + b"y" * 100_000, 431, "headers_too_large"),
        (GET + b"x" * 100_000, 431, "headers_too_large"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "malformed_request"),
        (b"GET / HTTP/9.9\r\n\r\n", 400, "malformed_request"),
        (GET + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400, "malformed_request"),
        (GET + b"content-length: 5\r\ncontent-length: 6\r\n\r\nhello", 400, "malformed_request"),
        (GET + b"content-length: -5\r\n\r\n", 400, "malformed_request"),
        (GET + b"transfer-encoding: chunked\r\n\r\nnonsense\r\n", 400, "malformed_request"),
        (GET + b"bad header: x\r\n\r\n", 400, "malformed_request"),
    ],
)
async def test_what_is_too_large_or_no_http_is_a_problem_and_the_end(
    request_: bytes, status: int, code: str
) -> None:
    async with serving() as house:
        answer = await house.ask(request_)
        assert (status_of(answer), problem_of(answer)["code"]) == (status, code)
        assert len(house.guard) == 0


async def test_a_large_body_in_the_same_piece_is_no_large_head() -> None:
    async with serving() as house:
        request = b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 60000\r\n\r\n"
        assert status_of(await house.ask(request + b"x" * 60_000)) == 200
        assert house.bodies == [b"x" * 60_000]


@pytest.mark.parametrize(
    "beginning",
    [
        b"",
        b"GET",
        b"\r\n",
        GET,
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n",
    ],
)
async def test_a_request_that_comes_byte_by_byte_is_cut_off(beginning: bytes) -> None:
    async with serving() as house:
        reader, writer = await house.connect()
        writer.write(beginning)
        begun = asyncio.get_running_loop().time()
        piece = b"1\r\nx\r\n" if b"chunked" in beginning else b"x"
        while not reader.at_eof() and reader.exception() is None:
            if beginning:
                writer.write(piece)
            await asyncio.sleep(0.05)
            assert asyncio.get_running_loop().time() - begun < 3, "it is still served"
        writer.close()
        assert len(house.guard) == 0


async def test_between_two_requests_there_is_the_same_patience_as_before_the_first() -> None:
    async with serving() as house:
        reader, writer = await house.connect()
        writer.write(GET + b"\r\n")
        assert b"hello" in await reader.readuntil(b"hello")
        writer.write(b"G")  # which stops uvicorn's own clock for idle connections
        assert await asyncio.wait_for(_rest(reader), 2) == b""
        writer.close()


async def test_a_connection_that_rests_too_long_is_closed() -> None:
    async with serving() as house:
        reader, writer = await house.connect()
        writer.write(GET + b"\r\n")
        await reader.readuntil(b"hello")
        await asyncio.sleep(0.6)
        writer.write(GET + b"\r\n")
        await reader.readuntil(b"hello")
        assert await asyncio.wait_for(reader.read(), 2) == b""
        writer.close()


async def _rest_of(client: socket.socket) -> int:
    """How many bytes come until the connection ends, however it ends."""
    size, loop = 0, asyncio.get_running_loop()
    try:
        while piece := await asyncio.wait_for(loop.sock_recv(client, 65_536), 2):
            size += len(piece)
    except ConnectionError:
        pass
    return size


async def test_who_does_not_read_the_answer_is_cut_off() -> None:
    async with serving(replace(BOUNDS, min_bytes_per_s=10**9)) as house:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(client, ("127.0.0.1", house.port))
            await loop.sock_sendall(client, b"GET /big HTTP/1.1\r\nhost: x\r\n\r\n")
            await _until(lambda: bool(house.bodies) and len(house.guard) == 0)
            assert await _rest_of(client) < BIG, "the answer was never whole"


async def test_who_reads_steadily_gets_everything() -> None:
    async with serving() as house:
        reader, writer = await house.connect()
        writer.write(b"GET /big HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        size = 0
        while piece := await reader.read(1024 * 1024):
            size += len(piece)
            await asyncio.sleep(0.002)
        assert size > BIG
        writer.close()


async def test_a_request_that_takes_too_long_is_told_so_and_the_connection_goes_on() -> None:
    async with serving() as house:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{house.port}") as client:
            assert (await client.get("/slow")).status_code == 504
            assert (await client.get("/")).text == "hello"
        assert house.cancelled == [True]


async def test_the_clock_runs_for_the_request_that_is_answered_and_not_for_those_that_queue() -> None:
    async with serving() as house:
        closing = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        answer = await house.ask(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n" + closing)
        assert answer.index(b"504") < answer.index(b"hello")
        assert house.cancelled == [True]


async def test_what_may_take_its_time_does() -> None:
    async with serving() as house, httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{house.port}/unhurried")
        assert (answer.status_code, answer.text, house.cancelled) == (200, "slept", [])


async def test_nonsense_behind_a_request_does_not_spoil_its_answer() -> None:
    async with serving() as house:
        answer = await house.ask(GET + b"\r\n\x00nonsense")
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"400" not in answer


async def test_one_address_has_so_many_connections_and_no_more() -> None:
    async with serving(replace(BOUNDS, per_address=3, head_s=5), exempt=()) as house:
        held = [await house.connect() for _ in range(3)]
        await _until(lambda: len(house.guard) == 3)
        refused = await house.ask(b"")
        assert (status_of(refused), problem_of(refused)["code"]) == (429, "too_many_requests")
        held.pop()[1].close()
        await _until(lambda: len(house.guard) == 2)
        assert b"hello" in await house.ask(GET + b"connection: close\r\n\r\n")
        for _, writer in held:
            writer.close()


async def test_two_hundred_slow_connections_give_way_to_whoever_asks() -> None:
    async with serving(replace(BOUNDS, connections=200, head_s=30)) as house:
        slow = [await house.connect() for _ in range(200)]
        for _, writer in slow:
            writer.write(b"POST / HTTP/1.1\r\nhost: x\r\nx-slow: ")
        await _until(lambda: len(house.guard) == 200)
        for _ in range(20):
            begun = asyncio.get_running_loop().time()
            assert b"hello" in await house.ask(GET + b"connection: close\r\n\r\n")
            assert asyncio.get_running_loop().time() - begun < 0.5
        assert 150 < len(house.guard) < 200
        for _, writer in slow:
            writer.close()


async def test_where_everybody_is_served_a_newcomer_has_to_wait() -> None:
    async with serving(replace(BOUNDS, connections=2, request_s=5)) as house:
        held = [await house.connect() for _ in range(2)]
        for _, writer in held:
            writer.write(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n")
        await _until(lambda: len(house.bodies) == 2)
        refused = await house.ask(b"")
        assert (status_of(refused), problem_of(refused)["code"]) == (503, "overloaded")
        assert b"retry-after: 1" in refused
        for reader, writer in held:
            assert b"slept" in await reader.readuntil(b"slept")
            writer.close()


async def _rest(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionError:
        return b""


async def _until(true: Callable[[], bool], timeout_s: float = 5) -> None:
    async with asyncio.timeout(timeout_s):
        while not true():  # noqa: ASYNC110 - whatever is waited for
            await asyncio.sleep(0.02)

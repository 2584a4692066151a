"""API7:2023, server side request forgery: a client sends Florin to the public internet or nowhere."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import florin
from florin.kernel.outbound import Confinement, confined_client
from florin.webhooks.model import Failure
from florin.webhooks.sender import Message, send
from tests.flows.world import Operation, with_value
from tests.owasp.house import OPERATIONS, House

INSIDE = (
    "http://shop.example/hook",
    "https://127.0.0.1/",
    "https://localhost/",
    "https://2130706433/",
    "https://0x7f.1/",
    "https://[::1]/",
    "https://[::ffff:10.0.0.1]/",
    "https://10.0.0.8/",
    "https://169.254.169.254/latest/meta-data/",
    "https://metadata.google.internal/",
    "https://user:password@shop.example/",
    "https://shop.example:22/",
    "https://shop.example#@127.0.0.1/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_FLUSHALL",
    "https://shop.example/\r\nx: y",
)
FETCHED = [one for one in OPERATIONS if "url" in one.properties]
"""Whose `url` is called by us; `return_url` and its like are where a buyer's browser goes."""


@pytest.mark.parametrize("operation", FETCHED, ids=[one.name for one in FETCHED])
def test_an_address_within_is_refused_by_name(house: House, operation: Operation) -> None:
    before = house.digest()
    for url in INSIDE:
        body = with_value(house.ours.body(operation) or {}, ("url",), url)
        answer = house.ours.request(operation.method, house.ours.path(operation), json=body)
        assert answer.status_code == 422, (url, answer.text)
        assert answer.json()["param"] == "url"
    assert house.digest() == before


def test_there_are_operations_that_take_an_address() -> None:
    assert {"createWebhookEndpoint", "updateWebhookEndpoint"} <= {one.name for one in FETCHED}


@asynccontextmanager
async def saying(answer: bytes) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A port that says this to everybody, and what it was asked."""
    asked: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], asked


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_webhook_that_is_sent_on_to_an_address_within_does_not_go_there(status: int) -> None:
    async with saying(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecret") as (inner, asked_inside):
        there = b"HTTP/1.1 %d X\r\nlocation: http://127.0.0.1:%d/secret\r\ncontent-length: 0\r\n\r\n"
        async with saying(there % (status, inner)) as (outer, asked):
            confinement = Confinement(trusted=frozenset({("127.0.0.1", outer)}))
            async with confined_client(confinement) as client:
                message = Message(f"http://127.0.0.1:{outer}/hook", {}, b"{}")
                reply = await send(client, confinement, message)
    assert (reply.error, reply.status_code) == (Failure.REDIRECTED, status)
    assert "secret" not in (reply.excerpt or "")
    assert len(asked) == 1
    assert asked_inside == []


def test_whatever_makes_requests_is_known() -> None:
    """A new caller of the network has to be looked at: does a client choose where it goes?"""
    source = Path(florin.__file__).parent
    found = {
        str(path.relative_to(source))
        for path in source.rglob("*.py")
        if any(
            sign in path.read_text()
            for sign in (
                "httpx.AsyncClient(",
                "httpx.Client(",
                "ClientSession(",
                "urlopen(",
                "httpx.get(",
                "httpx.post(",
            )
        )
    }
    beyond = {path for path in found if not path.startswith(("cli/bench/", "cli/replay/"))}
    assert beyond == {
        "kernel/outbound.py",  # the confined client
        "cli/run.py",  # asks the API that it has started whether it serves
        "providers/sandbox/client.py",  # FLORIN_SANDBOX_URL, the operator's
        "providers/sandbox/server.py",  # a stand-alone sandbox calls the platform that the operator names
    }

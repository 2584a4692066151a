import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

import httpx
import pytest

from florin.providers.provider import NotSent, OutcomeStatus, OutcomeUnknown
from florin.providers.sandbox.client import HttpSandbox
from florin.providers.sandbox.keys import SandboxKeys
from tests.providers.sandbox.conftest import ANSWER_TIMEOUT_S, KEYS, make_charge, over_http, stats

OK = b'{"reference": "%s", "status": "succeeded"}'


@asynccontextmanager
async def at(url: str, keys: SandboxKeys = KEYS) -> AsyncIterator[HttpSandbox]:
    client = HttpSandbox(url, keys=keys, answer_timeout_s=ANSWER_TIMEOUT_S, retry_s=0.01)
    yield client
    await client.close()


@asynccontextmanager
async def answering(answer: bytes, *, reset: bool = False) -> AsyncIterator[tuple[HttpSandbox, list[bytes]]]:
    """A client of a server that says `answer` to each request, then hangs up; and what it was asked."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        if reset:
            writer.transport.abort()
        else:
            await writer.drain()
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, at(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as client:
        yield client, asked


def http(status: int, body: bytes) -> bytes:
    return b"HTTP/1.1 %d X\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b" % (status, len(body), body)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


async def test_a_refused_connection_means_not_sent() -> None:
    async with at(f"http://127.0.0.1:{free_port()}") as client:
        with pytest.raises(NotSent):
            await client.charge(make_charge())
        with pytest.raises(NotSent):
            await client.inquire(make_charge())


async def test_a_name_that_does_not_resolve_means_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    async def no_such_name(*_: object, **__: object) -> object:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", no_such_name, raising=False)
    async with at("http://sandbox.invalid") as client:
        with pytest.raises(NotSent):
            await client.charge(make_charge())


async def test_a_connection_that_does_not_stand_in_time_means_not_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tries = 0

    async def too_slow(*_: object, **__: object) -> httpx.Response:
        nonlocal tries
        tries += 1
        raise httpx.ConnectTimeout("")

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", too_slow)
    async with at("http://127.0.0.1:9") as client:
        with pytest.raises(NotSent, match="ConnectTimeout"):
            await client.charge(make_charge())
    assert tries == 3


async def test_a_connection_that_stands_at_the_second_try_charges_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    send, refusals = httpx.AsyncHTTPTransport.handle_async_request, 1

    async def refused_once(transport: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        nonlocal refusals
        if refusals and request.url.path == "/charges":
            refusals -= 1
            raise httpx.ConnectError("refused")
        return await send(transport, request)

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", refused_once)
    async with over_http() as form:
        assert (await form.provider.charge(make_charge())).status is OutcomeStatus.SUCCEEDED
        assert (await stats(form.url))["charge_requests"] == 1
    assert refusals == 0


async def test_no_answer_in_time_means_unknown_and_is_not_tried_again() -> None:
    async with over_http() as form:
        charge = make_charge("tok_timeout_after")
        with pytest.raises(OutcomeUnknown, match="ReadTimeout"):
            await form.provider.charge(charge)
        newest = (await stats(form.url))["newest"]
    assert [(line["reference"], line["requests"]) for line in newest] == [(charge.reference, 1)]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\ncontent-len",
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{",
        b"not http at all\r\n\r\n",
        http(500, b"{}"),
        http(502, b"<html>bad gateway</html>"),
        http(503, b'{"code": "unavailable", "message": "later"}'),
        http(200, b"<html>a captive portal</html>"),
        http(200, b'{"status": "succeeded"}'),
        http(200, b'{"reference": "att_x", "status": "splendid"}'),
        http(200, OK % b"att_of_another"),
        http(302, b""),
        http(404, b"<html>nothing here</html>"),
        http(409, b'{"code": "reference_reused", "message": "another charge"}'),
    ],
)
async def test_anything_but_a_readable_answer_means_unknown(answer: bytes) -> None:
    async with answering(answer) as (client, asked):
        with pytest.raises(OutcomeUnknown):
            await client.charge(make_charge(reference="att_x"))
        assert len(asked) == 1


async def test_a_reset_after_sending_means_unknown() -> None:
    async with answering(b"", reset=True) as (client, asked):
        with pytest.raises(OutcomeUnknown):
            await client.charge(make_charge())
        assert len(asked) == 1


async def test_a_404_that_is_not_the_sandboxs_own_is_no_proof_of_absence() -> None:
    for body in (b"<html>nothing here</html>", b'{"detail": "Not Found"}', b'{"code": "no", "message": ""}'):
        async with answering(http(404, body)) as (client, _):
            with pytest.raises(OutcomeUnknown):
                await client.inquire(make_charge())
            with pytest.raises(OutcomeUnknown):
                await client.inquire_operation("re_1", make_charge())


@pytest.mark.parametrize(
    "status", [HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS]
)
async def test_to_be_turned_away_at_the_door_means_not_sent(status: HTTPStatus) -> None:
    async with answering(http(status, b"{}")) as (client, asked):
        with pytest.raises(NotSent, match=str(status.value)):
            await client.charge(make_charge())
        assert len(asked) == 1


async def test_the_wrong_key_means_not_sent() -> None:
    async with over_http() as form, at(form.url, SandboxKeys.derive("another secret")) as client:
        with pytest.raises(NotSent, match="401"):
            await client.charge(make_charge())


async def test_a_charge_that_the_sandbox_cannot_read_has_failed() -> None:
    async with over_http() as form:
        outcome = await form.provider.charge(make_charge(amount_minor=0))
    assert (outcome.status, outcome.decline_code) == (OutcomeStatus.FAILED, "invalid_request")
    assert "amount_minor" in (outcome.message or "")


async def test_sums_of_captures_and_refunds_are_bounded_by_the_charge() -> None:
    async with over_http() as form:
        charge = make_charge(amount_minor=1000, capture=False)
        await form.provider.charge(charge)
        assert (await form.provider.capture("cap_1", charge, "", 700)).status is OutcomeStatus.SUCCEEDED
        assert (await form.provider.capture("cap_2", charge, "", 301)).decline_code == "amount_too_large"
        assert (await form.provider.refund("re_1", charge, "", 699)).status is OutcomeStatus.SUCCEEDED
        assert (await form.provider.refund("re_2", charge, "", 2)).decline_code == "amount_too_large"
        assert (await form.provider.refund("re_3", charge, "", 1)).status is OutcomeStatus.SUCCEEDED


async def test_an_operation_that_was_never_asked_for_is_unknown_to_the_sandbox() -> None:
    async with over_http() as form:
        assert await form.provider.inquire_operation("re_never", make_charge()) is None


async def test_many_calls_at_once_share_the_connections() -> None:
    async with over_http() as form:
        outcomes = await asyncio.gather(*(form.provider.charge(make_charge()) for _ in range(100)))
    assert {outcome.status for outcome in outcomes} == {OutcomeStatus.SUCCEEDED}
    assert len({outcome.provider_reference for outcome in outcomes}) == 100


SERVER = """
import sys
from florin.providers.sandbox.keys import SandboxKeys
from florin.providers.sandbox.server import SandboxServer, sandbox_app
app = sandbox_app(keys=SandboxKeys.derive(sys.argv[1]))
SandboxServer(app, host="127.0.0.1", port=int(sys.argv[2])).run()
"""


async def test_a_server_killed_in_the_middle_means_unknown_and_then_not_sent() -> None:
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVER, KEYS.api_key, str(port), env=os.environ.copy()
    )
    client = HttpSandbox(f"http://127.0.0.1:{port}", keys=KEYS, answer_timeout_s=20, retry_s=0.01)
    try:
        await until_up(client)
        call = asyncio.create_task(client.charge(make_charge("tok_timeout_after", reference="att_killed")))
        await until_known(client, "att_killed")
        process.send_signal(signal.SIGKILL)
        await process.wait()
        with pytest.raises(OutcomeUnknown):
            await call
        with pytest.raises(NotSent):
            await client.charge(make_charge())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await client.close()


async def until_known(client: HttpSandbox, reference: str) -> None:
    async with asyncio.timeout(10):
        while True:
            if await client.inquire(make_charge(reference=reference)) is not None:
                return
            await asyncio.sleep(0.02)


async def until_up(client: HttpSandbox) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                await client.inquire(make_charge())
            except NotSent:
                await asyncio.sleep(0.05)
            else:
                return


@pytest.mark.parametrize(
    "answer",
    [
        http(200, b"x" * 300_000),
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + (b"2000\r\n" + b"x" * 8192 + b"\r\n") * 50,
        http(200, b"\x1f\x8b\x08\x00").replace(b"\r\nconn", b"\r\ncontent-encoding: gzip\r\nconn"),
        http(200, b"[" * 100_000),
        http(200, b'{"reference": "\\ud800", "status": "succeeded"}'),
        http(200, b'{"reference": {"$gt": ""}, "status": "succeeded"}'),
        http(302, b"").replace(b"\r\nconn", b"\r\nlocation: http://127.0.0.1:1/\r\nconn"),
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 50_000,
        b"\x00" * 1000,
    ],
)
async def test_an_answer_that_no_provider_gives_leaves_the_outcome_unknown(answer: bytes) -> None:
    async with answering(answer) as (client, asked):
        with pytest.raises(OutcomeUnknown):
            await client.charge(make_charge())
        assert len(asked) == 1


async def test_an_answer_that_trickles_for_ever_leaves_the_outcome_unknown() -> None:
    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        try:
            for _ in range(200):
                writer.write(b"x")
                await asyncio.sleep(0.05)
        except ConnectionError:
            return
        finally:
            writer.close()

    server = await asyncio.start_server(trickle, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        client = HttpSandbox(url, keys=KEYS, connect_timeout_s=0.1, answer_timeout_s=0.2)
        with pytest.raises(OutcomeUnknown, match="does not end"):
            await client.charge(make_charge())
        await client.close()

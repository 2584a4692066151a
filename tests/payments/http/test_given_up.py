"""Requests that are given up at their time limit: no half of anything, and one effect when sent again."""

import asyncio
from typing import Any

import httpx
import orjson
import pytest
from starlette.types import ASGIApp, Message

from florin.app.guard import Bounds, Guard
from florin.app.serve import Server, bind
from florin.kernel.http.gate import GIVEN_UP
from florin.payments.recovery import recover
from tests.payments.conftest import Books


def gate_of(client: httpx.AsyncClient) -> ASGIApp:
    transport = client._transport
    assert isinstance(transport, httpx.ASGITransport)
    gate: Any = transport.app
    return gate  # type: ignore[no-any-return]


def payment(token: str) -> dict[str, object]:
    return {"amount": 1000, "currency": "USD", "method": {"type": "card", "token": token}}


async def test_a_provider_that_takes_too_long_is_asked_again_after_its_client_has_gone(
    client: httpx.AsyncClient, books: Books
) -> None:
    guard = Guard(Bounds(request_s=0.2))
    server = Server(gate_of(client), guard=guard, lifespan=False)
    with bind("127.0.0.1", 0) as listening:
        serving = asyncio.create_task(server.serve([listening]))
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1/payments"
        headers = {"authorization": "Bearer tenant", "idempotency-key": "slow"}
        async with httpx.AsyncClient(headers=headers) as outside:
            asking = asyncio.create_task(outside.post(url, json=payment("tok_wait")))
            await books.provider.waiting.wait()
            given_up = await asking
            assert (given_up.status_code, given_up.json()["code"]) == (504, "timed_out")
            assert given_up.headers["retry-after"] == "5"
            in_flight = await outside.post(url, json=payment("tok_wait"))
            assert (in_flight.status_code, in_flight.json()["code"]) == (409, "request_in_flight")
            await asyncio.sleep(0.25)
            books.provider.gate.set()
            assert await recover(books.payments, books.tenant_id) == 1
            again = await outside.post(url, json=payment("tok_wait"))
            assert (again.status_code, again.json()["status"]) == (201, "completed")
            assert again.headers["idempotent-replayed"] == "true"
        server.should_exit = True
        await serving
    assert len(books.provider.charged) == 1
    await books.check()


async def given_up(gate: ASGIApp, key: bytes, after_s: float) -> int | None:
    """Asks for a payment and gives it up after a while. The status; None: there was no time for one."""
    sent: list[Message] = []
    body = orjson.dumps(payment("tok_success"))
    headers = [
        (b"authorization", b"Bearer tenant"),
        (b"content-type", b"application/json"),
        (b"idempotency-key", key),
    ]
    scope: dict[str, Any] = {"type": "http", "method": "POST", "path": "/v1/payments", "headers": headers}
    scope |= {"query_string": b"", "root_path": ""}

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    task = asyncio.ensure_future(gate(scope, receive, send))
    await asyncio.sleep(after_s)
    if not task.done():
        scope[GIVEN_UP] = after_s
        task.cancel()
    await task
    return int(sent[0]["status"]) if sent else None


@pytest.mark.parametrize("seed", [0, 1])
async def test_whenever_a_payment_is_given_up_it_is_one_payment_when_it_is_sent_again(
    client: httpx.AsyncClient, books: Books, seed: int
) -> None:
    keys = [f"key-{n}" for n in range(40)]
    statuses = await asyncio.gather(
        *(given_up(gate_of(client), key.encode(), 0.0004 * (2 * n + seed)) for n, key in enumerate(keys))
    )
    assert set(statuses) <= {201, 504}
    assert 504 in statuses
    await asyncio.sleep(0.25)
    await books.make_due()
    while await recover(books.payments, books.tenant_id):
        await books.make_due()
    for key in keys:
        again = await client.post(
            "/v1/payments", json=payment("tok_success"), headers={"idempotency-key": key}
        )
        assert (again.status_code, again.json()["status"]) == (201, "completed"), again.text
    rows = await books.fetch(
        "SELECT count(*), count(DISTINCT status) FROM payments.payments WHERE tenant_id = %s"
    )
    assert rows == [(len(keys), 1)]
    assert len(books.provider.charged) == len(keys)
    await books.check()

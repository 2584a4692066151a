"""Requests in a transaction of their own that are given up: done or not, and nothing stays locked."""

import asyncio
from typing import Any

import httpx
import orjson
from starlette.types import ASGIApp, Message

from florin.kernel.http.gate import GIVEN_UP
from tests.tenancy.conftest import Api

REFERENCES = [f"given-up-{n}" for n in range(60)]


async def given_up(gate: ASGIApp, authorization: str, reference: str, after_s: float) -> int:
    """Makes a customer and gives it up after a while; the status."""
    sent: list[Message] = []
    body = orjson.dumps({"reference": reference})
    headers = [(b"authorization", authorization.encode()), (b"content-type", b"application/json")]
    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": "/v1/customers",
        "headers": headers,
        "query_string": b"",
        "root_path": "",
    }

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
    return int(sent[0]["status"])


async def test_a_transaction_that_is_given_up_is_done_or_not_and_the_next_one_finds_the_door_open(
    api: Api, client: httpx.AsyncClient
) -> None:
    transport = client._transport
    assert isinstance(transport, httpx.ASGITransport)
    gate: Any = transport.app
    authorization = api._headers["authorization"]
    statuses: dict[str, int] = {}
    for first in range(0, len(REFERENCES), 6):  # as many at once as there are connections, nearly
        some = REFERENCES[first : first + 6]
        found = await asyncio.gather(
            *(given_up(gate, authorization, one, 0.0006 * (first + n)) for n, one in enumerate(some))
        )
        statuses |= dict(zip(some, found, strict=True))
    assert set(statuses.values()) <= {201, 504}
    assert 504 in statuses.values()
    for reference, status in statuses.items():
        again = await api("POST", "customers", {"reference": reference})
        assert again.status_code in (201, 409)
        if status == 201:
            assert again.status_code == 409, "what was acknowledged is there"
    listed = (await api("GET", "customers", limit="100")).json()["data"]
    assert sorted(one["reference"] for one in listed) == sorted(REFERENCES)

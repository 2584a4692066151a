"""The sandbox in both of its forms, with short delays, behind one interface."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import Response

from florin.kernel.clock import now
from florin.providers.provider import Charge, Method, Provider, ProviderEvent
from florin.providers.sandbox.client import HttpSandbox
from florin.providers.sandbox.in_process import InProcessSandbox
from florin.providers.sandbox.keys import SandboxKeys
from florin.providers.sandbox.redirect import redirect_router
from florin.providers.sandbox.rules import Timings
from florin.providers.sandbox.server import SandboxServer, sandbox_app

KEYS = SandboxKeys.derive("sandbox_secret_of_the_tests")
TIMINGS = Timings(slow_s=0.1, late_s=0.5, webhook_s=0.02, unanswered_s=5.0)
ANSWER_TIMEOUT_S = 1.0

_numbers = count(1)


def make_charge(
    token: str | None = "tok_success",
    *,
    vpa: str | None = None,
    amount_minor: int = 10_00,
    capture: bool = True,
    return_url: str | None = None,
    reference: str | None = None,
    age_s: float = 0,
) -> Charge:
    """A charge with a reference of its own."""
    return Charge(
        reference=reference or f"att_{next(_numbers)}",
        amount_minor=amount_minor,
        currency="USD",
        method=Method("upi", None, vpa) if vpa else Method("card", token, None),
        capture=capture,
        return_url=return_url,
        description="a test",
        created_at=now() - timedelta(seconds=age_s),
    )


async def until(condition: Callable[[], bool], *, within_s: float = 10.0) -> None:
    """Returns once the condition holds. Raises TimeoutError."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110, what is waited for has no event to set
            await asyncio.sleep(0.005)


@dataclass
class Inbox:
    """Where webhooks arrive. Refuses the first `refusals` of them."""

    refusals: int = 0
    attempts: int = 0
    received: list[tuple[Mapping[str, str], bytes]] = field(default_factory=list)

    async def take(self, headers: Mapping[str, str], body: bytes) -> None:
        self.attempts += 1
        if self.attempts <= self.refusals:
            raise ConnectionError("the inbox is not ready")
        self.received.append((dict(headers), body))

    async def wait_for(self, number: int, *, within_s: float = 3.0) -> None:
        await until(lambda: len(self.received) >= number, within_s=within_s)


@dataclass
class Form:
    """One form of the sandbox."""

    provider: Provider
    inbox: Inbox
    press: Callable[[str, str], Awaitable[httpx.Response]]
    """Presses a button (`approve`, `decline`) on a redirect page."""

    look: Callable[[str], Awaitable[httpx.Response]]
    """Opens a redirect page."""

    url: str = ""
    """Of the server, over HTTP."""

    def events(self) -> list[ProviderEvent]:
        """What the webhooks so far say."""
        return [
            event
            for headers, body in self.inbox.received
            for event in self.provider.parse_webhook(headers, body)
        ]


class QuickInbox(uvicorn.Server):
    """Stops when told, not at the next tenth of a second: a hundred tests start one."""

    def __init__(self, app: FastAPI) -> None:
        super().__init__(uvicorn.Config(app, log_level="warning", access_log=False))
        self.stop = asyncio.Event()

    async def main_loop(self) -> None:
        await self.stop.wait()


class QuickSandbox(SandboxServer):
    """As quick."""

    def __init__(self, app: FastAPI) -> None:
        super().__init__(app, host="127.0.0.1", port=0)
        self.stop = asyncio.Event()

    async def main_loop(self) -> None:
        await self.stop.wait()


@asynccontextmanager
async def serving(server: QuickInbox | QuickSandbox) -> AsyncIterator[str]:
    """The server on a port of its own; its URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    await until(lambda: server.started)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.stop.set()
        await task
        listener.close()


def inbox_app(inbox: Inbox) -> FastAPI:
    """An HTTP receiver that fills the inbox."""
    app = FastAPI()

    @app.post("/providers/sandbox/webhooks")
    async def receive(request: Request) -> Response:
        try:
            await inbox.take(request.headers, await request.body())
        except ConnectionError:
            return Response(status_code=503)
        return Response(status_code=204)

    return app


def _browser(client: httpx.AsyncClient, inbox: Inbox, provider: Provider, url: str = "") -> Form:
    async def press(url: str, decision: str) -> httpx.Response:
        return await client.post(url, data={"decision": decision})

    async def look(url: str) -> httpx.Response:
        return await client.get(url)

    return Form(provider, inbox, press, look, url)


@asynccontextmanager
async def in_process() -> AsyncIterator[Form]:
    inbox = Inbox()
    provider = InProcessSandbox(
        keys=KEYS,
        deliver=inbox.take,
        redirect_url="http://florin.test/sandbox/redirect",
        timings=Timings(TIMINGS.slow_s, TIMINGS.late_s, TIMINGS.webhook_s, unanswered_s=0.05),
        webhook_retry_s=0.01,
    )
    app = FastAPI()
    app.include_router(redirect_router(provider), prefix="/sandbox")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
        yield _browser(client, inbox, provider)
    await provider.close()


@asynccontextmanager
async def over_http() -> AsyncIterator[Form]:
    inbox = Inbox()
    async with serving(QuickInbox(inbox_app(inbox))) as inbox_url:
        app = sandbox_app(
            keys=KEYS,
            webhook_url=f"{inbox_url}/providers/sandbox/webhooks",
            timings=TIMINGS,
            webhook_retry_s=0.01,
        )
        async with serving(QuickSandbox(app)) as url, httpx.AsyncClient(trust_env=False) as client:
            provider = HttpSandbox(url, keys=KEYS, answer_timeout_s=ANSWER_TIMEOUT_S)
            yield _browser(client, inbox, provider, url)
            await provider.close()


async def stats(url: str) -> dict[str, Any]:
    """What the server at `url` has counted."""
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"{url}/stats", headers={"authorization": f"Bearer {KEYS.api_key}"})
    counted: dict[str, Any] = answer.json()
    return counted


@pytest.fixture(params=[in_process, over_http], ids=["in_process", "over_http"])
async def form(request: pytest.FixtureRequest) -> AsyncIterator[Form]:
    """Each test that takes this runs twice."""
    async with request.param() as opened:
        yield opened

"""The sandbox as an HTTP server of its own: a stateful peer, so that the network path is real.

It remembers charges by reference, in memory only: after a restart it has never heard of them. All but
the redirect page wants `Authorization: Bearer <the sandbox's secret>`.
"""

import asyncio
import hmac
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Annotated, Any, Final

import httpx
import uvicorn
from fastapi import APIRouter, FastAPI, Header, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from florin.kernel.clock import now
from florin.providers.provider import Charge, Outcome, OutcomeStatus
from florin.providers.sandbox import rules
from florin.providers.sandbox.book import MAX_CHARGES, Book, Entry, ReferenceReused, UnknownCharge
from florin.providers.sandbox.courier import Courier
from florin.providers.sandbox.keys import SandboxKeys
from florin.providers.sandbox.redirect import Redirection, redirect_router
from florin.providers.sandbox.rules import Answer, Timings
from florin.providers.sandbox.wire import AmountBody, ChargeBody, OutcomeBody, charge_event, outcome_json

MAX_BODY_BYTES: Final = 64 * 1024
KEEP_ALIVE_S: Final = 75
_WEBHOOK_TIMEOUT_S: Final = 10.0
_SHUTDOWN_TIMEOUT_S: Final = 5

Reference = Annotated[
    str,
    Header(alias="Idempotency-Key", min_length=1, max_length=255, pattern=r"^[A-Za-z0-9._:-]+$"),
]


class WebhookRefused(Exception):
    """The receiver answered a webhook with something other than 2xx."""


class Sandbox:
    """The server's state: its book, and its webhooks underway. Also the Desk of the redirect page."""

    def __init__(self, book: Book, timings: Timings, courier: Courier | None) -> None:
        self.book = book
        self.timings = timings
        self.courier = courier
        self.closing = asyncio.Event()

    def take(self, charge: Charge, link: Callable[[Charge], str]) -> Entry:
        """Enters the charge; the first time, promises the webhooks that its rule asks for."""
        entry = self.book.take(charge, now(), link)
        rule = entry.rule
        if entry.requests == 1 and rule.begins is not OutcomeStatus.REQUIRES_ACTION:
            late = rule.begins is OutcomeStatus.PENDING
            self._tell(
                charge.reference,
                rules.end_of(charge, rule.decline),
                after_s=self.timings.late_s if late else self.timings.webhook_s,
                times=rule.webhooks,
            )
        return entry

    def awaiting(self, reference: str, query: Mapping[str, str]) -> Redirection | None:
        """See Desk."""
        try:
            entry = self.book.entry(reference)
        except UnknownCharge:
            return None
        waits = self.book.outcome(entry, now()).status is OutcomeStatus.REQUIRES_ACTION
        return Redirection.of(entry.charge) if waits else None

    def decide(self, redirection: Redirection, *, approved: bool) -> None:
        """See Desk."""
        outcome = self.book.decide(redirection.reference, approved=approved)
        self._tell(redirection.reference, outcome, after_s=self.timings.webhook_s, times=1)

    def _tell(self, reference: str, outcome: Outcome, *, after_s: float, times: int) -> None:
        if self.courier is not None and times:
            self.courier.send(charge_event(reference, outcome), after_s=after_s, times=times)


def sandbox_app(
    *,
    keys: SandboxKeys,
    webhook_url: str | None = None,
    timings: Timings | None = None,
    public_url: str | None = None,
    max_charges: int = MAX_CHARGES,
    webhook_retry_s: float = 0.5,
) -> FastAPI:
    """The server as an ASGI application.

    Args:
        keys: shared with the platform.
        webhook_url: where webhooks go. None: nowhere; inquiries still tell everything.
        timings: how slow is slow.
        public_url: where buyers reach this server. None: as the platform reached it.
        max_charges: remembered at most; the oldest are forgotten.
        webhook_retry_s: the upper bound of the first pause between two attempts at a webhook.
    """
    timings = timings or Timings()
    client = httpx.AsyncClient(timeout=_WEBHOOK_TIMEOUT_S, follow_redirects=False, trust_env=False)

    async def deliver(headers: Mapping[str, str], body: bytes) -> None:
        answer = await client.post(str(webhook_url), headers=headers, content=body)
        if not answer.is_success:
            raise WebhookRefused(f"{webhook_url} answered {answer.status_code}")

    courier = Courier(deliver, keys.webhook, retry_s=webhook_retry_s) if webhook_url else None
    sandbox = Sandbox(Book(late_s=timings.late_s, max_charges=max_charges), timings, courier)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        if courier is not None:
            await courier.close()
        await client.aclose()

    app = FastAPI(title="Florin sandbox", lifespan=lifespan)
    app.state.sandbox = sandbox
    app.include_router(_charges(sandbox, public_url))
    app.include_router(_operations(sandbox))
    app.include_router(redirect_router(sandbox))
    app.add_exception_handler(UnknownCharge, _unknown_charge)
    app.add_exception_handler(ReferenceReused, _reference_reused)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_middleware(Door, api_key=keys.api_key)
    return app


class Door:
    """Lets in who knows the key and brings a body of known, moderate size. Buyers need no key."""

    def __init__(self, app: ASGIApp, api_key: str) -> None:
        self._app = app
        self._expected = f"Bearer {api_key}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        if b"transfer-encoding" in headers:
            return _problem(411, "length_required", "send a Content-Length")
        if int(headers.get(b"content-length", b"0")) > MAX_BODY_BYTES:
            return _problem(413, "body_too_large", f"at most {MAX_BODY_BYTES} bytes are read")
        if scope["path"].startswith("/redirect/"):
            return None
        if not hmac.compare_digest(self._expected, headers.get(b"authorization", b"")):
            return _problem(401, "unauthenticated", "Authorization: Bearer and the sandbox's secret")
        return None


def _charges(sandbox: Sandbox, public_url: str | None) -> APIRouter:
    router = APIRouter(tags=["charges"])

    @router.post("/charges", response_model=OutcomeBody)
    async def charge(request: Request, body: ChargeBody, reference: Reference) -> Response:
        """Takes or reserves money, once per Idempotency-Key."""
        asked = body.charge(reference)
        answer = rules.rule_for(asked.method, asked.amount_minor).answer
        if answer is Answer.NEVER_NOT_CHARGED:
            return await _leave_unanswered(request, sandbox)
        base_url = (public_url or str(request.base_url)).rstrip("/")
        entry = sandbox.take(asked, lambda charge: f"{base_url}/redirect/{charge.reference}")
        if answer is Answer.NEVER_THOUGH_CHARGED:
            return await _leave_unanswered(request, sandbox)
        if answer is Answer.SLOWLY:
            await asyncio.sleep(sandbox.timings.slow_s)
        return _answer(reference, sandbox.book.outcome(entry, now()))

    @router.get("/charges/{reference}", response_model=OutcomeBody)
    async def inquire(reference: str) -> Response:
        """Where a charge stands."""
        return _answer(reference, sandbox.book.outcome(sandbox.book.entry(reference), now()))

    @router.get("/stats")
    async def stats(newest: Annotated[int, Query(ge=0, le=1000)] = 100) -> dict[str, Any]:
        """Counts, sums in minor units, the newest charges: proof that nothing was charged twice."""
        return sandbox.book.stats(now(), newest=newest)

    return router


def _operations(sandbox: Sandbox) -> APIRouter:
    router = APIRouter(tags=["operations"])

    @router.post("/charges/{charge_reference}/captures", response_model=OutcomeBody)
    async def capture(charge_reference: str, body: AmountBody, reference: Reference) -> Response:
        """Takes reserved money, in full or in part, once per Idempotency-Key."""
        outcome = sandbox.book.capture(reference, charge_reference, body.amount_minor, now())
        return _answer(reference, outcome)

    @router.post("/charges/{charge_reference}/cancel", response_model=OutcomeBody)
    async def cancel(charge_reference: str, reference: Reference) -> Response:
        """Gives up a charge of which nothing was taken."""
        return _answer(reference, sandbox.book.cancel(reference, charge_reference, now()))

    @router.post("/charges/{charge_reference}/refunds", response_model=OutcomeBody)
    async def refund(charge_reference: str, body: AmountBody, reference: Reference) -> Response:
        """Gives taken money back, in full or in part, once per Idempotency-Key."""
        outcome = sandbox.book.refund(reference, charge_reference, body.amount_minor, now())
        return _answer(reference, outcome)

    @router.get("/operations/{reference}", response_model=OutcomeBody)
    async def inquire_operation(reference: str) -> Response:
        """How a capture, cancellation or refund went."""
        operation = sandbox.book.operation(reference)
        if operation is None:
            return _problem(404, "unknown_operation", f"no operation has the reference {reference}")
        return _answer(reference, operation.outcome)

    return router


async def _leave_unanswered(request: Request, sandbox: Sandbox) -> Response:
    """Says nothing until the caller hangs up, the time is over, or the server stops."""
    waits = {asyncio.create_task(_hung_up(request)), asyncio.create_task(sandbox.closing.wait())}
    _, pending = await asyncio.wait(
        waits, timeout=sandbox.timings.unanswered_s, return_when=asyncio.FIRST_COMPLETED
    )
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    return _problem(504, "unanswered", "the test token asked for no answer")


async def _hung_up(request: Request) -> bool:
    while (await request.receive())["type"] != "http.disconnect":
        continue
    return True


def _answer(reference: str, outcome: Outcome) -> Response:
    return JSONResponse(outcome_json(reference, outcome))


def _problem(status: int, code: str, message: str) -> Response:
    return JSONResponse({"code": code, "message": message}, status_code=status)


def _unknown_charge(_: Request, error: Exception) -> Response:
    return _problem(404, rules.UNKNOWN_CHARGE.code, str(error))


def _reference_reused(_: Request, error: Exception) -> Response:
    return _problem(409, "reference_reused", str(error))


def _invalid_request(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    # The value itself stays out: it may be a token or a buyer's address.
    rules_broken = (f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors())
    return _problem(422, "invalid_request", "; ".join(rules_broken))


def _http_exception(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
    return _problem(error.status_code, code, error.detail)


class SandboxServer(uvicorn.Server):
    """Runs the application of `sandbox_app`: `SandboxServer(app, host=..., port=...).run()`."""

    def __init__(self, app: FastAPI, *, host: str, port: int) -> None:
        # Connections are kept longer than the client keeps them, so that it never writes to one that
        # is just being closed.
        super().__init__(
            uvicorn.Config(
                app,
                host=host,
                port=port,
                access_log=False,
                log_level="warning",
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=_SHUTDOWN_TIMEOUT_S,
            )
        )
        self._sandbox: Sandbox = app.state.sandbox

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Lets go of unanswered requests, lets the others finish."""
        self._sandbox.closing.set()
        await super().shutdown(sockets)

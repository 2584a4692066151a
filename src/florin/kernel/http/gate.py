"""The gate: the one ASGI layer in front of everything.

It gives each request an id and each answer the headers that keep browsers safe, bounds its body, asks who is
calling and whether they may call so often, refuses card numbers before anybody reads them, turns refusals
into problems, counts, and takes lean routes by the short way. Nothing that it logs holds a header or a body.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import cache
from http import HTTPStatus
from time import perf_counter
from typing import Protocol

import structlog
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from prometheus_client import Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from florin.kernel.db import CONNECTION_LOST
from florin.kernel.errors import (
    InternalError,
    MalformedRequest,
    MethodNotAllowed,
    Refusal,
    TimedOut,
    TooLarge,
    Unavailable,
)
from florin.kernel.http.address import Network, client_address, is_https
from florin.kernel.http.body import RawBody, check_body, raw_body_of
from florin.kernel.http.call import CALL, KNOCK, Call, Knock, OpenToAll, Principal, Rooms
from florin.kernel.http.cors import Cors
from florin.kernel.http.lean import LeanRoute
from florin.kernel.http.notes import noting
from florin.kernel.http.problem import MEDIA_TYPE, render
from florin.kernel.ids import encode_id, new_id
from florin.kernel.pan import holds_card_number
from florin.kernel.provenance import acting_as

log = structlog.get_logger(__name__)

Headers = list[tuple[bytes, bytes]]

SECONDS = Histogram(
    "florin_http_request_seconds",
    "Time from the first byte read to the last byte sent",
    ["method", "route", "status"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 10),
)

_REQUEST_ID = re.compile(rb"^[A-Za-z0-9._-]{1,64}$")
_SAFE: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
]
_NO_PAGE = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
"""Of every answer that brings no policy of its own: whatever a browser takes it for, it does nothing."""

_HSTS = (b"strict-transport-security", b"max-age=31536000")
"""RFC 6797, over TLS only. Not for subdomains: those are not ours to decide about."""

_ONCE = (b"authorization", b"content-length", b"content-type", b"host", b"idempotency-key", b"x-request-id")
"""Two of these and two readers of one request may disagree about it."""

GIVEN_UP = "florin.given_up"
"""Set in the scope of a request whose time is over, before it is cancelled: seconds that it had."""

UNHURRIED = "florin.unhurried"
"""Set in the scope of a request that may take its time, as imports of whole files do."""

_METHODS = frozenset(("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"))
"""Labels come from this list and the routes: a stranger's inventions make no series."""


@cache
def _seconds(method: str, route: str, status: int) -> Histogram:
    """The histogram of these labels; looking it up anew costs more than counting."""
    return SECONDS.labels(method, route, status)


class Authenticator(Protocol):
    """Tells who is calling."""

    async def authenticate(self, headers: Mapping[bytes, bytes], address: str | None) -> Principal:
        """Raises Unauthenticated; TooManyRequests to an address that has guessed too often."""


class RateLimiter(Protocol):
    """Tells whether they may call now."""

    async def admit(self, principal: Principal) -> Headers:
        """The RateLimit headers of the answer. Raises TooManyRequests, which carries its own."""

    async def admit_stranger(self, address: str | None) -> Headers:
        """The same for somebody who has no credential, by the address alone."""


class Gate:
    """Wraps the application. `routes` are those that may be taken by the short way."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        routes: Sequence[object],
        rooms: Rooms,
        authenticator: Authenticator,
        limiter: RateLimiter,
        max_body_bytes: int,
        trusted_proxies: Sequence[Network] = (),
        cors_origins: Sequence[str] = (),
    ) -> None:
        self._app = app
        self._lean = {
            (method, route.path): route
            for route in routes
            if isinstance(route, LeanRoute) and "{" not in route.path
            for method in route.methods or ()
        }
        self._fixed: dict[str, set[str]] = {}
        for route in routes:
            if isinstance(route, APIRoute) and "{" not in route.path:
                self._fixed.setdefault(route.path, set()).update(route.methods or ())
        self._raw: dict[tuple[str, str], RawBody] = {
            (method, route.path): raw
            for route in routes
            if isinstance(route, APIRoute) and (raw := raw_body_of(route.endpoint)) is not None
            for method in route.methods or ()
        }
        self._open = {
            (method, route.path)
            for route in routes
            if isinstance(route, APIRoute) and isinstance(permission_of(route), OpenToAll)
            for method in route.methods or ()
        }
        self._trusted_proxies = trusted_proxies
        self._cors = Cors(cors_origins)
        self._rooms = rooms
        self._authenticator = authenticator
        self._limiter = limiter
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        await self._http(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = perf_counter()
        headers: dict[bytes, bytes] = dict(scope["headers"])
        given_id = headers.get(b"x-request-id")
        request_id = (
            given_id.decode()
            if given_id is not None
            and _REQUEST_ID.match(given_id)
            and not holds_card_number(given_id.decode())  # ids of requests are logged
            else encode_id("req", new_id())
        )
        scope["florin.request_id"] = request_id
        extra: Headers = [(b"request-id", request_id.encode()), *_SAFE]
        if is_https(scope, headers, self._trusted_proxies):
            scope["scheme"] = "https"
            extra.append(_HSTS)
        if self._cors:
            extra += self._cors.headers(headers)
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                given = message["headers"]
                own = {name for name, _ in given}  # such as how long it may be kept
                if b"content-security-policy" not in own:
                    extra.append(_NO_PAGE)
                message["headers"] = [*given, *(one for one in extra if one[0] not in own)]
            await send(message)

        try:
            if len(headers) != len(scope["headers"]):
                _refuse_twice(scope["headers"])
            await self._route(scope, receive, send_with_headers, headers, request_id, extra)
        except asyncio.CancelledError:
            if GIVEN_UP not in scope or (task := asyncio.current_task()) is None or status:
                raise
            task.uncancel()
            log.warning("request_given_up", request_id=request_id, method=scope["method"])
            waited = TimedOut(f"no answer within {scope[GIVEN_UP]:g} s; whether it was done is not known")
            await _send_problem(send_with_headers, waited, request_id)
        except Refusal as refusal:
            await _send_problem(send_with_headers, refusal, request_id)
        except CONNECTION_LOST:
            await _send_problem(send_with_headers, Unavailable(), request_id)
        except Exception:
            log.exception("request_failed", request_id=request_id, method=scope["method"])
            if not status:
                await _send_problem(send_with_headers, InternalError(), request_id)
        route = scope.get("route")
        path = getattr(route, "path_format", None) or getattr(route, "path", "unknown")
        method = scope["method"] if scope["method"] in _METHODS else "other"
        _seconds(method, path, status).observe(perf_counter() - started)

    async def _body(self, method: str, path: str, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        """The request's body, whole, if it is one that the path takes."""
        raw = self._raw.get((method, path))
        body = await _read(headers, receive, self._max_body_bytes if raw is None else raw.max_bytes)
        fixed = self._fixed.get(path)
        if fixed is not None and method not in fixed:
            # Or `GET /v1/transfers/batch` would be a transfer named batch.
            raise MethodNotAllowed(headers={"allow": ", ".join(sorted(fixed))})
        if raw is None:
            check_body(method, headers, body)
        else:
            raw.check(headers)
        return body

    async def _route(
        self,
        scope: Scope,
        receive: Receive,
        send: Callable[[Message], Awaitable[None]],
        headers: dict[bytes, bytes],
        request_id: str,
        extra: Headers,
    ) -> None:
        path: str = scope["path"]
        method: str = scope["method"]
        if self._cors and (allowed := self._cors.preflight(method, headers)) is not None:
            await send({"type": "http.response.start", "status": HTTPStatus.NO_CONTENT, "headers": allowed})
            await send({"type": "http.response.body", "body": b""})
            return
        if not path.startswith("/v1/"):
            await self._app(scope, _bounded(receive, self._max_body_bytes), send)
            return
        if (method, path) in self._raw:
            scope[UNHURRIED] = True
        address = client_address(scope, headers, self._trusted_proxies)
        if (method, path) in self._open:
            extra += await self._limiter.admit_stranger(address)
            body = await self._body(method, path, headers, receive)
            scope[KNOCK] = Knock(self._rooms, request_id, method, headers, body, address)
            await self._app(scope, _replay(body, receive), send)
            return
        principal = await self._authenticator.authenticate(headers, address)
        extra += await self._limiter.admit(principal)
        call = Call(
            principal=principal,
            rooms=self._rooms,
            request_id=request_id,
            method=method,
            headers=headers,
            body=await self._body(method, path, headers, receive),
            address=address,
            answer_headers=extra,
        )
        scope[CALL] = call
        lean = self._lean.get((method, path))
        if lean is None or lean.permission.privileged:
            send = noting(call, scope, send, _send_problem)
        with acting_as(call.provenance):
            if lean is not None:
                scope["route"] = lean
                await lean.serve(scope, send)
            else:
                await self._app(scope, _replay(call.body, receive), send)


def permission_of(route: APIRoute) -> object:
    """The Permission or OpenToAll of a route's endpoint; None: it says nothing of what it asks for."""
    if isinstance(route, LeanRoute):
        return route.permission
    found = [getattr(one.call, "permission", None) for one in _dependants(route.dependant)]
    return next((one for one in found if one is not None), None)


def _dependants(dependant: Dependant) -> Iterator[Dependant]:
    for one in dependant.dependencies:
        yield one
        yield from _dependants(one)


def _refuse_twice(headers: Sequence[tuple[bytes, bytes]]) -> None:
    """Raises MalformedRequest for a header that says one thing and then another."""
    names = [name for name, _ in headers]
    for name in _ONCE:
        if names.count(name) > 1:
            raise MalformedRequest(f"the header {name.decode()} stands twice", param=name.decode().title())


async def _read(headers: Mapping[bytes, bytes], receive: Receive, max_bytes: int) -> bytes:
    length = headers.get(b"content-length", b"0")
    if not length.isdigit():
        raise MalformedRequest("Content-Length is not a number", param="Content-Length")
    if int(length) > max_bytes:
        raise TooLarge(f"the body has {int(length)} bytes; {max_bytes} are allowed")
    message = await receive()
    body: bytes = message.get("body", b"")
    if message.get("more_body"):
        parts, size = [body], len(body)
        while message.get("more_body"):
            message = await receive()
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > max_bytes:
                raise TooLarge(f"the body has more than {max_bytes} bytes")
        body = b"".join(parts)
    if message["type"] == "http.disconnect":
        raise MalformedRequest("the client left before its request was whole")
    return body


def _replay(body: bytes, receive: Receive) -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay


def _bounded(receive: Receive, limit: int) -> Receive:
    seen = 0

    async def bounded() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > limit:
            raise TooLarge(f"the body has more than {limit} bytes")
        return message

    return bounded


async def _send_problem(send: Send, refusal: Refusal, request_id: str) -> None:
    body = render(refusal, request_id)
    headers = {"content-type": MEDIA_TYPE, "content-length": str(len(body)), **refusal.headers}
    await send(
        {
            "type": "http.response.start",
            "status": int(refusal.status),
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
    )
    await send({"type": "http.response.body", "body": body})

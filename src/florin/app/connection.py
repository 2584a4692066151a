"""One connection of a client: uvicorn's protocol, bounded in size and time.

httptools bounds neither the URL nor the headers, and uvicorn waits for ever for a request to end and for
an answer to be read. Both are made good here: sizes as bytes come, times when the guard sweeps.
"""

import asyncio
from typing import Any, Final

from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from florin.app.guard import Guard
from florin.kernel.errors import HeadersTooLarge, MalformedRequest, Refusal, UrlTooLong
from florin.kernel.http.gate import GIVEN_UP, UNHURRIED
from florin.kernel.http.problem import MEDIA_TYPE, render
from florin.kernel.ids import encode_id, new_id

_NEVER: Final = float("inf")


class GuardedProtocol(HttpToolsProtocol):
    """Use as `functools.partial(GuardedProtocol, guard=guard)` in uvicorn's `Config(http=...)`."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        guard: Guard,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._guard, self._bounds, self._clock = guard, guard.bounds, guard.clock
        self.address: str | None = None
        self.waiting_since = _NEVER
        self._head_since = _NEVER
        self._head_bytes = 0
        self._body_since = _NEVER
        self._body_bytes = 0
        self._asked_at = _NEVER
        self._stalled_since = _NEVER
        self._unsent = 0
        self._has_moved = False
        self._running: RequestResponseCycle | None = None
        self._task: asyncio.Task[None] | None = None
        self._refusal: Refusal | None = None
        self._deaf = False

    # What asyncio calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Lets the client in, or tells it why not."""
        super().connection_made(transport)
        self.address = self.client[0] if self.client else None
        refusal = self._guard.admit(self)
        if refusal is not None:
            self._deaf = True
            self._refuse(refusal)
            return
        self._head_since = self.waiting_since = self._clock()

    def connection_lost(self, exc: Exception | None) -> None:
        """The place is free again."""
        self._guard.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feeds the parser while the head of the request stays within its bounds."""
        if self._deaf:
            return
        if self._head_since == _NEVER and self._body_since == _NEVER:
            self._begin()
            self._head_bytes = 0
        if self._head_since != _NEVER:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._head_since != _NEVER and self._head_bytes > self._bounds.head_bytes:
            self._refusal = self._too_large()
            self.send_400_response("")

    def resume_writing(self) -> None:
        """The client has read on."""
        self._has_moved = True
        super().resume_writing()

    # What the parser calls

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        if self._head_since == _NEVER:  # the one before ended in the same piece
            self._begin()

    def on_headers_complete(self) -> None:
        """Starts to answer, unless the head is too large."""
        bounds = self._bounds
        if (
            len(self.url) > bounds.url_bytes
            or len(self.headers) > bounds.headers
            or (self._head_bytes > bounds.head_bytes and self._size_of_head() > bounds.head_bytes)
        ):
            self._refusal = self._too_large()
            raise self._refusal  # the parser stops, and data_received answers
        self._head_since = _NEVER
        self._head_bytes = self._body_bytes = 0
        self._body_since = self._clock()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of the body has come."""
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole: from now on it is we who are waited for."""
        self._body_since = _NEVER
        if self.cycle is self._running and not self.cycle.response_complete:
            self._asked_at = self._clock()
            self.waiting_since = _NEVER
        super().on_message_complete()

    # What uvicorn calls

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGIApp) -> None:  # type: ignore[override]
        task = self.loop.create_task(cycle.run_asgi(app))  # type: ignore[arg-type]
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)
        self._task, self._running = task, cycle
        if not cycle.more_body:  # it came while the one before was answered
            self._asked_at = self._clock()
            self.waiting_since = _NEVER

    def on_response_complete(self) -> None:
        """The next request may come."""
        self._asked_at = _NEVER
        self.waiting_since = self._clock()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Answers what cannot be read with a problem, and listens no longer."""
        self._deaf = True
        self._head_since = self._body_since = _NEVER
        running = self._running
        if running is not None and not running.response_complete:
            running.keep_alive = False  # its answer is the last
            if not running.more_body:
                return
            if running.response_started:
                self.cut()
                return
            running.disconnected = True  # what is broken is its own body
            running.message_event.set()
        self._refuse(self._refusal or MalformedRequest("this is no request of HTTP/1.1"))

    # What the guard calls

    def overdue(self, now: float) -> str | None:
        """Why the connection has to end now. A request that takes too long itself is only cancelled."""
        bounds = self._bounds
        if self.flow.read_paused:  # it is we who do not read
            self._head_since = _NEVER if self._head_since == _NEVER else now
            self._body_since = _NEVER if self._body_since == _NEVER else now
        if now - self._head_since > bounds.head_s:
            return "slow_head"
        if now - self._body_since > bounds.body_s + self._body_bytes / bounds.min_bytes_per_s:
            return "slow_body"
        if self._is_stalled(now):
            return "slow_reader"
        if now - self._asked_at > bounds.request_s:
            self._give_up()
        return None

    def cut(self) -> None:
        """Ends the connection at once, unsent bytes and all."""
        self._deaf = True
        self.transport.abort()

    def _begin(self) -> None:
        self._head_since = self.waiting_since = self._clock()

    def _is_stalled(self, now: float) -> bool:
        unsent = self.transport.get_write_buffer_size()
        if not unsent:
            self._stalled_since = _NEVER
        elif self._stalled_since == _NEVER or self._has_moved:
            self._stalled_since, self._unsent = now, unsent
        self._has_moved = False
        return now - self._stalled_since > (
            self._bounds.stalled_s + self._unsent / self._bounds.min_bytes_per_s
        )

    def _give_up(self) -> None:
        task, cycle = self._task, self._running
        if task is None or task.done() or cycle is None or cycle.response_started:
            return
        if UNHURRIED in cycle.scope or GIVEN_UP in cycle.scope:
            return
        cycle.scope[GIVEN_UP] = self._bounds.request_s  # type: ignore[literal-required]
        task.cancel()

    def _too_large(self) -> Refusal:
        bounds = self._bounds
        if len(self.url) > bounds.url_bytes or not self.headers:
            return UrlTooLong(f"path and query may have {bounds.url_bytes} bytes together")
        return HeadersTooLarge(f"{bounds.headers} headers of {bounds.head_bytes} bytes together are allowed")

    def _size_of_head(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _refuse(self, refusal: Refusal) -> None:
        request_id = encode_id("req", new_id())
        body = render(refusal, request_id)
        headers = {
            "content-type": MEDIA_TYPE,
            "content-length": str(len(body)),
            "connection": "close",
            "request-id": request_id,
            "x-content-type-options": "nosniff",
            "cache-control": "no-store",
            **refusal.headers,
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.transport.write(STATUS_LINE[int(refusal.status)] + head.encode() + b"\r\n" + body)
        self.transport.close()

"""The API as a replay sees it: requests that keep their key until they are answered.

aiohttp, not httpx: from one core against a trivial server, with 64 connections, httpx 0.28 sends about
250 requests a second and aiohttp 3.14 about 6,500.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from time import monotonic, perf_counter
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
import orjson
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_random_exponential

from florin.cli.replay.errors import Interrupted, KeyRefused, UnknownAnswer, Unreachable

_TIMEOUT_S: Final = 60
_CONNECT_TIMEOUT_S: Final = 5
_ATTEMPTS: Final = 15
_LONGEST_BACKOFF_S: Final = 5.0
_LONGEST_RETRY_AFTER_S: Final = 300.0
_AWAY: Final = frozenset({502, 503, 504})


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API said in the end.

    `retried`: an earlier attempt of this call had no clear answer, so that a replayed answer may be
    this very call's. `latency_s` is the answered attempt's alone.
    """

    status: int
    body: dict[str, Any]
    replayed: bool
    retried: bool
    latency_s: float

    @property
    def ok(self) -> bool:
        """Whether it was done."""
        return self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def code(self) -> str:
        """The problem's stable code, or the HTTP status where there is none."""
        return str(self.body.get("code", f"http_{self.status}"))


class _Unanswered(Exception):
    """No clear answer. The same request with the same key may be sent again."""

    def __init__(self, reason: str, retry_after_s: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class Api:
    """A Florin API and a key. Use as an async context manager.

    Once `stop` is set no call waits any longer: a call that would have to raises Interrupted.
    """

    def __init__(
        self,
        url: str,
        api_key: str,
        *,
        concurrency: int,
        stop: asyncio.Event,
        attempts: int = _ATTEMPTS,
        backoff_s: float = 0.1,
    ) -> None:
        """`backoff_s` is the first of `attempts` waits that double up to 5 s, with full jitter."""
        self.url = url.rstrip("/")
        self.stop = stop
        self._attempts = attempts
        self._backoff = wait_random_exponential(multiplier=backoff_s, max=_LONGEST_BACKOFF_S)
        self._resume_at = 0.0
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=concurrency),
            timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S, sock_connect=_CONNECT_TIMEOUT_S),
            headers={"authorization": f"Bearer {api_key}", "content-type": "application/json"},
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def probe(self, path: str) -> dict[str, Any]:
        """GET without patience: whether anybody is there, and whether the key is good.

        Raises:
            Unreachable, KeyRefused, UnknownAnswer
        """
        try:
            answer = await self._answered("GET", path, {}, None, None, retried=False)
        except _Unanswered as reason:
            raise Unreachable(f"no Florin API answers at {self.url}: {reason}") from None
        return self._expect_ok("GET", path, answer)

    async def get(self, path: str, params: Mapping[str, str | int] | None = None) -> dict[str, Any]:
        """GET, asked again while the API is away. Raises as `probe`, and Interrupted."""
        return self._expect_ok("GET", path, await self._call("GET", path, params or {}, None, None))

    async def every(self, path: str, params: Mapping[str, str | int]) -> AsyncIterator[dict[str, Any]]:
        """Each item of a list, page after page."""
        query = {"limit": 100, **params}
        while True:
            page = await self.get(path, query)
            for item in page["data"]:
                yield item
            if not page["has_more"]:
                return
            query["starting_after"] = page["data"][-1]["id"]

    async def post(self, path: str, body: Mapping[str, Any], key: str | None) -> Answer:
        """POST until answered, with the same idempotency key each time. A refusal is an answer.

        Raises:
            Unreachable: no clear answer after all attempts.
            KeyRefused: 401 or 403, which no other request would escape either.
            Interrupted: stopped while it waited.
        """
        return await self._call("POST", path, {}, orjson.dumps(body), key)

    async def _call(
        self, method: str, path: str, params: Mapping[str, str | int], body: bytes | None, key: str | None
    ) -> Answer:
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(_Unanswered),
            stop=stop_after_attempt(self._attempts),
            wait=self._wait_s,
            sleep=self._sleep,
            reraise=True,
        )
        try:
            async for attempt in retrying:
                with attempt:
                    retried = attempt.retry_state.attempt_number > 1
                    return await self._answered(method, path, params, body, key, retried=retried)
        except _Unanswered as reason:
            raise Unreachable(
                f"{self.url} is away ({self._attempts} attempts: {reason}); "
                "run the same command again when it is back, nothing is done twice"
            ) from None
        raise AssertionError("tenacity ends by an answer or by raising")

    def _wait_s(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked_s = error.retry_after_s if isinstance(error, _Unanswered) else 0.0
        return max(asked_s, self._backoff(state))

    async def _answered(
        self,
        method: str,
        path: str,
        params: Mapping[str, str | int],
        body: bytes | None,
        key: str | None,
        *,
        retried: bool,
    ) -> Answer:
        """One attempt; 429 does not count as one: it waits as long as it is told and asks again."""
        while True:
            await self._wait_for_turn()
            answer, retry_after_s = await self._attempt(method, path, params, body, key, retried=retried)
            if answer.status != HTTPStatus.TOO_MANY_REQUESTS:
                break
            if retry_after_s > _LONGEST_RETRY_AFTER_S:
                raise KeyRefused(f"the key's rate limit is used up for the next {retry_after_s:.0f} s")
            self._resume_at = max(self._resume_at, monotonic() + max(retry_after_s, 0.05))
        if answer.status in _AWAY or answer.code == "request_in_flight":
            raise _Unanswered(f"HTTP {answer.status} {answer.code}", min(retry_after_s, _LONGEST_BACKOFF_S))
        if answer.status in (401, 403):
            raise KeyRefused(f"{self.url} refuses the API key: {answer.body.get('detail', answer.code)}")
        return answer

    async def _attempt(
        self,
        method: str,
        path: str,
        params: Mapping[str, str | int],
        body: bytes | None,
        key: str | None,
        *,
        retried: bool,
    ) -> tuple[Answer, float]:
        headers = {} if key is None else {"idempotency-key": key}
        started = perf_counter()
        try:
            async with self._session.request(
                method,
                self.url + path,
                params=params,
                data=body,
                headers=headers,
                allow_redirects=False,
            ) as response:
                content = await response.read()
        except aiohttp.InvalidURL:
            raise Unreachable(f"{self.url!r} is not an http(s) URL") from None
        except TimeoutError:
            raise _Unanswered("timed out") from None
        except (aiohttp.ClientError, OSError) as error:
            raise _Unanswered(str(error) or type(error).__name__) from None
        answer = Answer(
            status=response.status,
            body=_json_object(content),
            replayed=response.headers.get("idempotent-replayed") == "true",
            retried=retried,
            latency_s=perf_counter() - started,
        )
        return answer, _retry_after_s(response.headers.get("retry-after", ""))

    async def _wait_for_turn(self) -> None:
        """One 429 holds every call back: the limit is the key's, not the request's."""
        while (wait_s := self._resume_at - monotonic()) > 0:
            await self._sleep(wait_s)

    async def _sleep(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self.stop.wait(), seconds)
        except TimeoutError:
            return
        raise Interrupted("interrupted")

    def _expect_ok(self, method: str, path: str, answer: Answer) -> dict[str, Any]:
        if not answer.ok or not answer.body:
            raise UnknownAnswer(
                f"{self.url} is not the Florin API that this needs: {method} {path} answered {answer.code}"
            )
        return answer.body


def _json_object(content: bytes) -> dict[str, Any]:
    """The body, or nothing where a proxy answered with a page of its own."""
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}


def _retry_after_s(value: str) -> float:
    """Seconds of a Retry-After header, RFC 9110 section 10.2.3: a number or a date. 0 where absent."""
    if value.isdigit():
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    return max(0.0, (when - datetime.now(UTC)).total_seconds())

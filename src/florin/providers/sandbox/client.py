"""The sandbox over HTTP.

What a failed request means is the heart of it. Until the connection stands, nothing can have happened:
NotSent, and safe to try again. From the first byte on, everything but a readable answer is
OutcomeUnknown: a time-out, a reset, a 5xx, an answer that makes no sense.
"""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

import httpx
from pydantic import ValidationError
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_random_exponential

from florin.kernel.clock import now
from florin.kernel.outbound import TooMuch, read_bounded
from florin.providers.provider import (
    Charge,
    NotSent,
    Outcome,
    OutcomeStatus,
    OutcomeUnknown,
    ProviderEvent,
)
from florin.providers.sandbox import rules, signature
from florin.providers.sandbox.keys import SandboxKeys
from florin.providers.sandbox.wire import OutcomeBody, ProblemBody, charge_json

CONNECT_TIMEOUT_S: Final = 2.0
ANSWER_TIMEOUT_S: Final = 10.0
_ATTEMPTS: Final = 3
_RETRY_S: Final = 0.1
_MAX_ANSWER_BYTES: Final = 256 * 1024
_LIMITS: Final = httpx.Limits(max_connections=256, max_keepalive_connections=256, keepalive_expiry=30)

_NEVER_SENT: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
)
_TURNED_AWAY: Final = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS}
_NOT_ACCEPTED: Final = {
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.LENGTH_REQUIRED,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
}
_UNKNOWN_OPERATION: Final = "unknown_operation"


class HttpSandbox:
    """The provider `sandbox` at a URL. Connections are kept and shared by all calls."""

    name: str = "sandbox"

    def __init__(
        self,
        url: str,
        *,
        keys: SandboxKeys,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        answer_timeout_s: float = ANSWER_TIMEOUT_S,
        retry_s: float = _RETRY_S,
    ) -> None:
        self._keys = keys
        self._retry_s = retry_s
        self._whole_timeout_s = connect_timeout_s + 2 * answer_timeout_s
        self._client = httpx.AsyncClient(
            base_url=url,
            headers={"authorization": f"Bearer {keys.api_key}", "accept-encoding": "identity"},
            timeout=httpx.Timeout(answer_timeout_s, connect=connect_timeout_s, pool=connect_timeout_s),
            limits=_LIMITS,
            follow_redirects=False,
            trust_env=False,
        )

    async def charge(self, charge: Charge) -> Outcome:
        """See Provider."""
        return await self._post("/charges", charge.reference, charge_json(charge))

    async def inquire(self, charge: Charge) -> Outcome | None:
        """See Provider."""
        return await self._get(f"/charges/{quote(charge.reference, safe='')}", rules.UNKNOWN_CHARGE.code)

    async def capture(
        self, reference: str, charge: Charge, provider_reference: str, amount_minor: int
    ) -> Outcome:
        """See Provider."""
        return await self._post(_path(charge, "captures"), reference, {"amount_minor": amount_minor})

    async def cancel(self, reference: str, charge: Charge, provider_reference: str) -> Outcome:
        """See Provider."""
        return await self._post(_path(charge, "cancel"), reference, None)

    async def refund(
        self, reference: str, charge: Charge, provider_reference: str, amount_minor: int
    ) -> Outcome:
        """See Provider."""
        return await self._post(_path(charge, "refunds"), reference, {"amount_minor": amount_minor})

    async def inquire_operation(self, reference: str, charge: Charge) -> Outcome | None:
        """See Provider."""
        return await self._get(f"/operations/{quote(reference, safe='')}", _UNKNOWN_OPERATION)

    def parse_webhook(self, headers: Mapping[str, str], body: bytes) -> list[ProviderEvent]:
        """See Provider."""
        return signature.parse_webhook(self._keys.webhook, headers, body, now())

    async def close(self) -> None:
        """See Provider."""
        await self._client.aclose()

    async def _post(self, path: str, reference: str, content: Mapping[str, Any] | None) -> Outcome:
        request = self._client.build_request(
            "POST", path, headers={"idempotency-key": reference}, json=content
        )
        answer = await self._answer(request)
        if answer.status_code in _NOT_ACCEPTED:
            return _not_accepted(answer)
        if _problem_code(answer) == rules.UNKNOWN_CHARGE.code:
            return rules.refused(reference, rules.UNKNOWN_CHARGE)
        return _outcome(answer, reference)

    async def _get(self, path: str, unknown_code: str) -> Outcome | None:
        answer = await self._answer(self._client.build_request("GET", path))
        # Only the sandbox's own word counts: any wrong address answers 404 too, and taking that for
        # "never charged" would charge twice.
        if answer.status_code == HTTPStatus.NOT_FOUND and _problem_code(answer) == unknown_code:
            return None
        return _outcome(answer, None)

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(NotSent),
            stop=stop_after_attempt(_ATTEMPTS),
            wait=wait_random_exponential(multiplier=self._retry_s, max=1),
            reraise=True,
        )
        answer: httpx.Response = await retrying(self._send, request)
        if answer.status_code in _TURNED_AWAY:
            raise NotSent(f"{request.method} {request.url}: turned away with {answer.status_code}")
        return answer

    async def _send(self, request: httpx.Request) -> httpx.Response:
        where = f"{request.method} {request.url}"
        try:
            async with asyncio.timeout(self._whole_timeout_s):
                answer = await self._client.send(request, stream=True)
                try:
                    body = await read_bounded(answer, _MAX_ANSWER_BYTES)
                finally:
                    await answer.aclose()
            return httpx.Response(answer.status_code, content=body, request=request)
        except (TimeoutError, TooMuch) as error:
            raise OutcomeUnknown(f"{where}: {str(error) or 'its answer does not end'}") from error
        except _NEVER_SENT as error:
            raise NotSent(f"{where}: {str(error) or type(error).__name__}") from error
        except httpx.RequestError as error:
            raise OutcomeUnknown(f"{where}: {str(error) or type(error).__name__}") from error


def _path(charge: Charge, what: str) -> str:
    return f"/charges/{quote(charge.reference, safe='')}/{what}"


def _outcome(answer: httpx.Response, reference: str | None) -> Outcome:
    if answer.status_code != HTTPStatus.OK:
        raise OutcomeUnknown(f"{answer.request.method} {answer.request.url}: {answer.status_code}")
    try:
        body = OutcomeBody.model_validate_json(answer.content)
    except ValidationError as error:
        raise OutcomeUnknown(f"{answer.request.method} {answer.request.url}: unreadable answer") from error
    if reference is not None and body.reference != reference:
        raise OutcomeUnknown(f"asked about {reference}, answered about {body.reference}")
    return body.outcome()


def _not_accepted(answer: httpx.Response) -> Outcome:
    problem = _problem(answer)
    message = problem.message if problem else f"refused with {answer.status_code}"
    return Outcome(OutcomeStatus.FAILED, decline_code="invalid_request", message=message)


def _problem_code(answer: httpx.Response) -> str | None:
    problem = _problem(answer)
    return problem.code if problem else None


def _problem(answer: httpx.Response) -> ProblemBody | None:
    try:
        return ProblemBody.model_validate_json(answer.content)
    except ValidationError:
        return None

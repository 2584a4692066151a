"""One webhook, sent once: from a leased delivery to what came back."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter
from typing import Final

import httpx
import orjson

import florin.webhooks.views  # noqa: F401 - tells kernel.events how endpoints are shown
from florin.kernel.clock import now
from florin.kernel.crypto import KeyRing, SealBroken
from florin.kernel.events import public_event
from florin.kernel.ids import encode_id
from florin.kernel.outbound import AddressRefused, Confinement
from florin.webhooks.model import MAX_EXCERPT, Failure, Owed, Reply
from florin.webhooks.signing import headers, unseal

TIMEOUT_S: Final = 15.0
CONNECT_TIMEOUT_S: Final = 5.0

_READ_AT_MOST: Final = 16 * 1024
"""Bytes of an answer that are read: so much is kept of small ones that the connection can be used again."""


@dataclass(frozen=True, slots=True)
class Message:
    """A request that is ready to go."""

    url: str
    headers: dict[str, str]
    body: bytes


class NotSendable(Exception):
    """The fault is ours: the secret does not open, or the event cannot be rendered."""


def compose(owed: Owed, keys: KeyRing, tenant_id: int, at: datetime) -> Message:
    """Body and signed headers. The id is the event's: the same for every attempt.

    Raises:
        NotSendable: with the reason.
    """
    try:
        event = public_event(
            {
                "id": owed.event_id,
                "type": owed.event_type,
                "occurred_at": owed.occurred_at,
                "data": owed.data,
            }
        )
        secrets = [
            unseal(keys, sealed, tenant_id=tenant_id, endpoint_id=owed.endpoint_id)
            for sealed in owed.sealed_secrets
        ]
    except SealBroken as error:
        raise NotSendable(f"the endpoint's secret does not open: {error}") from error
    except (LookupError, TypeError, ValueError) as error:
        raise NotSendable(f"{owed.event_type} cannot be rendered: {error!r}") from error
    body = orjson.dumps(event)
    signed = headers(encode_id("evt", owed.event_id), at, body.decode(), secrets)
    return Message(
        owed.url,
        {
            **signed,
            "content-type": "application/json",
            "user-agent": "Florin-Webhooks/1",
            "accept": "*/*",
            "accept-encoding": "identity",
        },
        body,
    )


async def send(
    client: httpx.AsyncClient,
    confinement: Confinement,
    message: Message,
    *,
    timeout_s: float = TIMEOUT_S,
) -> Reply:
    """Posts the message and reads the beginning of the answer, all within `timeout_s`."""
    started = perf_counter()
    status_code: int | None = None
    retry_after: str | None = None
    error: Failure | None
    try:
        confinement.check_url(message.url)  # what is allowed may have changed since the endpoint was made
        async with (
            asyncio.timeout(timeout_s),
            client.stream("POST", message.url, content=message.body, headers=message.headers) as response,
        ):
            status_code = response.status_code
            retry_after = response.headers.get("retry-after")
            excerpt: str | None = await _beginning(response)
            error = _failure(response)
    except (TimeoutError, httpx.TimeoutException):
        error, excerpt = Failure.TIMEOUT, f"no answer within {timeout_s:g} s"
    except AddressRefused as refused:
        error, excerpt = Failure.ADDRESS_REFUSED, str(refused)
    except httpx.NetworkError as failed:
        error, excerpt = Failure.CONNECTION_FAILED, str(failed)
    except (httpx.HTTPError, httpx.InvalidURL) as failed:
        error, excerpt = Failure.PROTOCOL_ERROR, str(failed)
    if status_code is not None and error is Failure.TIMEOUT:
        status_code = None  # it began to answer, and did not end: that is no answer
    return Reply(
        status_code=status_code,
        error=error,
        excerpt=None if excerpt is None else excerpt[:MAX_EXCERPT],
        duration_ms=round((perf_counter() - started) * 1000),
        retry_after=retry_after,
    )


def _failure(response: httpx.Response) -> Failure | None:
    if response.is_success:
        return None
    return Failure.REDIRECTED if response.is_redirect else Failure.NOT_2XX


async def _beginning(response: httpx.Response) -> str:
    """The first bytes as text that the database takes. A longer answer is cut off."""
    body = b""
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) >= _READ_AT_MOST:
            break
    return body[: 4 * MAX_EXCERPT].decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")


def released() -> Reply:
    """What stands for an answer when the worker stopped before there was one."""
    return Reply(status_code=None, error=None, excerpt=None, duration_ms=0)


def not_sendable(reason: NotSendable) -> Reply:
    """What stands for an answer when there was nothing to send."""
    return Reply(
        status_code=None, error=Failure.NOT_SENDABLE, excerpt=str(reason)[:MAX_EXCERPT], duration_ms=0
    )


async def attempt(
    client: httpx.AsyncClient,
    confinement: Confinement,
    keys: KeyRing,
    tenant_id: int,
    owed: Owed,
) -> Reply:
    """Composes and sends. Never raises but CancelledError: whatever goes wrong is a reply."""
    try:
        message = compose(owed, keys, tenant_id, now())
    except NotSendable as reason:
        return not_sendable(reason)
    return await send(client, confinement, message)

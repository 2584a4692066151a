"""What an answer means, and when to try again. No I/O."""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from random import uniform
from typing import Final

from florin.webhooks.model import DisabledReason, Failure, Owed, Reply, Result, Verdict

_MINUTE: Final = 60
_HOUR: Final = 3600

RETRY_DELAYS_S: Final = (
    5,
    5 * _MINUTE,
    30 * _MINUTE,
    2 * _HOUR,
    5 * _HOUR,
    10 * _HOUR,
    14 * _HOUR,
    20 * _HOUR,
    24 * _HOUR,
)
"""After the first attempt, the second, ...: ten attempts in about 75 hours, as Standard Webhooks advises."""

JITTER: Final = 0.1
"""Each delay is this much shorter or longer, at random: what failed together does not come back together."""

MAX_ATTEMPTS: Final = len(RETRY_DELAYS_S) + 1
MAX_RETRY_AFTER: Final = timedelta(hours=24)
DISABLE_AFTER: Final = timedelta(days=5)
"""An endpoint that only fails for so long is disabled."""

_ASKS_FOR_REST: Final = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
_FILTER: Final = re.compile(r"^(\*|[a-z_]+(\.[a-z_]+)*(\.\*)?)$")


def valid_filter(text: str) -> bool:
    """Whether this is `*`, a type of event, or a prefix of types with `.*`."""
    return _FILTER.fullmatch(text) is not None


def jitter() -> float:
    """A factor around 1."""
    return uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - spreads load, keeps no secret


def retry_after(value: str | None, now: datetime) -> timedelta | None:
    """How long a Retry-After header asks to wait (seconds or an HTTP date), at most a day.

    None: no header, or not one that RFC 9110 knows.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        # A number of absurd length is cut before it is read: it can only mean the most.
        return min(timedelta(seconds=int(text[:9])), MAX_RETRY_AFTER)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return max(timedelta(0), min(at - now, MAX_RETRY_AFTER))


def judge(
    owed: Owed,
    reply: Reply,
    now: datetime,
    *,
    delays_s: Sequence[float] = RETRY_DELAYS_S,
    spread: Callable[[], float] = jitter,
) -> Verdict:
    """What an attempt's reply means for the delivery and its endpoint.

    A 2xx is success. 410 ends the endpoint. Whatever else is tried again on the schedule; 429, 502,
    503 and 504 with Retry-After rest the whole endpoint for as long. When the schedule is exhausted the
    delivery has failed; when the endpoint has failed for five days it is disabled.
    """
    if reply.error is None:
        return Verdict(Result.DELIVERED)
    if reply.status_code == HTTPStatus.GONE:
        return Verdict(Result.FAILED, disable=DisabledReason.GONE)
    rest = retry_after(reply.retry_after, now) if reply.status_code in _ASKS_FOR_REST else None
    pause_until = None if rest is None else now + rest
    given_up = owed.failing_since is not None and now - owed.failing_since >= DISABLE_AFTER
    disable = DisabledReason.FAILING if given_up and reply.error is not Failure.NOT_SENDABLE else None
    if owed.attempt_count >= len(delays_s):
        return Verdict(Result.FAILED, pause_until=pause_until, disable=disable)
    delay = timedelta(seconds=delays_s[owed.attempt_count] * spread())
    return Verdict(Result.RETRY, now + max(delay, rest or timedelta(0)), pause_until, disable)

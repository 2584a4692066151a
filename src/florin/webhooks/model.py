"""What the webhooks room speaks of. No I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

MAX_ENDPOINTS: Final = 50
"""Of one owner, disabled ones included."""

MAX_SECRETS: Final = 10
"""That sign at a time while secrets rotate: a receiver checks each of the signatures."""

MAX_EXCERPT: Final = 1000
"""Characters that are kept of an answer."""


class EndpointStatus(StrEnum):
    """Whether an endpoint is told of events."""

    ENABLED = "enabled"
    DISABLED = "disabled"


class DisabledReason(StrEnum):
    """Why an endpoint is told nothing any more."""

    REQUESTED = "requested"
    GONE = "gone"
    """It answered 410."""

    FAILING = "failing"
    """Nothing but failures for five days."""


class DeliveryStatus(StrEnum):
    """What became of one event at one endpoint."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    """Given up: the schedule of retries is exhausted."""

    DISCARDED = "discarded"
    """The endpoint was disabled first."""


class Failure(StrEnum):
    """Why an attempt failed."""

    TIMEOUT = "timeout"
    CONNECTION_FAILED = "connection_failed"
    ADDRESS_REFUSED = "address_refused"
    """The URL leads to a private or reserved address, or is one that requests may not go to."""

    PROTOCOL_ERROR = "protocol_error"
    REDIRECTED = "redirected"
    """Redirects are not followed."""

    NOT_2XX = "not_2xx"
    NOT_SENDABLE = "not_sendable"
    """The fault is ours: the secret does not open, or the event cannot be rendered."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A URL that is told of events."""

    id: UUID
    partner_id: UUID | None
    include_partners: bool
    url: str
    description: str | None
    events: Sequence[str]
    status: EndpointStatus
    disabled_reason: DisabledReason | None
    disabled_at: datetime | None
    max_in_flight: int
    failing_since: datetime | None
    paused_until: datetime | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event that is owed, or was, to one endpoint."""

    id: UUID
    endpoint_id: UUID
    event_id: UUID
    event_type: str
    object_id: UUID
    status: DeliveryStatus
    attempt_count: int
    next_attempt_at: datetime | None
    claimed_until: datetime | None
    created_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request that was made. Its id carries the time of its start."""

    id: UUID
    url: str
    duration_ms: int
    status_code: int | None
    error: str | None
    response_excerpt: str | None


@dataclass(frozen=True, slots=True)
class Owed:
    """A delivery that this process has leased, with all that it takes to send it."""

    claim_id: UUID
    endpoint_id: UUID
    event_id: UUID
    attempt_count: int
    url: str
    failing_since: datetime | None
    sealed_secrets: Sequence[bytes]
    event_type: str
    occurred_at: datetime
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back. `error` is None for a 2xx only."""

    status_code: int | None
    error: Failure | None
    excerpt: str | None
    duration_ms: int
    retry_after: str | None = None


class Result(StrEnum):
    """What an attempt means for its delivery."""

    DELIVERED = "delivered"
    RETRY = "retry"
    FAILED = "failed"
    RELEASED = "released"
    """Not tried after all: the worker stopped."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be noted after an attempt."""

    result: Result
    next_attempt_at: datetime | None = None
    pause_until: datetime | None = None
    disable: DisabledReason | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """One item of `webhooks.finish`."""

    attempt_id: UUID
    owed: Owed
    reply: Reply
    verdict: Verdict


def time_of(event_id: UUID) -> datetime:
    """The millisecond that a UUIDv7 carries (RFC 9562, section 5.7)."""
    epoch = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
    return epoch + timedelta(milliseconds=event_id.int >> 80)

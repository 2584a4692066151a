"""What a clearing account is, and what lingers on one. No I/O. Amounts are minor units."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

from florin.ledger.model import TransferKind

MAX_TRAIL: Final = 1000
"""Transfers, and events, of one trail."""


class MatchBy(StrEnum):
    """What clears what: whatever goes out the oldest that came in, or what has the same correlation id."""

    ORDER = "order"
    CORRELATION = "correlation"


class Aging(NamedTuple):
    """Open amounts by age, both sides as positive numbers."""

    under_1_day_minor: int
    days_1_to_7_minor: int
    days_7_to_30_minor: int
    over_30_days_minor: int


@dataclass(frozen=True, slots=True)
class ClearingAccount:
    """An account that is to return to zero, and how far it is from it."""

    account_id: UUID
    code: str
    name: str
    currency: str
    clears_within: timedelta
    match_by: MatchBy
    balance_minor: int
    """Positive on the account's normal side."""

    open_items: int
    open_minor: int
    """The open items' amounts, both sides as positive numbers."""

    overdue_items: int
    overdue_minor: int
    oldest: datetime | None
    """When the oldest open item was opened."""

    oldest_age: timedelta | None

    aging: Aging


class Item(NamedTuple):
    """What has not returned to zero: an entry, or all of one correlation."""

    transfer_id: UUID
    """The transfer that opened it."""

    correlation_id: str | None
    amount_minor: int
    """What of it is open still; debits positive."""

    since: datetime
    last_transfer_id: UUID
    """The last transfer that changed it."""

    age: timedelta
    overdue: bool


class TrailTransfer(NamedTuple):
    """A transfer on the way to a lingering amount."""

    id: UUID
    kind: TransferKind
    recorded_at: datetime
    description: str | None
    correlation_id: str | None
    causation_id: str | None
    related_id: UUID | None
    """What it reverses, replaces, or the hold that it posts."""

    amount_minor: int
    """What it moved on the account; debits positive, 0 for nothing."""


class TrailEvent(NamedTuple):
    """An event about what a transfer of the trail belongs to, or was caused by."""

    id: UUID
    type: str
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class Trail:
    """From a lingering amount back to what left it."""

    item: Item | None
    """None: it has cleared."""

    steps: tuple[TrailTransfer | TrailEvent, ...]
    """Oldest first."""

    complete: bool
    """False: there is more than a trail shows."""

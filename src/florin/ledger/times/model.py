"""Balances and statements of the past, by either time. No I/O.

An entry is recorded at one time and counts at another, mostly the same. So a past balance has two
questions: as of when, and as known when.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from florin.ledger.model import AccountType, Metadata, TransferKind


class TimeAxis(StrEnum):
    """By which of the two times a statement is ordered and bounded."""

    RECORDED = "recorded"
    EFFECTIVE = "effective"


@dataclass(frozen=True, slots=True)
class Moment:
    """An account at a point in both times."""

    account_id: UUID
    effective_at: datetime | None = None
    """Counting what is effective by then; None: now."""

    known_at: datetime | None = None
    """Counting what was recorded by then; None: all of it."""


@dataclass(frozen=True, slots=True)
class BalanceAt:
    """What an account held at a moment."""

    account_id: UUID
    type: AccountType
    currency: str
    balance_minor: int
    """On the account's normal side."""

    entry_seq: int
    """The last entry recorded by the earlier of the two times; 0: none."""

    known_seq: int
    """The last entry known: those up to it were looked at; 0: none."""


class StatementLine(NamedTuple):
    """An entry in the order of a statement, with what its transfer says about it."""

    seq: int
    """Its number in the order of recording; in an effective statement numbers may jump."""

    transfer_id: UUID
    kind: TransferKind
    amount_minor: int
    """Debits positive, credits negative."""

    balance_after_minor: int
    """In the order of this statement, on the account's normal side."""

    recorded_at: datetime
    effective_at: datetime
    related_id: UUID | None
    """The hold that it posts, or the transfer that it reverses or corrects."""

    description: str | None
    correlation_id: str | None
    metadata: Metadata | None


@dataclass(frozen=True, slots=True)
class Statement:
    """An account over a period, without its lines: those come in pages."""

    account_id: UUID
    code: str
    name: str
    type: AccountType
    currency: str
    axis: TimeAxis
    since: datetime
    """Entries at or after this ..."""

    until: datetime
    """... and before this, on the axis."""

    known_at: datetime | None
    """As it was known then; None: as it is known now."""

    opening_balance_minor: int
    closing_balance_minor: int
    first_seq: int
    """Ordinary entries of the period are numbered from here ..."""

    last_seq: int
    """... to here, so `last_seq - first_seq + 1` of them, or none where it is less than the first."""

    known_seq: int
    """No later entry is part of this statement, whatever is posted while it is read."""

    has_dated: bool
    """Whether any entry of the account counts at another time than it was recorded."""


@dataclass(frozen=True, slots=True)
class Restatement:
    """How the balance of one moment has changed since it was known."""

    then: BalanceAt
    now: BalanceAt
    lines: tuple[StatementLine, ...]
    """A page of what made the difference, in the order of recording, with the balances of that order."""

    has_more: bool

    @property
    def difference_minor(self) -> int:
        """What has been added since, on the account's normal side."""
        return self.now.balance_minor - self.then.balance_minor


@dataclass(frozen=True, slots=True)
class PeriodClosing:
    """From `closed_at` on nothing more counts before `closed_before`."""

    id: UUID
    name: str
    closed_before: datetime
    closed_at: datetime


class Projected(NamedTuple):
    """What a run of the projections has done."""

    accounts: int
    entries: int

"""What a report is made of. No I/O.

Amounts are minor units. An entry's amount is signed, debits positive; the balance of an account stands on its
normal side, as everywhere in the ledger; turnovers are never negative.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from florin.ledger.model import NORMAL_SIDE, AccountType, Direction, TransferKind
from florin.ledger.times.model import TimeAxis


@dataclass(frozen=True, slots=True)
class Period:
    """From `since` to before `until`; what was recorded from `known_at` on is not known yet."""

    since: datetime
    until: datetime
    by: TimeAxis
    known_at: datetime

    @property
    def recorded_until(self) -> datetime:
        """The end of the period for what counts when it is recorded."""
        return min(self.until, self.known_at)


@dataclass(frozen=True, slots=True)
class Scope:
    """Which accounts: one of them, those at or below a code, or all (neither given)."""

    account_id: UUID | None = None
    account_code: str | None = None
    under: str | None = None

    @property
    def is_single(self) -> bool:
        """Whether it names one account, which is shown even where nothing happened on it."""
        return self.account_id is not None or self.account_code is not None


WHOLE_BOOKS = Scope()


class Head(NamedTuple):
    """The account that a section is about; `exponent` is the number of digits of its currency."""

    id: UUID
    code: str
    name: str
    type: AccountType
    currency: str
    exponent: int

    @property
    def sign(self) -> int:
        """1 where debits raise the balance, else -1."""
        return 1 if NORMAL_SIDE[self.type] is Direction.DEBIT else -1


class Turnover(NamedTuple):
    """What a period moved on an account."""

    debits_minor: int
    credits_minor: int
    debit_entries: int
    credit_entries: int

    @property
    def entries(self) -> int:
        """How many entries that were."""
        return self.debit_entries + self.credit_entries


NOTHING_MOVED = Turnover(0, 0, 0, 0)


class Edges(NamedTuple):
    """Where an account stood before a period and at its end, on its normal side."""

    opening_minor: int
    closing_minor: int
    after_seq: int
    """The last entry recorded before the period."""

    last_seq: int
    """The last one recorded before its end."""

    known_seq: int
    """The last one that is known at all: it may count in the period and be recorded later."""


@dataclass(frozen=True, slots=True)
class Section:
    """An account's figures in a period."""

    head: Head
    edges: Edges
    turnover: Turnover

    @property
    def opening_minor(self) -> int:
        """The balance before the period."""
        return self.edges.opening_minor

    @property
    def closing_minor(self) -> int:
        """The balance at its end."""
        return self.edges.closing_minor

    @property
    def adds_up(self) -> bool:
        """Whether what moved leads from the one to the other."""
        net_minor = self.turnover.debits_minor - self.turnover.credits_minor
        return self.opening_minor + self.head.sign * net_minor == self.closing_minor

    @property
    def is_blank(self) -> bool:
        """Nothing there and nothing moved."""
        return not self.opening_minor and not self.turnover.entries


class Line(NamedTuple):
    """An entry in a statement."""

    seq: int
    transfer_id: UUID
    kind: TransferKind
    recorded_at: datetime
    effective_at: datetime
    amount_minor: int
    balance_minor: int
    """The account's balance after it, in the order of this statement."""

    description: str | None
    correlation_id: str | None
    against: tuple[str, ...]
    """The codes of the transfer's other accounts, in its order."""


@dataclass(frozen=True, slots=True)
class SectionEnd:
    """The section is complete: no more lines follow."""

    section: Section


@dataclass(slots=True)
class Total:
    """Sums over accounts of one currency. Balances stand on the side where each account's own stands."""

    currency: str
    exponent: int
    opening_debits_minor: int = 0
    opening_credits_minor: int = 0
    debits_minor: int = 0
    credits_minor: int = 0
    closing_debits_minor: int = 0
    closing_credits_minor: int = 0

    def add(self, section: Section) -> None:
        """Counts an account in."""
        opening, closing = (
            section.head.sign * balance for balance in (section.opening_minor, section.closing_minor)
        )
        self.opening_debits_minor += max(opening, 0)
        self.opening_credits_minor += max(-opening, 0)
        self.debits_minor += section.turnover.debits_minor
        self.credits_minor += section.turnover.credits_minor
        self.closing_debits_minor += max(closing, 0)
        self.closing_credits_minor += max(-closing, 0)

    @property
    def figures_minor(self) -> tuple[int, int, int, int, int, int]:
        """Opening debits and credits, debits and credits, closing debits and credits."""
        return (
            self.opening_debits_minor,
            self.opening_credits_minor,
            self.debits_minor,
            self.credits_minor,
            self.closing_debits_minor,
            self.closing_credits_minor,
        )


@dataclass(slots=True)
class Totals:
    """One total per currency, in the order of their codes."""

    by_currency: dict[str, Total] = field(default_factory=dict)

    def add(self, section: Section) -> None:
        """Counts an account in."""
        head = section.head
        total = self.by_currency.setdefault(head.currency, Total(head.currency, head.exponent))
        total.add(section)

    def __iter__(self) -> Iterator[Total]:
        return iter(sorted(self.by_currency.values(), key=lambda total: total.currency))


Part = Section | list[Line] | SectionEnd | Totals
"""A statement as it streams: per account a Section, its lines in batches, a SectionEnd; last the Totals."""


class TrialRow(NamedTuple):
    """A row of the trial balance: an account, or a node of the chart with all that lies at or below it."""

    code: str
    name: str | None
    account_id: UUID | None
    type: AccountType | None
    total: Total


class JournalLeg(NamedTuple):
    """A leg of a transfer, debits positive."""

    code: str
    name: str
    currency: str
    exponent: int
    amount_minor: int


class JournalTransfer(NamedTuple):
    """A transfer in the journal."""

    id: UUID
    kind: TransferKind
    recorded_at: datetime
    effective_at: datetime
    description: str | None
    correlation_id: str | None
    legs: tuple[JournalLeg, ...]

"""The chart of accounts as data. No I/O.

A node names a class of accounts: those whose code is its own, or begins with its own and a colon.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from florin.ledger.model import AccountType, Direction, MatchBy

SEPARATOR: Final = ":"
MAX_NODES: Final = 2000
"""A tenant's. Accounts are what there are many of; a chart is read whole."""

MAX_CHILDREN: Final = 1000
"""Totals by segment in one answer."""

SYSTEM_TYPES: Final = {
    "provider": AccountType.ASSET,
    "partner": AccountType.LIABILITY,
    "fx:position": AccountType.EQUITY,
    "fx:rounding": AccountType.INCOME,
}
"""The type of the accounts that the system makes below a code, each with its currency as last segment."""


@dataclass(frozen=True, slots=True)
class ChartNode:
    """A class of accounts. None for a currency or a bound: any, and no bound."""

    code: str
    name: str
    type: AccountType
    currency: str | None = None
    min_balance_minor: int | None = None
    """Of each account in the class."""

    max_balance_minor: int | None = None
    clears_within: timedelta | None = None
    """Its accounts are declared to return to zero within this time."""

    match_by: MatchBy = MatchBy.ORDER
    created_at: datetime | None = None
    """None: it is not in the chart yet."""

    @property
    def bounds(self) -> tuple[int | None, int | None]:
        """Lower and upper."""
        return self.min_balance_minor, self.max_balance_minor


class Total(NamedTuple):
    """Balances of some accounts in one currency, by the side on which they stand."""

    currency: str
    debits_minor: int
    credits_minor: int
    accounts: int

    def net_minor(self, side: Direction) -> int:
        """What they come to, positive on this side."""
        net = self.debits_minor - self.credits_minor
        return net if side is Direction.DEBIT else -net


@dataclass(frozen=True, slots=True)
class Branch:
    """A node in its tree: 0 is the depth of a node with none above it in what was asked for."""

    node: ChartNode
    depth: int
    totals: tuple[Total, ...]


@dataclass(frozen=True, slots=True)
class Child:
    """What lies under one segment below a code."""

    code: str
    totals: tuple[Total, ...]


@dataclass(frozen=True, slots=True)
class RollUp:
    """All accounts at or below a code, and the same by the next segment of their codes."""

    code: str
    side: Direction
    """That of the nearest node; without one, the side of most accounts."""

    totals: tuple[Total, ...]
    children: tuple[Child, ...]
    more_children: bool
    """Whether there are more segments than were asked for."""


@dataclass(frozen=True, slots=True)
class Template:
    """A chart to begin with, as it is shipped."""

    name: str
    description: str
    nodes: tuple[ChartNode, ...]


class Applied(NamedTuple):
    """What became of a template: codes that it made, and codes that were there and stay as they are."""

    made: list[str]
    present: list[str]


def depths(codes: list[str]) -> list[int]:
    """How many of the other codes lie above each; the codes stand in the order of a tree."""
    above: list[str] = []
    found = []
    for code in codes:
        while above and not code.startswith(above[-1] + SEPARATOR):
            above.pop()
        found.append(len(above))
        above.append(code)
    return found

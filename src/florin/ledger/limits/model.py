"""Shared limits as data. No I/O."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from florin.ledger.model import Direction


@dataclass(frozen=True, slots=True)
class SharedLimit:
    """Bounds on the sum of some accounts' balances, on their common normal side."""

    id: UUID
    name: str
    side: Direction
    currency: str
    min_balance_minor: int | None
    """As for an account, None is no bound."""

    max_balance_minor: int | None
    balance_minor: int
    """The sum of the members' balances, and of what holds reserve on them."""

    pending_debits_minor: int
    pending_credits_minor: int
    created_at: datetime

    @property
    def available_minor(self) -> int:
        """What can still leave the members together, but for the bounds."""
        if self.side is Direction.DEBIT:
            return self.balance_minor - self.pending_credits_minor
        return self.balance_minor - self.pending_debits_minor


@dataclass(frozen=True, slots=True)
class NewLimit:
    """A limit to be made."""

    name: str
    side: Direction
    currency: str
    min_balance_minor: int | None = None
    max_balance_minor: int | None = None


class LimitMismatch(NamedTuple):
    """A limit whose running sums are not those of its members."""

    limit_id: UUID
    balance_minor: int
    pending_debits_minor: int
    pending_credits_minor: int
    member_balance_minor: int
    member_debits_minor: int
    member_credits_minor: int

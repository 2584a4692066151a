"""What a dry run tells. No I/O."""

from dataclasses import dataclass
from uuid import UUID

from florin.kernel.errors import Refusal
from florin.ledger.model import NORMAL_SIDE, Balance, Direction, Transfer


@dataclass(frozen=True, slots=True)
class Pool:
    """A limit that accounts share, and what they hold together."""

    id: UUID
    name: str
    balance_minor: int
    pending_debits_minor: int
    pending_credits_minor: int
    lowest_minor: int | None
    highest_minor: int | None


@dataclass(frozen=True, slots=True)
class Standing:
    """What an account holds and the bounds that it must keep."""

    balance: Balance
    lowest_minor: int | None
    highest_minor: int | None
    pool: Pool | None

    @property
    def sign(self) -> int:
        """1 where debits raise the balance, else -1."""
        return 1 if NORMAL_SIDE[self.balance.type] is Direction.DEBIT else -1


@dataclass(frozen=True, slots=True)
class Rule:
    """The bound that refuses, and the balance that would break it, holds included."""

    bound: str
    """`min_balance` or `max_balance`."""

    value_minor: int
    balance_minor: int
    limit: str | None = None
    """The name of the shared limit whose bound it is; None: the account's own."""


@dataclass(frozen=True, slots=True)
class Refused:
    """What one transfer would meet."""

    refusal: Refusal
    account_id: UUID | None = None
    rule: Rule | None = None


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """One answer per transfer, in order, and how the accounts concerned would stand afterwards."""

    answers: tuple[Transfer | Refused, ...]
    standings: tuple[Standing, ...]

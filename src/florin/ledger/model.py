"""What the ledger is made of. No I/O.

Amounts are minor units. Within a transfer they are signed, debits positive; an account's balance is
positive on its normal side.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple
from uuid import UUID

from florin.kernel.idempotency import Idempotency

Metadata = Mapping[str, Any]


class AccountType(StrEnum):
    """The five kinds of account in double-entry bookkeeping."""

    ASSET = "asset"
    LIABILITY = "liability"
    INCOME = "income"
    EXPENSE = "expense"
    EQUITY = "equity"


class AccountStatus(StrEnum):
    """A frozen account moves nothing; a closed one never again."""

    ACTIVE = "active"
    FROZEN = "frozen"
    CLOSED = "closed"


class Direction(StrEnum):
    """The two sides of the books."""

    DEBIT = "debit"
    CREDIT = "credit"


class TransferKind(StrEnum):
    """What a line of the transfer log did."""

    TRANSFER = "transfer"
    HOLD = "hold"
    POST = "post"
    VOID = "void"
    EXPIRY = "expiry"
    REVERSAL = "reversal"
    REPOST = "repost"


class HoldStatus(StrEnum):
    """`reserved` and `partially_posted` still reserve; the others have ended."""

    RESERVED = "reserved"
    PARTIALLY_POSTED = "partially_posted"
    POSTED = "posted"
    VOIDED = "voided"
    EXPIRED = "expired"


class HoldAction(StrEnum):
    """What can be done to a hold that is still open."""

    POST = "post"
    VOID = "void"
    EXPIRE = "expire"


NORMAL_SIDE: Final[Mapping[AccountType, Direction]] = {
    AccountType.ASSET: Direction.DEBIT,
    AccountType.EXPENSE: Direction.DEBIT,
    AccountType.LIABILITY: Direction.CREDIT,
    AccountType.INCOME: Direction.CREDIT,
    AccountType.EQUITY: Direction.CREDIT,
}
"""On which side a positive balance of each type stands."""

RESERVED_PREFIXES: Final = ("partner:", "provider:", "fx:")
"""Codes that begin like this belong to accounts that the system makes itself."""

MAX_BOUND_MINOR: Final = 10**18
"""No bound on a balance may lie further out: a sum of balances still fits a bigint."""


@dataclass(frozen=True, slots=True)
class Balance:
    """What an account holds and what holds reserve on it."""

    account_id: UUID
    type: AccountType
    currency: str
    balance_minor: int
    pending_debits_minor: int
    pending_credits_minor: int
    entry_seq: int
    """The number of the account's last entry."""

    @property
    def available_minor(self) -> int:
        """What can still leave: the balance less what holds may take from it."""
        if NORMAL_SIDE[self.type] is Direction.DEBIT:
            return self.balance_minor - self.pending_credits_minor
        return self.balance_minor - self.pending_debits_minor


@dataclass(frozen=True, slots=True)
class Account:
    """An account with everything that is known of it."""

    id: UUID
    code: str
    name: str
    type: AccountType
    currency: str
    status: AccountStatus
    min_balance_minor: int | None
    max_balance_minor: int | None
    balance: Balance
    metadata: Metadata
    created_at: datetime


@dataclass(frozen=True, slots=True)
class NewAccount:
    """An account to be opened."""

    code: str
    name: str
    type: AccountType
    currency: str
    min_balance_minor: int | None = None
    max_balance_minor: int | None = None
    metadata: Metadata | None = None


@dataclass(frozen=True, slots=True)
class SystemAccount:
    """An account that the system makes for itself on first use, known by its code."""

    code: str
    name: str
    type: AccountType
    currency: str


class Leg(NamedTuple):
    """One account's part in a transfer; debits are positive."""

    account_id: UUID
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a transfer comes from, in the words of whoever asked for it."""

    correlation_id: str | None = None
    """What it belongs to: an order, a payment. At most 255 characters."""

    causation_id: str | None = None
    """What led to it: an event, a request. At most 255 characters."""

    template: Metadata | None = None
    """Name, version and parameters of the recipe that made it."""

    exchange: Metadata | None = None
    """Rate, source, amounts and rounding of a currency exchange."""


NOWHERE: Final = Origin()


@dataclass(frozen=True, slots=True)
class Posting:
    """A transfer or a hold to be made."""

    id: UUID
    idempotency: Idempotency | None
    """None: asking again posts again. For dry runs, and for work that keeps its own count."""

    legs: tuple[Leg, ...]
    kind: TransferKind = TransferKind.TRANSFER
    currency: str | None = None
    """The currency that all its accounts must have; None: whatever they have, each balanced."""

    description: str | None = None
    metadata: Metadata | None = None
    effective_at: datetime | None = None
    """When it counts, if not when it is recorded."""

    origin: Origin = NOWHERE
    expires_at: datetime | None = None
    """Holds only."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """Something to be done to a hold."""

    id: UUID
    idempotency: Idempotency | None
    """None: asking again is harmless (expiry)."""

    hold_id: UUID
    action: HoldAction
    amount_minor: int | None = None
    """How much of a two-leg hold to post."""

    legs: tuple[Leg, ...] = ()
    """How much of each leg to post. Neither given: all that remains."""

    description: str | None = None
    metadata: Metadata | None = None
    origin: Origin = NOWHERE


@dataclass(frozen=True, slots=True)
class Reversing:
    """A transfer to be reversed, in full or in part."""

    id: UUID
    idempotency: Idempotency | None
    """None: for dry runs."""

    transfer_id: UUID
    amount_minor: int | None = None
    """How much of a two-leg transfer to take back."""

    legs: tuple[Leg, ...] = ()
    """How much of each leg, with the transfer's own signs. Neither given: all that is left."""

    effective_at: datetime | None = None
    description: str | None = None
    metadata: Metadata | None = None
    origin: Origin = NOWHERE


@dataclass(frozen=True, slots=True)
class Correcting:
    """A transfer to be taken back and posted anew, both or neither."""

    reversal_id: UUID
    repost_id: UUID
    idempotency: Idempotency | None
    """None: for dry runs."""

    transfer_id: UUID
    legs: tuple[Leg, ...]
    currency: str | None = None
    effective_at: datetime | None = None
    description: str | None = None
    metadata: Metadata | None = None
    origin: Origin = NOWHERE


class Posted(NamedTuple):
    """The database's answer to a Posting. After a replay only the id means something."""

    transfer_id: UUID
    replayed: bool
    recorded_at: datetime
    seqs: list[int]
    balances_before: list[int]
    balances_after: list[int]
    currencies: list[str]


class Recorded(NamedTuple):
    """The database's answer to a Settlement or a Reversing."""

    transfer_id: UUID
    replayed: bool


class TransferEntry(NamedTuple):
    """A leg of a recorded transfer; number and balances are None where nothing was posted."""

    account_id: UUID
    currency: str
    amount_minor: int
    seq: int | None
    balance_before_minor: int | None
    balance_after_minor: int | None
    reversed_minor: int = 0
    """How much of the amount has been taken back since, with its sign."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """A line of the transfer log."""

    id: UUID
    kind: TransferKind
    recorded_at: datetime
    effective_at: datetime
    related_id: UUID | None
    description: str | None
    metadata: Metadata | None
    entries: tuple[TransferEntry, ...]
    reversal_ids: tuple[UUID, ...] = ()
    """What has taken back some or all of it, in order."""

    origin: Origin = NOWHERE
    replayed: bool = field(default=False, compare=False)
    """Said again, to an idempotency key that was used before."""


class Entry(NamedTuple):
    """A line of an account's statement."""

    seq: int
    transfer_id: UUID
    amount_minor: int
    balance_before_minor: int
    balance_after_minor: int
    recorded_at: datetime
    effective_at: datetime
    """When it counts: most often when it was recorded."""


class HoldLeg(NamedTuple):
    """A leg of a hold; all three amounts are signed, debits positive."""

    account_id: UUID
    currency: str
    reserved_minor: int
    posted_minor: int
    remaining_minor: int


@dataclass(frozen=True, slots=True)
class Hold:
    """What a hold has reserved, posted, and reserves still."""

    id: UUID
    status: HoldStatus
    legs: tuple[HoldLeg, ...]
    expires_at: datetime | None
    description: str | None
    metadata: Metadata | None
    created_at: datetime
    updated_at: datetime
    replayed: bool = field(default=False, compare=False)
    """Said again, to an idempotency key that was used before."""


class TrialBalanceLine(NamedTuple):
    """Balances of one type of account in one currency, by the side on which they stand."""

    currency: str
    type: AccountType
    debits_minor: int
    credits_minor: int

"""What an exchange is made of. No I/O."""

from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, ROUND_UP, Decimal
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

from florin.kernel.idempotency import Idempotency
from florin.ledger.model import Metadata


class Rounding(StrEnum):
    """What becomes of a fraction of a minor unit."""

    HALF_EVEN = "half_even"
    HALF_UP = "half_up"
    DOWN = "down"
    UP = "up"


DECIMAL_ROUNDING: Final = {
    Rounding.HALF_EVEN: ROUND_HALF_EVEN,
    Rounding.HALF_UP: ROUND_HALF_UP,
    Rounding.DOWN: ROUND_DOWN,
    Rounding.UP: ROUND_UP,
}


@dataclass(frozen=True, slots=True)
class Exchanging:
    """An amount of one currency to be given for another."""

    id: UUID
    idempotency: Idempotency | None
    """None: for dry runs."""

    sell_account: UUID
    """Whose balance falls."""

    sell_minor: int
    buy_account: UUID
    """Whose balance rises."""

    rate: Decimal
    """Units of the bought currency for one unit of the sold; major units both."""

    source: str
    """Who gave the rate."""

    buy_minor: int | None = None
    """What was agreed; None: what the rate gives."""

    rounding: Rounding = Rounding.HALF_EVEN
    tolerance_minor: int = 1
    """How far the agreed amount may lie from the rate's."""

    quoted_at: datetime | None = None
    effective_at: datetime | None = None
    description: str | None = None
    metadata: Metadata | None = None
    correlation_id: str | None = None
    causation_id: str | None = None


@dataclass(frozen=True, slots=True)
class Conversion:
    """What a rate makes of an amount."""

    exact: Decimal
    """In minor units of the bought currency, fractions and all."""

    rounded_minor: int
    """What the position gives."""

    bought_minor: int
    """What the buyer gets."""

    @property
    def difference_minor(self) -> int:
        """What the buyer gets beyond the rate's amount, at the cost of the rounding account."""
        return self.bought_minor - self.rounded_minor

    @property
    def remainder(self) -> Decimal:
        """The fraction of a minor unit that rounding has taken off (negative: put on)."""
        return self.exact - self.rounded_minor


class Position(NamedTuple):
    """How far the books are open in one currency."""

    currency: str
    position_minor: int
    """What is owned beyond what is owed, because of exchanges; negative: short."""

    rounding_minor: int
    """What agreed amounts have left beside the rate's; negative: they have cost."""

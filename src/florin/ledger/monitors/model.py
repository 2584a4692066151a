"""What a monitor is. No I/O."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

MAX_ACTIVE: Final = 20
"""Of one account: each posting on it looks at all of them."""


class Metric(StrEnum):
    """What is looked at: the balance, or what of it holds leave available."""

    BALANCE = "balance"
    AVAILABLE = "available"


class Comparison(StrEnum):
    """When the condition holds: strictly below the threshold, or strictly above."""

    BELOW = "below"
    ABOVE = "above"


@dataclass(frozen=True, slots=True)
class NewMonitor:
    """A condition to be watched from now on."""

    account_id: UUID
    name: str
    metric: Metric
    comparison: Comparison
    threshold_minor: int


@dataclass(frozen=True, slots=True)
class Monitor:
    """A condition on an account's balance, and how it stands now."""

    id: UUID
    account_id: UUID
    name: str
    metric: Metric
    comparison: Comparison
    threshold_minor: int
    active: bool
    created_at: datetime
    value_minor: int
    """The metric's present value, positive on the account's normal side."""

    @property
    def holds(self) -> bool:
        """Whether the condition holds now."""
        if self.comparison is Comparison.BELOW:
            return self.value_minor < self.threshold_minor
        return self.value_minor > self.threshold_minor

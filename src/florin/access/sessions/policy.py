"""How long a session lasts. No I/O."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from florin.kernel.settings import Settings


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long sessions last at most, and how long without being renewed."""

    most: timedelta = timedelta(days=30)
    idle: timedelta = timedelta(days=7)
    idle_privileged: timedelta = timedelta(minutes=15)
    """For whoever may do more than read in the whole tenant (PCI DSS 4.0.1, requirement 8.2.8)."""

    @classmethod
    def of(cls, settings: Settings) -> "Lifetimes":
        """As the operator has set them."""
        return cls(
            timedelta(days=settings.session_max_days),
            timedelta(days=settings.session_idle_days),
            timedelta(minutes=settings.session_idle_privileged_minutes),
        )

    def idle_of(self, permissions: Iterable[str]) -> timedelta:
        """How long the session of a user with these permissions in the whole tenant may rest."""
        return self.idle_privileged if is_privileged(permissions) else self.idle

    def ends_at(self, last_used_at: datetime, expires_at: datetime, permissions: Iterable[str]) -> datetime:
        """When a session ends that is not renewed any more."""
        return min(expires_at, last_used_at + self.idle_of(permissions))


def is_privileged(permissions: Iterable[str]) -> bool:
    """Whether one of them does more than read."""
    return any(not permission.endswith(":read") for permission in permissions)

"""Windows of rate limits as this process sees them: fixed ones, per minute, hour and day (UTC). No I/O.

A subject is somebody whose calls are counted: a key, a user, a partner, a tenant, an address. Every call is
taken from all of its windows, so a subject counts once per call, and its windows are brought up to date
only when one ends or a lease comes.
"""

from dataclasses import dataclass, field
from typing import Final

from florin.access.model import DAY_S, HOUR_S, MAX_LIMIT, MINUTE_S, Limits

_NAMES: Final = {MINUTE_S: "minute", HOUR_S: "hour", DAY_S: "day"}


@dataclass(slots=True)
class Window:
    """What this process knows of the present window of one period."""

    name: str
    period_s: int
    quota: int
    ends_at: int = 0
    held: int = 0
    """Leased and not used."""

    used: int = 0
    """Admitted by this process."""

    taken: int = 0
    """Handed out to all processes, as of the last lease."""

    leasing: int = 0
    """Leases on their way."""

    @property
    def spent(self) -> bool:
        """Whether nothing is left to lease."""
        return self.taken >= self.quota

    def begin(self, now: float) -> None:
        """The window that `now` falls in, of which nothing is known yet."""
        self.ends_at = (int(now) // self.period_s + 1) * self.period_s
        self.held = self.used = self.taken = 0

    def remaining(self) -> int:
        """Calls that this process may still hope for."""
        return max(self.quota - self.taken, 0) + self.held


@dataclass(slots=True)
class Subject:
    """The windows that somebody's calls are taken from, shortest first; at least one."""

    limits: Limits
    windows: list[Window]
    policy: str
    """As draft-ietf-httpapi-ratelimit-headers writes it."""

    until: float = 0
    """When the first window ends."""

    free: int = 0
    """Calls in store in all windows."""

    passed: int = 0
    """Calls since the windows were brought up to date."""

    tightest: Window = field(init=False)
    """The window with the least remaining."""

    least: int = 0
    """What it had remaining when the windows were brought up to date."""

    def __post_init__(self) -> None:
        self.tightest = self.windows[0]

    def take(self) -> int:
        """One call, of which there must be one in store. What remains in the tightest window."""
        self.free -= 1
        self.passed += 1
        return self.least - self.passed

    def settle(self, now: float) -> None:
        """Brings the windows up to date; those that are over begin anew."""
        for window in self.windows:
            window.held -= self.passed
            window.used += self.passed
            if now >= window.ends_at:
                window.begin(now)
        self.passed = 0
        self.until = min(window.ends_at for window in self.windows)
        self.weigh()

    def weigh(self) -> None:
        """Says anew what is in store and what remains, after windows that are up to date were changed."""
        self.free, self.least = MAX_LIMIT, 2 * MAX_LIMIT
        for window in self.windows:
            self.free = min(self.free, window.held)
            if (remaining := window.remaining()) < self.least:
                self.tightest, self.least = window, remaining


def subject(limits: Limits, prefix: str) -> Subject | None:
    """The windows of these limits, named by period after the prefix; None: there are none."""
    quotas = ((MINUTE_S, limits.per_minute), (HOUR_S, limits.per_hour), (DAY_S, limits.per_day))
    windows = [
        Window(prefix + _NAMES[period_s], period_s, quota) for period_s, quota in quotas if quota is not None
    ]
    if not windows:
        return None
    policy = ", ".join(f'"{window.name}";q={window.quota};w={window.period_s}' for window in windows)
    return Subject(limits, windows, policy)

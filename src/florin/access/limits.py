"""Rate limits: fixed windows per minute, hour and day (UTC), right across processes.

The window's row in the database says how many calls have been handed out. A process leases some of
them and counts those down in memory, so most calls cost no query; the sum of all leases is what the
limit bounds, so no number of processes exceeds it. Stores grow with use and shrink towards the end
of the limit (see access.lease in migrations/0004_access).

Headers: `RateLimit-Policy` and `RateLimit` as in draft-ietf-httpapi-ratelimit-headers, and the older
`RateLimit-Limit`, `-Remaining`, `-Reset`, which many clients still read, for the tightest window.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import ceil
from typing import Final
from uuid import UUID

from florin.access.callers import KeyHolder
from florin.access.model import DAY_S, HOUR_S, MAX_LIMIT, MINUTE_S, Limits
from florin.access.store import LEASE, Lease, Leased
from florin.kernel.coalescer import Coalescer
from florin.kernel.db import Database
from florin.kernel.errors import TooManyRequests

Headers = list[tuple[bytes, bytes]]

_NAMES: Final = {MINUTE_S: b"minute", HOUR_S: b"hour", DAY_S: b"day"}


@dataclass(slots=True)
class _Window:
    """What this process knows of the present window of one period."""

    period_s: int
    quota: int
    ends_at: int = 0
    held: int = 0
    """Leased and not used."""
    used: int = 0
    """Admitted by this process."""
    taken: int = 0
    """Handed out to all processes, as of the last lease."""
    spent: bool = False
    """Nothing is left to lease."""

    def begin(self, now: float) -> None:
        """The window that `now` falls in, of which nothing is known yet."""
        self.ends_at = (int(now) // self.period_s + 1) * self.period_s
        self.held = self.used = self.taken = 0
        self.spent = False

    def remaining(self) -> int:
        """Calls that this process may still hope for."""
        return self.quota - self.taken + self.held


@dataclass(slots=True)
class _Key:
    """The windows of one key, shortest first."""

    windows: list[_Window]
    policy: bytes
    waiting: int = 0
    lease: "asyncio.Task[None] | None" = field(default=None)


class RateLimits:
    """Admits calls, or refuses them with 429."""

    def __init__(self, database: Database, *, clock: Callable[[], float], max_keys: int = 10_000) -> None:
        """`clock` gives seconds since 1970. Of more than `max_keys` the longest unused is forgotten."""
        self._lease: Coalescer[Lease, Leased] = Coalescer(database, LEASE)
        self._clock = clock
        self._max_keys = max_keys
        self._keys: OrderedDict[UUID, _Key] = OrderedDict()

    async def admit(self, holder: KeyHolder) -> Headers:
        """Takes one call from every window of the key. The RateLimit headers; none if it is unlimited.

        Raises:
            TooManyRequests: a window is used up; says when to come again.
            Unavailable: the database is away and nothing is in store.
        """
        key = self._key(holder)
        if not key.windows:
            return []
        if _ready(key, now := self._clock()):
            return _take(key, now)
        key.waiting += 1
        try:
            while not _ready(key, now := self._clock()):
                if any(window.spent and not window.held for window in key.windows):
                    raise _refusal(key, now)
                if key.lease is None or key.lease.done():
                    key.lease = asyncio.get_running_loop().create_task(self._replenish(holder, key))
                    key.lease.add_done_callback(_heard)
                await asyncio.shield(key.lease)
            return _take(key, now)
        finally:
            key.waiting -= 1

    def _key(self, holder: KeyHolder) -> _Key:
        key = self._keys.get(holder.id)
        if key is not None:
            self._keys.move_to_end(holder.id)
            return key
        windows = _windows(holder.limits)
        if not windows:
            return _UNLIMITED
        policy = ", ".join(f'"{_NAMES[w.period_s].decode()}";q={w.quota};w={w.period_s}' for w in windows)
        key = self._keys[holder.id] = _Key(windows, policy.encode())
        while len(self._keys) > self._max_keys:
            self._keys.popitem(last=False)
        return key

    async def _replenish(self, holder: KeyHolder, key: _Key) -> None:
        """Leases for those who wait, shortest window first: a call that the minute refuses must not
        take from the day."""
        needed = key.waiting
        for window in key.windows:
            if window.held < needed:
                ends_at = window.ends_at
                short = needed - window.held
                leased = await self._lease.call(
                    holder.tenant_id,
                    Lease(
                        key_id=holder.id,
                        period_s=window.period_s,
                        ends_at=datetime.fromtimestamp(ends_at, UTC),
                        quota=window.quota,
                        needed=short,
                        wanted=window.used,
                    ),
                )
                if window.ends_at != ends_at:
                    return  # it is over: what was leased of it is worth nothing in the next
                window.held += leased.calls
                window.taken = leased.taken
                window.spent = leased.taken >= window.quota
                needed = min(needed, window.held)
            if not needed:
                return


_UNLIMITED: Final = _Key([], b"")


def _windows(limits: Limits) -> list[_Window]:
    quotas = ((MINUTE_S, limits.per_minute), (HOUR_S, limits.per_hour), (DAY_S, limits.per_day))
    return [_Window(period_s, quota) for period_s, quota in quotas if quota is not None]


def _ready(key: _Key, now: float) -> bool:
    """Whether a call may be taken from every window. Windows that are over begin anew."""
    ready = True
    for window in key.windows:
        if now >= window.ends_at:
            window.begin(now)
        if not window.held:
            ready = False
    return ready


def _take(key: _Key, now: float) -> Headers:
    tightest, least = key.windows[0], MAX_LIMIT + 1
    for window in key.windows:
        window.held -= 1
        window.used += 1
        if (remaining := window.remaining()) < least:
            tightest, least = window, remaining
    return _headers(key, tightest, least, ceil(tightest.ends_at - now))


def _refusal(key: _Key, now: float) -> TooManyRequests:
    """The window that stays shut longest says when to come again."""
    shut = max((w for w in key.windows if w.spent and not w.held), key=lambda w: w.ends_at)
    reset_s = ceil(shut.ends_at - now)
    headers = {name.decode(): value.decode() for name, value in _headers(key, shut, 0, reset_s)}
    return TooManyRequests(
        f"the limit of {shut.quota} calls per {_NAMES[shut.period_s].decode()} is used up",
        headers={**headers, "retry-after": str(reset_s)},
    )


def _headers(key: _Key, window: _Window, remaining: int, reset_s: int) -> Headers:
    left, reset = b"%d" % remaining, b"%d" % reset_s
    return [
        (b"ratelimit-limit", b"%d" % window.quota),
        (b"ratelimit-remaining", left),
        (b"ratelimit-reset", reset),
        (b"ratelimit-policy", key.policy),
        (b"ratelimit", b'"%b";r=%b;t=%b' % (_NAMES[window.period_s], left, reset)),
    ]


def _heard(lease: "asyncio.Task[None]") -> None:
    if not lease.cancelled():
        lease.exception()  # heard, even if everybody who waited has gone

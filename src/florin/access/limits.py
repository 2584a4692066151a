"""Rate limits, right across processes: a call is admitted by all of its windows or by none.

The window's row in the database says how many calls have been handed out. A process leases some of them
and counts those down in memory, so most calls cost no query; the sum of all leases is what the limit bounds,
so no number of processes exceeds it. Stores grow with use and shrink towards the end of the limit (see
access.lease in migrations/0029_keys).

A call's windows are its own (of the key or the user), its partner's and its tenant's. Stores of partners and
tenants are shared by all of their callers in the process. What is short is leased for everybody who waits for
the same caller, all windows in one statement.

Headers: `RateLimit-Policy` and `RateLimit` as in draft-ietf-httpapi-ratelimit-headers, and the older
`RateLimit-Limit`, `-Remaining`, `-Reset`, which many clients still read, for the tightest window.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import ceil
from typing import Final
from uuid import UUID

from florin.access.ceilings import Ceilings
from florin.access.model import MAX_LIMIT, NO_LIMITS, Limits
from florin.access.store import LEASE, Lease, Leased
from florin.access.windows import Subject, Window, subject
from florin.kernel.coalescer import Coalescer
from florin.kernel.db import Database
from florin.kernel.errors import TooManyRequests
from florin.kernel.http.call import Principal

Headers = list[tuple[bytes, bytes]]

NOBODY: Final = 0
"""The tenant under which addresses are counted: none has this number."""


@dataclass(slots=True)
class Lane:
    """One caller's way in: the subjects that its calls are taken from, and who waits."""

    tenant_id: int
    limits: Limits
    """The caller's own, as they were when the lane was made."""

    subjects: Sequence[tuple[UUID, Subject]]
    policy: bytes
    fresh_until: float
    waiting: "deque[asyncio.Future[Headers]]" = field(default_factory=deque)
    leasing: "asyncio.Task[None] | None" = None

    def ready(self, now: float) -> bool:
        """Whether a call may be taken from every window."""
        for _, one in self.subjects:  # noqa: SIM110 - a generator would cost every call twice as much
            if one.free <= 0 or now >= one.until:
                return False
        return True

    def settle(self, now: float) -> None:
        """Brings all windows up to date."""
        for _, one in self.subjects:
            one.settle(now)

    def weigh(self) -> None:
        """Says anew what is in store, after windows that are up to date were changed."""
        for _, one in self.subjects:
            one.weigh()

    def take(self, now: float) -> Headers:
        """One call from every window, which must be ready."""
        tightest, least = None, 2 * MAX_LIMIT
        for _, one in self.subjects:
            if (remaining := one.take()) < least:
                tightest, least = one.tightest, remaining
        assert tightest is not None, "a lane has subjects"
        return _headers(self.policy, tightest, least, now)

    def shut(self) -> list[Window]:
        """The windows that are used up."""
        return [
            window
            for _, one in self.subjects
            if not one.free
            for window in one.windows
            if window.spent and not window.held
        ]


class RateLimits:
    """Admits calls, or refuses them with 429."""

    def __init__(
        self,
        database: Database,
        *,
        clock: Callable[[], float],
        tenants: Limits = NO_LIMITS,
        max_keys: int = 10_000,
        fresh_s: float = 300,
    ) -> None:
        """`clock` gives seconds since 1970. Of more than `max_keys` the longest unused is forgotten.

        Args:
            tenants: the ceiling over all calls of a tenant that has none of its own.
            fresh_s: how long ceilings that were looked up are believed.
        """
        self._lease: Coalescer[Lease, list[Leased]] = Coalescer(database, LEASE)
        self._ceilings = Ceilings(database, tenants)
        self._clock = clock
        self._max_keys = max_keys
        self._fresh_s = fresh_s
        self._lanes: OrderedDict[UUID, Lane] = OrderedDict()
        self._subjects: OrderedDict[tuple[int, UUID], Subject] = OrderedDict()

    async def admit(self, principal: Principal, limits: Limits) -> Headers:
        """Takes one call from every window of the caller. The RateLimit headers; none if it is unlimited.

        Raises:
            TooManyRequests: a window is used up; says when to come again.
            Unavailable: the database is away and nothing is in store.
        """
        now = self._clock()
        lane = self._lanes.get(principal.id)
        if lane is None or now >= lane.fresh_until or (lane.limits is not limits and lane.limits != limits):
            lane = await self._lane(principal, limits)
        else:
            self._lanes.move_to_end(principal.id)
        if lane.subjects and lane.ready(now):
            return lane.take(now)
        return await self._pass(lane)

    async def admit_address(self, number: UUID, limits: Limits) -> Headers:
        """The same for an address: see `addresses.counted_as`."""
        lane = self._lanes.get(number)
        if lane is None:
            lane = self._remember(number, self._laned(NOBODY, limits, [(number, limits, "address-")]))
        else:
            self._lanes.move_to_end(number)
        return await self._pass(lane)

    def shut(self, number: UUID) -> TooManyRequests | None:
        """The refusal of an address that this process knows to have used up its windows."""
        lane = self._lanes.get(number)
        if lane is None:
            return None
        now = self._clock()
        lane.settle(now)
        shut = lane.shut()
        return _refusal(lane, shut, now) if shut else None

    def forget(self, tenant_id: int | None) -> None:
        """Looks a tenant's ceilings up anew from now on; None: everybody's. What was leased stays."""
        for number in [n for n, lane in self._lanes.items() if tenant_id in (None, lane.tenant_id)]:
            del self._lanes[number]

    async def _pass(self, lane: Lane) -> Headers:
        if not lane.subjects:
            return []
        now = self._clock()
        lane.settle(now)
        if lane.ready(now):
            return lane.take(now)
        if shut := lane.shut():
            raise _refusal(lane, shut, now)
        loop = asyncio.get_running_loop()
        admitted: asyncio.Future[Headers] = loop.create_future()
        lane.waiting.append(admitted)
        if lane.leasing is None or lane.leasing.done():
            lane.leasing = loop.create_task(self._serve(lane))
        return await admitted

    async def _lane(self, principal: Principal, limits: Limits) -> Lane:
        tenant_id, partner_id = principal.tenant_id, principal.partner_id
        of_partner, of_tenant = await self._ceilings.of(tenant_id, partner_id)
        wanted = [(principal.id, limits, ""), (UUID(int=tenant_id), of_tenant, "tenant-")]
        if partner_id is not None:
            wanted.insert(1, (partner_id, of_partner, "partner-"))
        return self._remember(principal.id, self._laned(tenant_id, limits, wanted))

    def _laned(self, tenant_id: int, limits: Limits, wanted: Sequence[tuple[UUID, Limits, str]]) -> Lane:
        found = [(number, self._subject(tenant_id, number, of, prefix)) for number, of, prefix in wanted]
        subjects = [(number, one) for number, one in found if one is not None]
        policy = ", ".join(one.policy for _, one in subjects).encode()
        return Lane(tenant_id, limits, subjects, policy, self._clock() + self._fresh_s)

    def _remember(self, number: UUID, lane: Lane) -> Lane:
        self._lanes[number] = lane
        while len(self._lanes) > self._max_keys:
            self._lanes.popitem(last=False)
        return lane

    def _subject(self, tenant_id: int, number: UUID, limits: Limits, prefix: str) -> Subject | None:
        """The subject that is remembered, unless its limits have changed: a new one has an empty store."""
        found = self._subjects.get((tenant_id, number))
        if found is not None and found.limits == limits:
            self._subjects.move_to_end((tenant_id, number))
            return found
        made = subject(limits, prefix)
        if made is not None:
            self._subjects[tenant_id, number] = made
            while len(self._subjects) > self._max_keys:
                self._subjects.popitem(last=False)
        return made

    async def _serve(self, lane: Lane) -> None:
        """Answers everybody who waits. One lease at a time, for as many as wait when it sets out."""
        while lane.waiting:
            now = self._clock()
            lane.settle(now)
            while lane.waiting and lane.ready(now):
                _answer(lane.waiting.popleft(), lane, now)
            shut = lane.shut()
            while lane.waiting and shut:
                _refuse(lane.waiting.popleft(), _refusal(lane, shut, now))
            if lane.waiting:
                group = [lane.waiting.popleft() for _ in range(len(lane.waiting))]
                try:
                    again = await self._lease_for(lane, group)
                except Exception as error:  # noqa: BLE001 - those who wait must hear of it, whatever it is
                    for one in (*group, *lane.waiting):
                        _refuse(one, error)
                    lane.waiting.clear()
                else:
                    lane.waiting.extendleft(reversed(again))

    async def _lease_for(
        self, lane: Lane, group: "Sequence[asyncio.Future[Headers]]"
    ) -> "Sequence[asyncio.Future[Headers]]":
        """Leases for a group and answers it; those whose window ended meanwhile are given back.

        What is in store is set aside for the group while the lease is on its way, so that another caller
        of the same partner does not take it in between.
        """
        needed = len(group)
        windows = [(number, window) for number, one in lane.subjects for window in one.windows]
        ends = [window.ends_at for _, window in windows]
        asked = Lease(
            windows=[
                (number, window.period_s, datetime.fromtimestamp(window.ends_at, UTC), window.quota)
                for number, window in windows
            ],
            held=[window.held for _, window in windows],
            needed=needed,
            wanted=[0 if window.leasing else window.used for _, window in windows],
        )
        aside = [min(needed, window.held) for _, window in windows]
        for (_, window), count in zip(windows, aside, strict=True):
            window.held -= count
            window.leasing += 1
        lane.weigh()
        leased = [Leased(0, 0)] * len(windows)
        try:
            leased = await self._lease.call(lane.tenant_id, asked)
        finally:
            now = self._clock()
            lane.settle(now)
            granted, over = needed, False
            for (_, window), end, count, got in zip(windows, ends, aside, leased, strict=True):
                window.leasing -= 1
                if window.ends_at != end:
                    over = True  # what was leased of it is worth nothing in the next
                    continue
                window.held += count + got.calls
                window.taken = max(window.taken, got.taken)
                granted = min(granted, count + got.calls)
            lane.weigh()
        if over:
            return group
        for admitted in group:
            if admitted.done():
                continue  # it went away; what was leased for it serves the next
            if granted:
                granted -= 1
                admitted.set_result(lane.take(now))
            else:
                lane.settle(now)
                _refuse(admitted, _refusal(lane, lane.shut() or _fullest(lane), now))
        return ()


def _answer(admitted: "asyncio.Future[Headers]", lane: Lane, now: float) -> None:
    if not admitted.done():
        admitted.set_result(lane.take(now))


def _refuse(admitted: "asyncio.Future[Headers]", refusal: BaseException) -> None:
    if not admitted.done():
        admitted.set_exception(refusal)


def _fullest(lane: Lane) -> list[Window]:
    """The window with the least left: the one that refused, although calls have come back to it since."""
    return [min((w for _, one in lane.subjects for w in one.windows), key=Window.remaining)]


def _refusal(lane: Lane, shut: Sequence[Window], now: float) -> TooManyRequests:
    """The window that stays shut longest says when to come again."""
    last = max(shut, key=lambda window: window.ends_at)
    headers = {name.decode(): value.decode() for name, value in _headers(lane.policy, last, 0, now)}
    whose, _, period = last.name.rpartition("-")
    of = f" of the {whose}" if whose else ""
    return TooManyRequests(
        f"the limit{of} of {last.quota} calls per {period} is used up",
        headers={**headers, "retry-after": headers["ratelimit-reset"]},
    )


def _headers(policy: bytes, window: Window, remaining: int, now: float) -> Headers:
    left, reset = b"%d" % remaining, b"%d" % ceil(window.ends_at - now)
    return [
        (b"ratelimit-limit", b"%d" % window.quota),
        (b"ratelimit-remaining", left),
        (b"ratelimit-reset", reset),
        (b"ratelimit-policy", policy),
        (b"ratelimit", b'"%b";r=%b;t=%b' % (window.name.encode(), left, reset)),
    ]

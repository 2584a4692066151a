"""Who is calling: keys that were looked up, remembered for a while."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf
from uuid import UUID

from florin.access.addresses import Reach
from florin.access.errors import PartnerNotActive, TenantNotActive
from florin.access.model import Limits, Presented
from florin.access.store import FIND_KEYS, FoundKey
from florin.kernel.coalescer import Coalescer
from florin.kernel.db import Database
from florin.kernel.errors import Refusal, Unauthenticated
from florin.kernel.http.call import Principal


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyHolder(Principal):
    """A principal with what its key adds: how often it may call, and from where."""

    limits: Limits
    reach: Reach | None = None
    """None: from anywhere."""


@dataclass(frozen=True, slots=True)
class _Known:
    """The outcome of a look-up. `holder` None: no key that may be used, whatever the reason."""

    tenant_id: int
    holder: KeyHolder | None
    refusal: type[Refusal] | None
    expires_at: float
    fresh_until: float


class Callers:
    """Authenticates by the digest of the key.

    Keys that exist and keys that do not are remembered apart, each up to a number: a flood of random
    keys costs grouped look-ups, but neither memory nor anybody's place.
    """

    def __init__(
        self,
        database: Database,
        *,
        clock: Callable[[], float],
        fresh_s: float = 300,
        unknown_s: float = 10,
        max_known: int = 10_000,
        max_unknown: int = 10_000,
    ) -> None:
        """`clock` gives seconds since 1970. `fresh_s`, `unknown_s`: how long a look-up is believed."""
        self._find: Coalescer[Presented, FoundKey | None] = Coalescer(database, FIND_KEYS)
        self._clock = clock
        self._fresh_s = fresh_s
        self._unknown_s = unknown_s
        self._max_known = max_known
        self._max_unknown = max_unknown
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._unknown: OrderedDict[bytes, _Known] = OrderedDict()
        self._flying: dict[bytes, asyncio.Task[_Known]] = {}
        self._epoch = 0
        self._used: dict[tuple[int, UUID], str | None] = {}

    def remembered(self, presented: Presented) -> KeyHolder | None:
        """Whose key it is, if that was looked up not long ago and it may be used. Costs no query."""
        now = self._clock()
        known = self._known.get(presented.digest)
        if known is None or known.fresh_until <= now or known.expires_at <= now or known.refusal is not None:
            return None
        self._known.move_to_end(presented.digest)
        return known.holder

    def has_known(self, presented: Presented) -> bool:
        """Whether the key was one when it was last looked up, however long ago."""
        return presented.digest in self._known

    async def authenticate(self, presented: Presented) -> KeyHolder:
        """Whose key it is.

        Raises:
            Unauthenticated: it is unknown, expired or revoked; which, is not said.
            TenantNotActive, PartnerNotActive: the key is right and its owner may not call.
        """
        now = self._clock()
        known = self._believed(presented.digest, now) or await self._look_up(presented)
        if known.holder is None or known.expires_at <= now:
            raise Unauthenticated
        if known.refusal is not None:
            raise known.refusal
        return known.holder

    def note_use(self, holder: KeyHolder, address: str | None) -> None:
        """Remembers that a key was used, and from where, until `take_used`."""
        self._used[holder.tenant_id, holder.id] = address

    def forget(self, tenant_id: int | None) -> None:
        """Looks a tenant's keys up anew from now on; None: everybody's."""
        self._epoch += 1
        self._flying.clear()  # they may have read what has just changed
        for digest, known in self._known.items():
            if tenant_id in (None, known.tenant_id):
                # Kept, and not believed: who was let in before is no stranger who guesses.
                self._known[digest] = replace(known, fresh_until=-inf)
        for digest in [d for d, known in self._unknown.items() if tenant_id in (None, known.tenant_id)]:
            del self._unknown[digest]

    def take_used(self) -> dict[int, dict[UUID, str | None]]:
        """By tenant the keys that were used since the last time that this was asked, and from where last."""
        used, self._used = self._used, {}
        by_tenant: dict[int, dict[UUID, str | None]] = {}
        for (tenant_id, key_id), address in used.items():
            by_tenant.setdefault(tenant_id, {})[key_id] = address
        return by_tenant

    def _believed(self, digest: bytes, now: float) -> _Known | None:
        memory = self._known if digest in self._known else self._unknown
        known = memory.get(digest)
        if known is None or known.fresh_until <= now:
            return None
        memory.move_to_end(digest)
        return known

    async def _look_up(self, presented: Presented) -> _Known:
        """One query, however many wait for the same key."""
        digest = presented.digest
        flight = self._flying.get(digest)
        if flight is None:
            flight = asyncio.get_running_loop().create_task(self._fetch(presented))
            self._flying[digest] = flight
            flight.add_done_callback(lambda done: self._landed(digest, done))
        # Shielded: a caller that goes away does not take the answer from the others.
        return await asyncio.shield(flight)

    def _landed(self, digest: bytes, flight: "asyncio.Task[_Known]") -> None:
        if self._flying.get(digest) is flight:
            del self._flying[digest]
        if not flight.cancelled():
            flight.exception()  # heard, even if everybody who asked has gone

    async def _fetch(self, presented: Presented) -> _Known:
        epoch = self._epoch
        found = await self._find.call(presented.tenant_id, presented)
        known = self._judge(presented, found)
        if epoch == self._epoch:
            self._remember(presented.digest, known)
        return known

    def _judge(self, presented: Presented, found: FoundKey | None) -> _Known:
        now = self._clock()
        expires_at = inf if found is None or found.expires_at is None else found.expires_at.timestamp()
        if found is None or found.live != presented.live or found.revoked_at is not None or expires_at <= now:
            return _Known(presented.tenant_id, None, None, inf, now + self._unknown_s)
        holder = KeyHolder(
            tenant_id=presented.tenant_id,
            partner_id=found.partner_id,
            id=found.id,
            scopes=frozenset(found.scopes),
            live=found.live,
            platform=found.platform,
            limits=found.limits,
            reach=Reach(found.allowed_addresses) if found.allowed_addresses else None,
        )
        refusal: type[Refusal] | None = None
        if found.tenant_status != "ACTIVE":
            refusal = TenantNotActive
        elif found.partner_id is not None and found.partner_status != "ACTIVE":
            refusal = PartnerNotActive
        return _Known(presented.tenant_id, holder, refusal, expires_at, now + self._fresh_s)

    def _remember(self, digest: bytes, known: _Known) -> None:
        self._known.pop(digest, None)
        self._unknown.pop(digest, None)
        memory, most = (
            (self._unknown, self._max_unknown) if known.holder is None else (self._known, self._max_known)
        )
        memory[digest] = known
        while len(memory) > most:
            memory.popitem(last=False)

"""Who is calling: keys that were looked up, remembered for a while."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Final
from uuid import UUID

from florin.access.errors import PartnerNotActive, TenantNotActive
from florin.access.model import Limits, Presented, parse
from florin.access.store import FIND_KEYS, FoundKey
from florin.kernel.coalescer import Coalescer
from florin.kernel.db import Database
from florin.kernel.errors import Refusal, Unauthenticated
from florin.kernel.http.call import Principal

_SCHEME: Final = b"bearer "


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyHolder(Principal):
    """A principal with what its key adds: how often it may call."""

    limits: Limits


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
        self._used: set[tuple[int, UUID]] = set()

    async def authenticate(self, headers: Mapping[bytes, bytes]) -> KeyHolder:
        """Whom the `Authorization: Bearer` header speaks for.

        Raises:
            Unauthenticated: no key, or one that is unknown, expired or revoked; which, is not said.
            TenantNotActive, PartnerNotActive: the key is right and its owner may not call.
        """
        authorization = headers.get(b"authorization", b"")
        if authorization[: len(_SCHEME)].lower() != _SCHEME:
            raise Unauthenticated
        presented = parse(authorization[len(_SCHEME) :].strip().decode("latin-1"))
        if presented is None:
            raise Unauthenticated
        now = self._clock()
        known = self._remembered(presented.digest, now) or await self._look_up(presented)
        if known.holder is None or known.expires_at <= now:
            raise Unauthenticated
        if known.refusal is not None:
            raise known.refusal
        self._used.add((known.tenant_id, known.holder.id))
        return known.holder

    def forget(self, tenant_id: int | None) -> None:
        """Looks a tenant's keys up anew from now on; None: everybody's."""
        self._epoch += 1
        self._flying.clear()  # they may have read what has just changed
        for memory in (self._known, self._unknown):
            for digest in [d for d, k in memory.items() if tenant_id in (None, k.tenant_id)]:
                del memory[digest]

    def take_used(self) -> dict[int, list[UUID]]:
        """By tenant the keys that were used since the last time that this was asked."""
        used, self._used = self._used, set()
        by_tenant: dict[int, list[UUID]] = {}
        for tenant_id, key_id in used:
            by_tenant.setdefault(tenant_id, []).append(key_id)
        return by_tenant

    def _remembered(self, digest: bytes, now: float) -> _Known | None:
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
        if found is None or found.revoked_at is not None or expires_at <= now:
            return _Known(presented.tenant_id, None, None, inf, now + self._unknown_s)
        holder = KeyHolder(
            tenant_id=presented.tenant_id,
            partner_id=found.partner_id,
            id=found.id,
            scopes=frozenset(found.scopes),
            live=presented.live,
            limits=found.limits,
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

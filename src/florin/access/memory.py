"""Outcomes of look-ups, remembered for a while."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from math import inf
from typing import Generic, TypeVar

from florin.kernel.errors import Refusal, Unauthenticated
from florin.kernel.http.call import Principal

Asked = TypeVar("Asked")
Holder = TypeVar("Holder", bound=Principal)


@dataclass(frozen=True, slots=True)
class Known(Generic[Holder]):
    """The outcome of a look-up. `holder` None: nobody who may call, whatever the reason."""

    tenant_id: int
    holder: Holder | None
    refusal: type[Refusal] | None
    expires_at: float
    """From then on the credential is worth nothing. Seconds since 1970, as is the next."""

    fresh_until: float
    """From then on it is looked up anew."""


class Memory(Generic[Asked, Holder]):
    """Who holds a credential, by its digest.

    Credentials that exist and those that do not are remembered apart, each up to a number: a flood of
    random ones costs grouped look-ups, but neither memory nor anybody's place.
    """

    def __init__(
        self,
        fetch: Callable[[Asked], Awaitable[Known[Holder]]],
        *,
        clock: Callable[[], float],
        max_known: int = 10_000,
        max_unknown: int = 10_000,
    ) -> None:
        """`fetch` looks up; what it raises goes to everybody who waits, and is not remembered."""
        self._fetch = fetch
        self._clock = clock
        self._max_known = max_known
        self._max_unknown = max_unknown
        self.known: OrderedDict[bytes, Known[Holder]] = OrderedDict()
        self.unknown: OrderedDict[bytes, Known[Holder]] = OrderedDict()
        self.flying: dict[bytes, asyncio.Task[Known[Holder]]] = {}
        self._epoch = 0

    async def holder(self, digest: bytes, asked: Asked) -> Holder:
        """Who holds the credential of this digest; `asked` is what `fetch` needs to look it up.

        Raises:
            Unauthenticated: nobody who may call, or not any more.
            Refusal: the credential is right, and its owner may not call.
        """
        now = self._clock()
        known = self._believed(digest, now) or await self._look_up(digest, asked)
        if known.holder is None or known.expires_at <= now:
            raise Unauthenticated
        if known.refusal is not None:
            raise known.refusal
        return known.holder

    def remembered(self, digest: bytes) -> Holder | None:
        """Who holds the credential, if that was looked up not long ago and he may call. Costs no query."""
        now = self._clock()
        known = self._believed(digest, now)
        if known is None or known.expires_at <= now or known.refusal is not None:
            return None
        return known.holder

    def has_known(self, digest: bytes) -> bool:
        """Whether the credential was good when it was last looked up, however long ago."""
        return digest in self.known

    def forget(self, tenant_id: int | None) -> None:
        """Looks a tenant's credentials up anew from now on; None: everybody's."""
        self._epoch += 1
        self.flying.clear()  # they may have read what has just changed
        for digest, known in self.known.items():
            if tenant_id in (None, known.tenant_id):
                # Kept, and not believed: whoever was let in before is no stranger who guesses.
                self.known[digest] = replace(known, fresh_until=-inf)
        for digest in [d for d, known in self.unknown.items() if tenant_id in (None, known.tenant_id)]:
            del self.unknown[digest]

    def _believed(self, digest: bytes, now: float) -> Known[Holder] | None:
        memory = self.known if digest in self.known else self.unknown
        known = memory.get(digest)
        if known is None or known.fresh_until <= now:
            return None
        memory.move_to_end(digest)
        return known

    async def _look_up(self, digest: bytes, asked: Asked) -> Known[Holder]:
        """One query, however many wait for the same credential."""
        flight = self.flying.get(digest)
        if flight is None:
            flight = asyncio.get_running_loop().create_task(self._fly(digest, asked))
            self.flying[digest] = flight
            flight.add_done_callback(lambda done: self._landed(digest, done))
        # Shielded: a caller that goes away does not take the answer from the others.
        return await asyncio.shield(flight)

    def _landed(self, digest: bytes, flight: "asyncio.Task[Known[Holder]]") -> None:
        if self.flying.get(digest) is flight:
            del self.flying[digest]
        if not flight.cancelled():
            flight.exception()  # heard, even if everybody who asked has gone

    async def _fly(self, digest: bytes, asked: Asked) -> Known[Holder]:
        epoch = self._epoch
        known = await self._fetch(asked)
        if epoch == self._epoch:
            self._remember(digest, known)
        return known

    def _remember(self, digest: bytes, known: Known[Holder]) -> None:
        self.known.pop(digest, None)
        self.unknown.pop(digest, None)
        memory, most = (
            (self.unknown, self._max_unknown) if known.holder is None else (self.known, self._max_known)
        )
        memory[digest] = known
        while len(memory) > most:
            memory.popitem(last=False)

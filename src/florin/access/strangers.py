"""What an address may do before anybody knows who calls: open endpoints, and credentials that do not hold.

Whoever shows a credential that holds is not counted, so a busy address full of callers is not held up.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from florin.access.addresses import counted_as
from florin.access.limits import Headers, RateLimits
from florin.access.model import NO_LIMITS, Limits
from florin.kernel.db import Database
from florin.kernel.errors import Unauthenticated

GUESSES_AT_ONCE: Final = 16
"""Of one address, looked up by one process: so many more than its limit may be looked up."""


@dataclass(slots=True)
class _Turn:
    """Whose guesses are being looked up now."""

    free: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(GUESSES_AT_ONCE))
    users: int = 0


class Strangers:
    """Counts by address: IPv4 by the address, IPv6 by the 64 bits that a site is given."""

    def __init__(
        self, database: Database, limits: Limits, *, clock: Callable[[], float], max_addresses: int = 10_000
    ) -> None:
        """`clock` gives seconds since 1970. Of more than `max_addresses` the longest unused is forgotten."""
        self._limits = limits
        self._counts = RateLimits(database, clock=clock, max_keys=max_addresses)
        self._turns: dict[UUID, _Turn] = {}

    async def admit(self, address: str | None) -> Headers:
        """Takes one from what the address may do. The RateLimit headers; none if nothing bounds it.

        A caller without an address came over a socket of this machine.

        Raises:
            TooManyRequests: it is used up.
        """
        if address is None or self._limits == NO_LIMITS:
            return []
        return await self._counts.admit_address(counted_as(address), self._limits)

    @asynccontextmanager
    async def guessing(self, address: str | None, *, known: bool = False) -> AsyncIterator[None]:
        """Around finding out whether a credential holds: one that does not is counted.

        Args:
            known: it held the last time that it was looked up, so it is no guess.

        Raises:
            TooManyRequests: the address has used up its guesses: before the look-up, unless `known`; or with
                this one.
        """
        if address is None or self._limits == NO_LIMITS:
            yield
            return
        number = counted_as(address)
        async with self._turn(number):
            if not known and (refusal := self._counts.shut(number)) is not None:
                raise refusal
            try:
                yield
            except Unauthenticated:
                await self._counts.admit_address(number, self._limits)
                raise

    @asynccontextmanager
    async def _turn(self, number: UUID) -> AsyncIterator[None]:
        turn = self._turns.setdefault(number, _Turn())
        turn.users += 1
        try:
            async with turn.free:
                yield
        finally:
            turn.users -= 1
            if not turn.users:
                del self._turns[number]

"""Who may hold a connection, and for how long: the process's answer to clients that are slow on purpose.

Deadlines are looked after by one sweep a second over all connections, not by timers of each: a request
pays for it with a few assignments.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from operator import attrgetter
from typing import Final, Protocol

import structlog

from florin.kernel.errors import Overloaded, Refusal, TooManyRequests
from florin.kernel.http.address import Network
from florin.kernel.settings import Settings

log = structlog.get_logger(__name__)

LOOPBACK: Final[tuple[Network, ...]] = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
_SWEEP_S: Final = 1.0
_AT_A_TIME: Final = 100
_MAKE_ROOM: Final = 32
"""One in so many gives way at once: looking for them costs a walk over all, so not for every newcomer."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a connection may take. `None` for a number of connections: as many as there are."""

    head_s: float = 10
    """From the first byte of a request, or from the beginning, to the end of its headers."""

    body_s: float = 30
    """For its body; and a second more for every `min_bytes_per_s` that have come."""

    stalled_s: float = 30
    """For the client to read on; and a second more for every `min_bytes_per_s` that wait for it."""

    min_bytes_per_s: int = 4096
    request_s: float = 60
    """From the end of a request to the beginning of its answer."""

    keep_alive_s: int = 75
    head_bytes: int = 32 * 1024
    headers: int = 100
    url_bytes: int = 8 * 1024
    connections: int | None = None
    per_address: int | None = None


def bounds_of(settings: Settings) -> Bounds:
    """What the operator has set."""
    return Bounds(
        request_s=settings.request_timeout_s,
        keep_alive_s=settings.keep_alive_s,
        connections=settings.max_connections,
        per_address=settings.max_connections_per_address,
    )


class Guarded(Protocol):
    """A connection, as far as the guard has to know it."""

    address: str | None
    waiting_since: float
    """Since when no request of it is under way; infinity: one is."""

    def overdue(self, now: float) -> str | None:
        """Why it has to end now; None: it may go on."""

    def cut(self) -> None:
        """Ends it at once, unsent bytes and all."""


class Guard:
    """The connections of one process."""

    def __init__(
        self,
        bounds: Bounds,
        *,
        exempt: Sequence[Network] = LOOPBACK,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """`exempt`: networks whose addresses may have any number, such as those of proxies."""
        self.bounds = bounds
        self.clock = clock or asyncio.get_running_loop().time
        self._exempt = exempt
        self._open: set[Guarded] = set()
        self._per_address: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, connection: Guarded) -> Refusal | None:
        """Counts it in; or says why not. Where all places are taken, those that wait longest give way."""
        address, most = connection.address, self.bounds.per_address
        if address is not None and most is not None and self._per_address[address] >= most:
            return TooManyRequests(f"{most} connections of {address} are open", headers={"retry-after": "10"})
        if self.bounds.connections is not None and len(self._open) >= self.bounds.connections:
            self._make_room()
            if len(self._open) >= self.bounds.connections:
                return Overloaded()
        self._open.add(connection)
        if address is not None and not self._is_exempt(address):
            self._per_address[address] += 1
        return None

    def leave(self, connection: Guarded) -> None:
        """Counts it out, if it was in."""
        if connection not in self._open:
            return
        self._open.discard(connection)
        address = connection.address
        if address is not None and address in self._per_address:
            self._per_address[address] -= 1
            if self._per_address[address] <= 0:
                del self._per_address[address]

    def sweep(self) -> None:
        """Ends what is overdue."""
        self._look_at(list(self._open))

    async def run(self) -> None:
        """Sweeps until it is cancelled, some connections at a time: requests go on in between."""
        while True:
            await asyncio.sleep(_SWEEP_S)
            everybody = list(self._open)
            for first in range(0, len(everybody), _AT_A_TIME):
                self._look_at(everybody[first : first + _AT_A_TIME])
                await asyncio.sleep(0)

    def _look_at(self, connections: Iterable[Guarded]) -> None:
        now = self.clock()
        reasons: Counter[str] = Counter()
        for connection in connections:
            if connection in self._open and (reason := connection.overdue(now)) is not None:
                reasons[reason] += 1
                connection.cut()
        if reasons:
            log.info("connections_cut", **reasons)

    def _make_room(self) -> None:
        idle = [one for one in self._open if one.waiting_since != float("inf")]
        idle.sort(key=attrgetter("waiting_since"))
        leaving = idle[: max(1, len(self._open) // _MAKE_ROOM)]
        for connection in leaving:
            self.leave(connection)
            connection.cut()
        log.warning("connections_full", open=len(self._open), gave_way=len(leaving))

    def _is_exempt(self, address: str) -> bool:
        return _within(address, self._exempt)


def _within(text: str, networks: Iterable[Network]) -> bool:
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return True  # no address that could be counted
    return any(address.version == network.version and address in network for network in networks)

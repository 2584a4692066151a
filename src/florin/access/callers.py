"""Who is calling: keys that were looked up, remembered for a while."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Final
from uuid import UUID

from florin.access.addresses import Reach
from florin.access.errors import PartnerNotActive, TenantNotActive
from florin.access.memory import Known, Memory
from florin.access.model import Limits, Presented
from florin.access.store import FIND_CLIENTS, FIND_KEYS, Client, FoundKey
from florin.kernel.coalescer import Coalescer
from florin.kernel.db import Database
from florin.kernel.errors import Refusal, Unauthenticated
from florin.kernel.http.call import Principal

_SCHEME: Final = b"bearer "


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyHolder(Principal):
    """A principal with what its key adds: how often it may call, and from where."""

    limits: Limits
    reach: Reach | None = None
    """None: from anywhere."""


def bearer_of(headers: Mapping[bytes, bytes]) -> str:
    """What the `Authorization: Bearer` header holds. Raises Unauthenticated."""
    authorization = headers.get(b"authorization", b"")
    if authorization[: len(_SCHEME)].lower() != _SCHEME:
        raise Unauthenticated
    return authorization[len(_SCHEME) :].strip().decode("latin-1")


class Callers:
    """Authenticates keys by their digests, and clients, whose tokens name them, by their ids."""

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
        self._find_client: Coalescer[Client, FoundKey | None] = Coalescer(database, FIND_CLIENTS)
        self._clock = clock
        self._fresh_s = fresh_s
        self._unknown_s = unknown_s
        self._memory: Memory[Presented, KeyHolder] = Memory(
            self._fetch, clock=clock, max_known=max_known, max_unknown=max_unknown
        )
        self._used: dict[tuple[int, UUID], str | None] = {}

    async def authenticate(self, presented: Presented) -> KeyHolder:
        """Whose key it is.

        Raises:
            Unauthenticated: it is unknown, expired or revoked; which, is not said.
            TenantNotActive, PartnerNotActive: the key is right and its owner may not call.
        """
        return await self._memory.holder(presented.digest, presented)

    def remembered(self, presented: Presented) -> KeyHolder | None:
        """Whose key it is, if that was looked up not long ago and it may be used. Costs no query."""
        return self._memory.remembered(presented.digest)

    def has_known(self, presented: Presented) -> bool:
        """Whether the key was one when it was last looked up, however long ago."""
        return self._memory.has_known(presented.digest)

    async def client(self, client: Client) -> Known[KeyHolder]:
        """What is known now of a client that a token names, or that has shown its secret."""
        return self._judge(client, await self._find_client.call(client.tenant_id, client))

    def note_use(self, holder: KeyHolder, address: str | None) -> None:
        """Remembers that a key was used, and from where, until `take_used`."""
        self._used[holder.tenant_id, holder.id] = address

    def forget(self, tenant_id: int | None) -> None:
        """Looks a tenant's keys up anew from now on; None: everybody's."""
        self._memory.forget(tenant_id)

    def take_used(self) -> dict[int, dict[UUID, str | None]]:
        """By tenant the keys that were used since the last time that this was asked, and from where last."""
        used, self._used = self._used, {}
        by_tenant: dict[int, dict[UUID, str | None]] = {}
        for (tenant_id, key_id), address in used.items():
            by_tenant.setdefault(tenant_id, {})[key_id] = address
        return by_tenant

    async def _fetch(self, presented: Presented) -> Known[KeyHolder]:
        found = await self._find.call(presented.tenant_id, presented)
        return self._judge(presented, found)

    def _judge(self, asked: Presented | Client, found: FoundKey | None) -> Known[KeyHolder]:
        now = self._clock()
        expires_at = inf if found is None or found.expires_at is None else found.expires_at.timestamp()
        if found is None or found.live != asked.live or found.revoked_at is not None or expires_at <= now:
            return Known(asked.tenant_id, None, None, inf, now + self._unknown_s)
        holder = KeyHolder(
            tenant_id=asked.tenant_id,
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
        return Known(asked.tenant_id, holder, refusal, expires_at, now + self._fresh_s)

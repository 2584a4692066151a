"""Who is calling with an access token: its session or its client, looked up and remembered for a while.

The token says who it is; what he may do says the database. So a changed role, an ended session, a suspended
user and a revoked client are felt with the next look-up, which every process is told to make at once.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from math import inf
from typing import Final
from uuid import UUID

from florin.access.callers import Callers, KeyHolder
from florin.access.memory import Known, Memory
from florin.access.model import Limits
from florin.access.sessions.errors import RefreshRefused
from florin.access.sessions.policy import Lifetimes
from florin.access.sessions.service import refusal_of
from florin.access.sessions.store import FIND_SESSIONS, FoundSession
from florin.access.signing.jwt import MAX_TOKEN_BYTES, Claims, TokenRefused
from florin.access.signing.service import SigningKeys
from florin.access.store import Client
from florin.access.tokens.policy import both
from florin.kernel.coalescer import Coalescer
from florin.kernel.db import Database
from florin.kernel.errors import Unauthenticated
from florin.kernel.http.call import PrincipalKind

UNLIMITED: Final = Limits(None, None, None)

_GROUP: Final = 100
"""Sessions that are looked up together. What adds up roles costs 20 us a user up to here, and more above."""


class TokenCallers:
    """Authenticates access tokens. A token is verified once per process, not once per call."""

    def __init__(
        self,
        database: Database,
        keys: SigningKeys,
        callers: Callers,
        *,
        clock: Callable[[], float],
        lifetimes: Lifetimes = Lifetimes(),  # noqa: B008 - frozen
        user_limits: Limits = UNLIMITED,
        fresh_s: float = 300,
        unknown_s: float = 10,
    ) -> None:
        """`fresh_s`, `unknown_s`: how long a look-up is believed. `user_limits`: of every user."""
        self._find: Coalescer[UUID, FoundSession | None] = Coalescer(
            database, FIND_SESSIONS, max_items=_GROUP
        )
        self._keys = keys
        self._callers = callers
        self._clock = clock
        self._lifetimes = lifetimes
        self._user_limits = user_limits
        self._fresh_s = fresh_s
        self._unknown_s = unknown_s
        self._memory: Memory[str, KeyHolder] = Memory(self._fetch, clock=clock)
        keys.on_change(lambda: self.forget(None))

    async def authenticate(self, token: str) -> KeyHolder:
        """Whom the token speaks for.

        Raises:
            Unauthenticated: it is none of ours, has expired, or its session or client has ended; which, is
                not said.
            TenantNotActive, PartnerNotActive: the token is right and whoever it belongs to may not call.
        """
        if len(token) > MAX_TOKEN_BYTES:
            raise Unauthenticated
        return await self._memory.holder(_digest(token), token)

    def remembered(self, token: str) -> KeyHolder | None:
        """Whom it speaks for, if that was looked up not long ago and he may call. Costs no query."""
        return None if len(token) > MAX_TOKEN_BYTES else self._memory.remembered(_digest(token))

    def has_known(self, token: str) -> bool:
        """Whether it was good when it was last looked up, however long ago."""
        return len(token) <= MAX_TOKEN_BYTES and self._memory.has_known(_digest(token))

    def forget(self, tenant_id: int | None) -> None:
        """Looks a tenant's sessions and clients up anew from now on; None: everybody's."""
        self._memory.forget(tenant_id)

    async def _fetch(self, token: str) -> Known[KeyHolder]:
        try:
            claims = await self._keys.verify(token)
        except TokenRefused:
            raise Unauthenticated from None
        return await (self._user(claims) if claims.kind is PrincipalKind.USER else self._client(claims))

    async def _user(self, claims: Claims) -> Known[KeyHolder]:
        assert claims.session_id is not None, "users' tokens have a session"
        found = await self._find.call(claims.tenant_id, claims.session_id)
        now = self._clock()
        if found is None or found.user_id != claims.subject:
            return self._nobody(claims, now)
        refusal = refusal_of(self._lifetimes, found, datetime.fromtimestamp(now, UTC))
        if refusal is RefreshRefused:
            return self._nobody(claims, now)
        holder = KeyHolder(
            tenant_id=claims.tenant_id,
            partner_id=found.partner_id,
            id=found.user_id,
            scopes=found.permissions,
            live=claims.live,
            kind=PrincipalKind.USER,
            session_id=claims.session_id,
            unit_scopes=found.by_unit,
            platform=found.platform,
            limits=self._user_limits,
        )
        ends_at = self._lifetimes.ends_at(found.last_used_at, found.expires_at, found.permissions).timestamp()
        changes_at = inf if found.changes_at is None else found.changes_at.timestamp()
        # Not believed past these: the session may have been renewed since, or the user have another role.
        fresh_until = min(now + self._fresh_s, ends_at, changes_at)
        return Known(claims.tenant_id, holder, refusal, claims.expires_at, fresh_until)

    async def _client(self, claims: Claims) -> Known[KeyHolder]:
        known = await self._callers.client(Client(claims.tenant_id, claims.live, claims.subject))
        if known.holder is None or claims.scope is None:
            return known
        scopes = frozenset(both(known.holder.scopes, claims.scope.split()))
        return replace(
            known,
            holder=replace(known.holder, scopes=scopes),
            expires_at=min(known.expires_at, claims.expires_at),
        )

    def _nobody(self, claims: Claims, now: float) -> Known[KeyHolder]:
        return Known(claims.tenant_id, None, None, inf, now + self._unknown_s)


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()

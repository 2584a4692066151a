"""Use cases of access: who may call, how often, and the life of API keys."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, Protocol
from uuid import UUID

import structlog

from florin.access import model, store
from florin.access.callers import Callers, KeyHolder, bearer_of
from florin.access.errors import (
    ApiKeyEnded,
    ApiKeyNotFound,
    BeyondOwnScopes,
    UnknownScope,
)
from florin.access.limits import Headers, RateLimits
from florin.access.model import ApiKey, KeyKind, Limits, NewKey
from florin.kernel.clock import now
from florin.kernel.db import CONNECTION_LOST, Database
from florin.kernel.errors import InvalidRequest, Unavailable
from florin.kernel.http.call import Principal, PrincipalKind
from florin.kernel.ids import new_id
from florin.kernel.notify import Listener, Notifier
from florin.kernel.settings import Settings
from florin.tenancy import store as tenancy_store
from florin.tenancy.errors import TenantNotFound, UnknownReference
from florin.tenancy.model import CALLERS_CHANGED
from florin.tenancy.usage import UsageMeter

log = structlog.get_logger(__name__)

_FARTHEST: Final = timedelta(days=36_500)


class AccessTokens(Protocol):
    """What authenticates access tokens: florin.access.tokens.callers."""

    async def authenticate(self, token: str) -> KeyHolder:
        """Raises Unauthenticated, TenantNotActive, PartnerNotActive."""

    def forget(self, tenant_id: int | None) -> None:
        """Looks a tenant's sessions and clients up anew from now on; None: everybody's."""


class Access:
    """What this room has open: the gate's Authenticator and RateLimiter."""

    def __init__(
        self,
        database: Database,
        notifier: Notifier,
        *,
        listener: Listener | None = None,
        settings: Settings | None = None,
        meter: UsageMeter | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """With `listener`, what other processes change is heard at once; without, within minutes."""
        self.database = database
        self.notifier = notifier
        limits = settings or Settings()
        self.default_limits = Limits(
            limits.rate_limit_per_minute or None,
            limits.rate_limit_per_hour or None,
            limits.rate_limit_per_day or None,
        )
        self.callers = Callers(database, clock=clock)
        self.tokens: AccessTokens | None = None
        self._limits = RateLimits(database, clock=clock)
        self._meter = meter
        if listener is not None:
            listener.on(CALLERS_CHANGED, self._heard)

    async def authenticate(self, headers: Mapping[bytes, bytes], address: str | None = None) -> KeyHolder:
        """Whom a key or an access token speaks for: see `Callers` and `AccessTokens`."""
        if self.tokens is not None and b"." in headers.get(b"authorization", b""):  # keys have none
            holder = await self.tokens.authenticate(bearer_of(headers))
        else:
            holder = await self.callers.authenticate(headers)
        if holder.kind is PrincipalKind.KEY:
            self.callers.note_use(holder)
        return holder

    def accept(self, tokens: "AccessTokens") -> None:
        """Lets in whoever shows an access token, too."""
        self.tokens = tokens

    async def admit_stranger(self, address: str | None) -> Headers:
        """Nothing bounds strangers yet."""
        return []

    async def admit(self, principal: Principal) -> Headers:
        """See `RateLimits.admit`. Admitted calls are metered."""
        assert isinstance(principal, KeyHolder), "principals come from authenticate"
        headers = await self._limits.admit(principal)
        if self._meter is not None:
            self._meter.count_call(principal.tenant_id)
        return headers

    def changed(self, tenant_id: int) -> None:
        """Forgets a tenant's callers here, and tells the other processes. After the commit."""
        self._forget(tenant_id)
        self.notifier.say(CALLERS_CHANGED, str(tenant_id))

    async def write_last_use(self) -> None:
        """Writes down which keys were used since the last time. Raises Unavailable."""
        at = now()
        for tenant_id, ids in self.callers.take_used().items():
            async with self.database.tenant(tenant_id) as connection:
                await store.mark_used(connection, tenant_id, ids, at)

    async def run(self, *, every_s: float = 60) -> None:
        """Writes down the use of keys until cancelled. What cannot be written is not worth keeping."""
        while True:
            await asyncio.sleep(every_s)
            try:
                await self.write_last_use()
            except (*CONNECTION_LOST, Unavailable):
                log.warning("last_use_not_written")

    def _heard(self, payload: str | None) -> None:
        self._forget(None if payload is None else int(payload))

    def _forget(self, tenant_id: int | None) -> None:
        self.callers.forget(tenant_id)
        if self.tokens is not None:
            self.tokens.forget(tenant_id)


async def create_key(
    access: Access,
    tenant_id: int,
    *,
    name: str,
    scopes: Sequence[str],
    partner_id: UUID | None = None,
    limits: Mapping[str, int | None] | None = None,
    expires_at: datetime | None = None,
    by: str = "operator",
    by_scopes: frozenset[str] | None = None,
    kind: KeyKind = KeyKind.BEARER,
) -> NewKey:
    """A new key of a tenant or of one of its partners. Only here is its secret ever seen.

    The key is a live key if the tenant is the live twin: there is no other way to have one.

    Args:
        limits: `per_minute`, `per_hour`, `per_day`; None is unlimited. What is left out is the
            partner's, else the platform's default.
        by, by_scopes: who makes it, and the scopes it may give; None: an operator, who may give all.
        kind: whether it is sent with every call, or for access tokens.

    Raises:
        UnknownScope: a scope that does not exist, or none at all.
        BeyondOwnScopes: a scope that the maker does not have.
        InvalidRequest: it would expire in the past, or in more than 100 years.
        TenantNotFound: no such tenant.
        UnknownReference: no such partner.
    """
    _check_scopes(scopes, by_scopes)
    at = now()
    if expires_at is not None and not at < expires_at <= at + _FARTHEST:
        raise InvalidRequest("expires_at: between now and 100 years ahead", param="expires_at")
    async with access.database.tenant(tenant_id) as connection:
        live = await store.is_live(connection, tenant_id)
        if live is None:
            raise TenantNotFound(f"there is no tenant {tenant_id}")
        defaults = access.default_limits
        if partner_id is not None:
            partner = await tenancy_store.partner(connection, tenant_id, partner_id)
            if partner is None or partner.deleted_at is not None:
                raise UnknownReference("no such partner", param="partner_id")
            defaults = Limits(
                partner.limit_per_minute or defaults.per_minute,
                partner.limit_per_hour or defaults.per_hour,
                partner.limit_per_day or defaults.per_day,
            )
        secret = model.generate(tenant_id, live=live, kind=kind)
        key = ApiKey(
            id=new_id(),
            prefix=model.shown(secret),
            name=name,
            partner_id=partner_id,
            scopes=sorted(set(scopes)),
            limits=replace(defaults, **(limits or {})),
            created_at=at,
            created_by=by,
            expires_at=expires_at,
            revoked_at=None,
            last_used_at=None,
            rotated_from=None,
            kind=kind,
        )
        await store.insert_key(connection, tenant_id, key, model.digest(secret))
    access.changed(tenant_id)
    return NewKey(key, secret)


async def list_keys(
    access: Access,
    tenant_id: int,
    *,
    partner_id: UUID | None = None,
    after: UUID | None = None,
    count: int = 100,
) -> list[ApiKey]:
    """Up to `count` keys, newest first; with `partner_id`, only that partner's."""
    async with access.database.tenant(tenant_id) as connection:
        return await store.keys(connection, tenant_id, partner_id=partner_id, after=after, count=count)


async def get_key(access: Access, tenant_id: int, key_id: UUID, *, partner_id: UUID | None = None) -> ApiKey:
    """One key; with `partner_id`, only that partner's. Raises ApiKeyNotFound."""
    async with access.database.tenant(tenant_id) as connection:
        key = await store.key(connection, tenant_id, key_id, partner_id)
    if key is None:
        raise ApiKeyNotFound
    return key


async def revoke_key(
    access: Access, tenant_id: int, key_id: UUID, *, partner_id: UUID | None = None
) -> ApiKey:
    """Ends a key now, everywhere. Its row is locked. Twice is as once. Raises ApiKeyNotFound."""
    async with access.database.tenant(tenant_id) as connection:
        key = await store.key(connection, tenant_id, key_id, partner_id, lock=True)
        if key is None:
            raise ApiKeyNotFound
        if key.revoked_at is None:
            key = replace(key, revoked_at=now())
            await store.end_key(connection, tenant_id, key_id, key.expires_at, key.revoked_at)
    access.changed(tenant_id)
    return key


async def rotate_key(
    access: Access,
    tenant_id: int,
    key_id: UUID,
    *,
    overlap: timedelta = timedelta(hours=24),
    partner_id: UUID | None = None,
    by: str = "operator",
    by_scopes: frozenset[str] | None = None,
) -> NewKey:
    """A successor with the same name, scopes, limits and lifetime; the old key ends after `overlap`.

    The old key's row is locked. Whoever rotates a key learns the new secret, and so must have every
    scope of it.

    Raises:
        ApiKeyNotFound: no such key, or another partner's.
        ApiKeyEnded: it is revoked or has expired.
        ApiKeyAlreadyRotated: it has a successor.
        BeyondOwnScopes: it has a scope that the maker does not have.
    """
    at = now()
    with store.refusing_second_successor():
        async with access.database.tenant(tenant_id) as connection:
            old = await store.key(connection, tenant_id, key_id, partner_id, lock=True)
            if old is None:
                raise ApiKeyNotFound
            _check_scopes(old.scopes, by_scopes)
            if old.revoked_at is not None or (old.expires_at is not None and old.expires_at <= at):
                raise ApiKeyEnded
            live = await store.is_live(connection, tenant_id)
            assert live is not None, "keys belong to tenants that are registered"
            secret = model.generate(tenant_id, live=live, kind=old.kind)
            lifetime = None if old.expires_at is None else old.expires_at - old.created_at
            successor = replace(
                old,
                id=new_id(),
                prefix=model.shown(secret),
                created_at=at,
                created_by=by,
                expires_at=None if lifetime is None else at + lifetime,
                last_used_at=None,
                rotated_from=old.id,
            )
            await store.insert_key(connection, tenant_id, successor, model.digest(secret))
            ends = at + overlap if old.expires_at is None else min(old.expires_at, at + overlap)
            await store.end_key(connection, tenant_id, old.id, ends, None)
    access.changed(tenant_id)
    return NewKey(successor, secret)


def made_by(principal: Principal) -> str:
    """How a key that makes another is remembered."""
    return principal.name


def _check_scopes(scopes: Sequence[str], by_scopes: frozenset[str] | None) -> None:
    unknown = model.unknown_scopes(scopes)
    if unknown or not scopes:
        raise UnknownScope(
            f"scopes: {', '.join(unknown) or 'none given'}; there are {', '.join(sorted(model.SCOPES))}",
            param="scopes",
        )
    beyond = [] if by_scopes is None else model.scopes_beyond(by_scopes, scopes)
    if beyond:
        raise BeyondOwnScopes(f"this key does not have {', '.join(beyond)}", param="scopes")

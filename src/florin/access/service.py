"""Use cases of access: who may call, how often, and the life of API keys."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final, Protocol
from uuid import UUID

import structlog

from florin.access import model, store
from florin.access.addresses import Network, Reach
from florin.access.callers import Callers, KeyHolder, bearer_of
from florin.access.errors import (
    AddressNotAllowed,
    ApiKeyEnded,
    ApiKeyNotFound,
    BeyondOwnAddresses,
    BeyondOwnScopes,
    PlatformScope,
    UnknownScope,
)
from florin.access.limits import Headers, RateLimits
from florin.access.model import ApiKey, KeyKind, KeyStatus, Limits, NewKey, Presented
from florin.access.strangers import Strangers
from florin.kernel import permissions
from florin.kernel.clock import now
from florin.kernel.db import CONNECTION_LOST, Connection, Database
from florin.kernel.errors import InvalidRequest, Unauthenticated, Unavailable
from florin.kernel.http.call import Principal, PrincipalKind
from florin.kernel.ids import new_id
from florin.kernel.notify import Listener, Notifier
from florin.kernel.provenance import acting
from florin.kernel.settings import Settings
from florin.tenancy import store as tenancy_store
from florin.tenancy.errors import TenantNotFound, UnknownReference
from florin.tenancy.model import CALLERS_CHANGED, PLATFORM
from florin.tenancy.usage import UsageMeter

log = structlog.get_logger(__name__)

_FARTHEST: Final = timedelta(days=36_500)


class AccessTokens(Protocol):
    """What authenticates access tokens: florin.access.tokens.callers."""

    async def authenticate(self, token: str) -> KeyHolder:
        """Raises Unauthenticated, TenantNotActive, PartnerNotActive."""

    def remembered(self, token: str) -> KeyHolder | None:
        """Whom it speaks for, if that is known without a query."""

    def has_known(self, token: str) -> bool:
        """Whether it was good when it was last looked up."""

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
        given = settings or Settings()
        self.default_limits = _limits(
            given.rate_limit_per_minute, given.rate_limit_per_hour, given.rate_limit_per_day
        )
        self.user_limits = _limits(
            given.user_limit_per_minute, given.user_limit_per_hour, given.user_limit_per_day
        )
        self.callers = Callers(database, clock=clock)
        self.tokens: AccessTokens | None = None
        self.strangers = Strangers(
            database,
            _limits(
                given.stranger_limit_per_minute, given.stranger_limit_per_hour, given.stranger_limit_per_day
            ),
            clock=clock,
        )
        self._limits = RateLimits(
            database,
            clock=clock,
            tenants=_limits(
                given.tenant_limit_per_minute, given.tenant_limit_per_hour, given.tenant_limit_per_day
            ),
        )
        self._meter = meter
        if listener is not None:
            listener.on(CALLERS_CHANGED, self._heard)

    async def authenticate(self, headers: Mapping[bytes, bytes], address: str | None = None) -> KeyHolder:
        """Whom a key or an access token speaks for: see `Callers` and `AccessTokens`.

        Raises:
            Unauthenticated: no credential, or one that is unknown or has ended; which, is not said.
            TooManyRequests: the address has guessed too often.
            AddressNotAllowed: the key is right and may not be used from there.
            TenantNotActive, PartnerNotActive: the credential is right and its owner may not call.
        """
        shown = bearer_of(headers)
        if self.tokens is not None and "." in shown:  # keys have none
            holder = self.tokens.remembered(shown) or await self._look_up_token(self.tokens, shown, address)
        else:
            presented = model.parse(shown)
            found = None if presented is None else self.callers.remembered(presented)
            holder = found or await self._look_up(presented, address)
        if holder.reach is not None and address not in holder.reach:
            # Whoever has the key and not the place may have found it: it counts as a guess.
            await self.strangers.admit(address)
            raise AddressNotAllowed
        if holder.kind is PrincipalKind.KEY:
            self.callers.note_use(holder, address)
        return holder

    def accept(self, tokens: "AccessTokens") -> None:
        """Lets in whoever shows an access token, too."""
        self.tokens = tokens

    async def admit(self, principal: Principal) -> Headers:
        """See `RateLimits.admit`. Admitted calls are metered."""
        limits = self.user_limits
        if principal.kind is PrincipalKind.KEY and isinstance(principal, KeyHolder):
            limits = principal.limits
        headers = await self._limits.admit(principal, limits)
        if self._meter is not None:
            self._meter.count_call(principal.tenant_id)
        return headers

    async def admit_stranger(self, address: str | None) -> Headers:
        """See `Strangers.admit`."""
        return await self.strangers.admit(address)

    def changed(self, tenant_id: int) -> None:
        """Forgets a tenant's callers here, and tells the other processes. After the commit."""
        self._forget(tenant_id)
        self.notifier.say(CALLERS_CHANGED, str(tenant_id))

    async def write_last_use(self) -> None:
        """Writes down which keys were used since the last time, and from where. Raises Unavailable."""
        at = now()
        for tenant_id, used in self.callers.take_used().items():
            async with self.database.tenant(tenant_id) as connection:
                await store.mark_used(connection, tenant_id, used, at)

    async def run(self, *, every_s: float = 60) -> None:
        """Writes down the use of keys until cancelled. What cannot be written is not worth keeping."""
        while True:
            await asyncio.sleep(every_s)
            try:
                await self.write_last_use()
            except (*CONNECTION_LOST, Unavailable):
                log.warning("last_use_not_written")

    async def _look_up(self, presented: Presented | None, address: str | None) -> KeyHolder:
        known = presented is not None and self.callers.has_known(presented)
        async with self.strangers.guessing(address, known=known):
            if presented is None:
                raise Unauthenticated
            return await self.callers.authenticate(presented)

    async def _look_up_token(self, tokens: "AccessTokens", shown: str, address: str | None) -> KeyHolder:
        async with self.strangers.guessing(address, known=tokens.has_known(shown)):
            return await tokens.authenticate(shown)

    def _forget(self, tenant_id: int | None) -> None:
        self.callers.forget(tenant_id)
        self._limits.forget(tenant_id)
        if self.tokens is not None:
            self.tokens.forget(tenant_id)

    def _heard(self, payload: str | None) -> None:
        self._forget(None if payload is None else int(payload))


async def create_key(
    access: Access,
    tenant_id: int,
    *,
    name: str,
    scopes: Sequence[str],
    partner_id: UUID | None = None,
    limits: Mapping[str, int | None] | None = None,
    allowed_addresses: Sequence[Network] = (),
    expires_at: datetime | None = None,
    by: str = "operator",
    by_scopes: frozenset[str] | None = None,
    by_reach: Reach | None = None,
    kind: KeyKind = KeyKind.BEARER,
) -> NewKey:
    """A new key of a tenant or of one of its partners. Only here is its secret ever seen.

    The key is a live key if the tenant is the live twin: there is no other way to have one.

    Args:
        limits: `per_minute`, `per_hour`, `per_day`; None is unlimited. What is left out is the
            partner's, else the platform's default.
        allowed_addresses: from where it may call; none: from anywhere.
        by, by_scopes: who makes it, and the scopes it may give; None: an operator, who may give all.
        kind: whether it is sent with every call, or for access tokens.

    Raises:
        UnknownScope: a scope that does not exist, or none at all.
        BeyondOwnScopes: a scope that the maker does not have.
        BeyondOwnAddresses: an address from which the maker may not call, or none where he is bound.
        PlatformScope: a scope of the platform, for another tenant's key.
        InvalidRequest: it would expire in the past, or in more than 100 years.
        TenantNotFound: no such tenant.
        UnknownReference: no such partner.
    """
    _check_scopes(scopes, by_scopes)
    _check_reach(allowed_addresses, by_reach)
    at = now()
    if expires_at is not None and not at < expires_at <= at + _FARTHEST:
        raise InvalidRequest("expires_at: between now and 100 years ahead", param="expires_at")
    async with access.database.tenant(tenant_id) as connection:
        mode = await store.mode(connection, tenant_id)
        if mode is None:
            raise TenantNotFound(f"there is no tenant {tenant_id}")
        live, code = mode
        _check_platform(scopes, code, live=live)
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
            allowed_addresses=list(allowed_addresses),
            created_at=at,
            created_by=by,
            expires_at=expires_at,
            revoked_at=None,
            revoked_by=None,
            revoked_reason=None,
            last_used_at=None,
            last_used_address=None,
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
    status: KeyStatus | None = None,
    after: UUID | None = None,
    count: int = 100,
) -> list[ApiKey]:
    """Up to `count` keys, newest first; only a partner's; only those that stand so now."""
    async with access.database.tenant(tenant_id) as connection:
        return await store.keys(
            connection, tenant_id, partner_id=partner_id, status=status, now=now(), after=after, count=count
        )


async def get_key(access: Access, tenant_id: int, key_id: UUID, *, partner_id: UUID | None = None) -> ApiKey:
    """One key; with `partner_id`, only that partner's. Raises ApiKeyNotFound."""
    async with access.database.tenant(tenant_id) as connection:
        key = await store.key(connection, tenant_id, key_id, partner_id)
    if key is None:
        raise ApiKeyNotFound
    return key


async def change_key(
    access: Access,
    tenant_id: int,
    key_id: UUID,
    changes: Mapping[str, Any],
    *,
    partner_id: UUID | None = None,
    by_scopes: frozenset[str] | None = None,
    by_reach: Reach | None = None,
) -> ApiKey:
    """Changes a key that has not ended; its row is locked. Every process feels it within moments.

    Whoever changes a key must have every scope of it: its addresses and limits bind a stronger key.

    Args:
        changes: of `name`, `scopes`, `allowed_addresses`, and `limits` (those of its periods that change).
        partner_id: with it, only that partner's keys.
        by_scopes: the scopes that whoever changes it may give; None: all.

    Raises:
        ApiKeyNotFound: no such key, or another partner's.
        ApiKeyEnded: it is revoked or has expired.
        BeyondOwnScopes: it has a scope that whoever changes it does not have.
        UnknownScope, BeyondOwnScopes, BeyondOwnAddresses, PlatformScope: as in `create_key`, of what it
            would have.
    """
    given = dict(changes)
    if "scopes" in given:
        _check_scopes(given["scopes"], by_scopes)
        given["scopes"] = sorted(set(given["scopes"]))
    if "allowed_addresses" in given:
        _check_reach(given["allowed_addresses"], by_reach)
    async with access.database.tenant(tenant_id) as connection:
        key = await _locked(connection, tenant_id, key_id, partner_id)
        _check_scopes(key.scopes, by_scopes)
        if key.status(now()) is not KeyStatus.ACTIVE:
            raise ApiKeyEnded
        if "scopes" in given:
            live, code = await _mode(connection, tenant_id)
            _check_platform(given["scopes"], code, live=live)
        if "limits" in given:
            given["limits"] = replace(key.limits, **given["limits"])
        key = replace(key, **given)
        await store.update_key(connection, tenant_id, key)
    access.changed(tenant_id)
    return key


async def revoke_key(
    access: Access,
    tenant_id: int,
    key_id: UUID,
    *,
    reason: str | None = None,
    partner_id: UUID | None = None,
    by: str = "operator",
) -> ApiKey:
    """Ends a key now, everywhere. Its row is locked. Twice is as once: the first reason stays.

    Raises ApiKeyNotFound.
    """
    who = acting()
    because = who if who is None or reason is None else replace(who, reason=reason)
    async with access.database.tenant(tenant_id, by=because) as connection:
        key = await _locked(connection, tenant_id, key_id, partner_id)
        if key.revoked_at is None:
            key = replace(key, revoked_at=now(), revoked_by=by, revoked_reason=reason)
            await store.end_key(connection, tenant_id, key)
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
    by_reach: Reach | None = None,
) -> NewKey:
    """A successor that may do the same, for as long, from the same places; the old key ends after `overlap`.

    The old key's row is locked. Whoever rotates a key learns the new secret, and so must have every
    scope of it.

    Raises:
        ApiKeyNotFound: no such key, or another partner's.
        ApiKeyEnded: it is revoked or has expired.
        ApiKeyAlreadyRotated: it has a successor.
        BeyondOwnScopes: it has a scope that the maker does not have.
        BeyondOwnAddresses: it may call from where the maker may not.
    """
    at = now()
    with store.refusing_second_successor():
        async with access.database.tenant(tenant_id) as connection:
            old = await _locked(connection, tenant_id, key_id, partner_id)
            _check_scopes(old.scopes, by_scopes)
            _check_reach(old.allowed_addresses, by_reach)
            if old.status(at) is not KeyStatus.ACTIVE:
                raise ApiKeyEnded
            live, _ = await _mode(connection, tenant_id)
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
                last_used_address=None,
                rotated_from=old.id,
            )
            await store.insert_key(connection, tenant_id, successor, model.digest(secret))
            ends = at + overlap if old.expires_at is None else min(old.expires_at, at + overlap)
            await store.end_key(connection, tenant_id, replace(old, expires_at=ends))
    access.changed(tenant_id)
    return NewKey(successor, secret)


async def tell_endings(access: Access, tenant_id: int) -> int:
    """Writes the events that are due about keys that end: 30, 7 and 1 days before, and after. How many.

    Each once, however many processes ask at the same time.
    """
    async with access.database.tenant(tenant_id) as connection:
        return await store.tell_endings(connection, tenant_id, now())


async def _locked(connection: Connection, tenant_id: int, key_id: UUID, partner_id: UUID | None) -> ApiKey:
    key = await store.key(connection, tenant_id, key_id, partner_id, lock=True)
    if key is None:
        raise ApiKeyNotFound
    return key


async def _mode(connection: Connection, tenant_id: int) -> tuple[bool, str]:
    mode = await store.mode(connection, tenant_id)
    assert mode is not None, "keys belong to tenants that are registered"
    return mode


def _limits(per_minute: int, per_hour: int, per_day: int) -> Limits:
    """Of settings, where 0 is unlimited."""
    return Limits(per_minute or None, per_hour or None, per_day or None)


def _check_reach(allowed: Sequence[Network], by_reach: Reach | None) -> None:
    if by_reach is not None and not by_reach.covers(allowed):
        raise BeyondOwnAddresses(param="allowed_addresses")


def _check_scopes(scopes: Sequence[str], by_scopes: frozenset[str] | None) -> None:
    unknown = permissions.unknown(scopes)
    if unknown or not scopes:
        raise UnknownScope(
            f"scopes: {', '.join(unknown) or 'none given'}; there are "
            f"{', '.join(sorted(permissions.PERMISSIONS))}, area:* for all of an area, and * for all",
            param="scopes",
        )
    beyond = [] if by_scopes is None else permissions.beyond(by_scopes, scopes)
    if beyond:
        raise BeyondOwnScopes(f"this key does not have {', '.join(beyond)}", param="scopes")


def _check_platform(scopes: Sequence[str], code: str, *, live: bool) -> None:
    """The test books of PLATFORM have no power over anybody."""
    if not (live and code == PLATFORM) and any(scope.startswith("platform:") for scope in scopes):
        raise PlatformScope(param="scopes")

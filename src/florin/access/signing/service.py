"""Use cases of signing keys: sign, verify, rotate, revoke.

Every process signs with the same key, and knows the public halves for minutes; a revocation is told to all
at once by NOTIFY. Whoever changes keys takes one advisory lock: two processes that rotate at once make one.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from florin.access.signing import jwt, store
from florin.access.signing.errors import SigningKeyEnded, SigningKeyNotFound
from florin.access.signing.jwt import Claims, Clock, TokenRefused
from florin.access.signing.model import (
    LEAD,
    LEEWAY,
    KeyState,
    SigningKey,
    at_once,
    published_at,
    signing_at,
    successor_begins,
    thumbprint,
)
from florin.kernel.crypto import KeyRing
from florin.kernel.db import Connection, Database
from florin.kernel.notify import Listener, Notifier
from florin.kernel.settings import Settings

log = structlog.get_logger(__name__)

SIGNING_KEYS_CHANGED: Final = "florin_signing_keys"
"""NOTIFY: a signing key was made or revoked."""

_FRESH_S: Final = 300.0
_UNKNOWN_S: Final = 5.0
"""A key that is unknown may be one that was made just now; but no flood of such makes more look-ups."""


class SigningKeys:
    """What a process knows of the keys, and what it needs to sign."""

    def __init__(
        self,
        database: Database,
        ring: KeyRing,
        notifier: Notifier,
        *,
        issuer: str,
        lifetime: timedelta = timedelta(days=90),
        listener: Listener | None = None,
        clock: Clock = time.time,
    ) -> None:
        """`issuer`: where clients reach us, as tokens say it. `lifetime`: for how long a key signs."""
        self.database = database
        self.ring = ring
        self.notifier = notifier
        self.issuer = issuer
        self.lifetime = lifetime
        self.clock = clock
        self._keys: list[SigningKey] = []
        self._read_at = -_FRESH_S
        self._reading = asyncio.Lock()
        self._private: dict[str, Ed25519PrivateKey] = {}
        self._changed: list[Callable[[], None]] = []
        if listener is not None:
            listener.on(SIGNING_KEYS_CHANGED, lambda _: self.forget())

    def on_change(self, changed: Callable[[], None]) -> None:
        """Calls `changed()` whenever what tokens are believed by may have changed."""
        self._changed.append(changed)

    def forget(self) -> None:
        """Reads the keys anew before the next use."""
        self._read_at = -_FRESH_S
        self._private.clear()
        for changed in self._changed:
            changed()

    def tell(self) -> None:
        """Lets every process forget, this one now. After the commit."""
        self.forget()
        self.notifier.say(SIGNING_KEYS_CHANGED, "")

    def now(self) -> datetime:
        """The clock's present instant."""
        return datetime.fromtimestamp(self.clock(), UTC)

    async def published(self) -> list[SigningKey]:
        """The keys that verifiers should know. Raises Unavailable."""
        return published_at(await self._read(_FRESH_S), self.now())

    async def sign(self, claims: Claims) -> str:
        """A signed access token; the very first makes the first key.

        Raises:
            SealBroken: the ring does not open the private half.
            Unavailable: the database is away.
        """
        key = signing_at(await self._read(_FRESH_S), self.now())
        if key is None:
            await rotate_if_due(self)
            key = signing_at(await self._read(0), self.now())
            assert key is not None, "a key was made just now, by us or by somebody else"
        return jwt.issue(claims, self.issuer, key.kid, await self._private_half(key))

    async def verify(self, token: str) -> Claims:
        """What a token says, if a key of ours that is still believed has signed it.

        Raises:
            TokenRefused: it is none of ours, or not valid now.
            Unavailable: the database is away.
        """
        kid = jwt.kid_of(token)
        key = self._believed(await self._read(_FRESH_S), kid)
        if key is None:
            key = self._believed(await self._read(_UNKNOWN_S), kid)
        if key is None:
            raise TokenRefused("signed with no key of ours")
        return jwt.read(token, self.issuer, key.public_key, self.clock())

    def _believed(self, keys: list[SigningKey], kid: str) -> SigningKey | None:
        return next((key for key in published_at(keys, self.now()) if key.kid == kid), None)

    async def _read(self, not_older_than_s: float) -> list[SigningKey]:
        """The keys as they were so long ago at most. Of many who ask at once one reads."""
        if time.monotonic() - self._read_at > not_older_than_s:
            async with self._reading:
                asked = time.monotonic()
                if asked - self._read_at > not_older_than_s:
                    async with self.database.platform() as connection:
                        self._keys = await store.keys(connection)
                    self._read_at = asked
        return self._keys

    async def _private_half(self, key: SigningKey) -> Ed25519PrivateKey:
        known = self._private.get(key.kid)
        if known is None:
            async with self.database.platform() as connection:
                sealed = await store.sealed_key(connection, key.kid)
            assert sealed is not None, "a key that signs has its private half"
            opened = self.ring.open(sealed, bound_to=bound_to(key.kid))
            known = self._private[key.kid] = Ed25519PrivateKey.from_private_bytes(opened)
        return known


def bound_to(kid: str) -> str:
    """What a sealed private half is bound to."""
    return f"signing_key:{kid}"


async def rotate_if_due(keys: SigningKeys, *, by: str = "florin") -> SigningKey | None:
    """Makes the next key when its time has come, and forgets private halves that sign no more.

    Run it every hour or so, in as many processes as you like. None: nothing had to be made.
    """
    async with _changing(keys) as (connection, house):
        at = keys.now()
        await store.forget_private_halves(connection, at - LEEWAY)
        present = await store.keys(connection)
        begins = successor_begins(present, at, keys.lifetime)
        made = None if begins is None else await _make(keys, connection, house, present, at, begins, by)
    if made is not None:
        keys.tell()
    return made


async def rotate(keys: SigningKeys, *, by: str) -> SigningKey:
    """Announces a successor now, which signs after LEAD; if one is announced already, that one."""
    async with _changing(keys) as (connection, house):
        present = await store.keys(connection)
        at = keys.now()
        announced = next((key for key in present if key.state(at) is KeyState.ANNOUNCED), None)
        if announced is not None:
            return announced
        begins = at_once(at) if signing_at(present, at) is None else at + LEAD
        made = await _make(keys, connection, house, present, at, begins, by)
    keys.tell()
    return made


async def revoke(keys: SigningKeys, kid: str, *, by: str, reason: str) -> SigningKey:
    """Ends a key at once: whatever it signed is refused everywhere within moments. For emergencies.

    If it was the one that signs, another takes over now, before verifiers elsewhere have fetched it. Users
    renew with their refresh tokens.

    Raises:
        SigningKeyNotFound: no such key.
        SigningKeyEnded: it is over or revoked already.
    """
    async with _changing(keys) as (connection, house):
        at = keys.now()
        present = await store.keys(connection)
        key = next((one for one in present if one.kid == kid), None)
        if key is None:
            raise SigningKeyNotFound
        if key.state(at) in (KeyState.REVOKED, KeyState.OVER):
            raise SigningKeyEnded
        await store.revoke_key(connection, kid, at, by, reason)
        if house is not None:
            await store.record(connection, house, "revoked", kid, {"reason": reason})
        left = [one for one in present if one.kid != kid and one.revoked_at is None]
        signer = signing_at(left, at)
        if signer is None:
            await _make(keys, connection, house, left, at, at_once(at), by)
        elif all(one.signs_until is not None for one in left):
            await store.set_signs_until(connection, signer.kid, None)  # its successor is the one that fell
    log.warning("signing_key_revoked", kid=kid, by=by, reason=reason)
    keys.tell()
    return replace(key, revoked_at=at, revoked_by=by, revoked_reason=reason)


async def list_keys(keys: SigningKeys) -> list[SigningKey]:
    """All keys that there ever were, newest first."""
    async with keys.database.platform() as connection:
        return await store.keys(connection)


@asynccontextmanager
async def _changing(keys: SigningKeys) -> AsyncIterator[tuple[Connection, int | None]]:
    """A transaction that alone changes keys, in the tenant PLATFORM's context if there is one."""
    async with keys.database.platform() as connection:
        house = await store.house(connection)
    context = keys.database.platform() if house is None else keys.database.tenant(house)
    async with context as connection:
        await store.lock_keys(connection)
        yield connection, house


async def _make(
    keys: SigningKeys,
    connection: Connection,
    house: int | None,
    present: list[SigningKey],
    at: datetime,
    begins: datetime,
    by: str,
) -> SigningKey:
    """Writes a new key that signs from `begins`, until whichever is announced already does."""
    kid = "-"
    while kid.startswith("-"):  # or it would read as an option on the command line
        private_key = Ed25519PrivateKey.generate()
        public_key = private_key.public_key().public_bytes_raw()
        kid = thumbprint(public_key)
    later = [key.signs_from for key in present if key.revoked_at is None and key.signs_from > begins]
    made = SigningKey(kid, public_key, at, by, begins, min(later, default=None))
    before = [key for key in present if key.revoked_at is None and key.signs_until is None]
    for key in before if made.signs_until is None else ():
        await store.set_signs_until(connection, key.kid, begins)
    sealed = keys.ring.seal(private_key.private_bytes_raw(), bound_to=bound_to(kid))
    await store.insert_key(connection, made, sealed)
    if house is not None:
        await store.record(connection, house, "created", kid, {"signs_from": begins.isoformat()})
    log.info("signing_key_made", kid=kid, signs_from=begins.isoformat())
    return made


def issuer_of(settings: Settings) -> str:
    """Where clients reach us, which is what tokens name as their issuer."""
    return settings.public_url or f"http://{settings.host}:{settings.port}"

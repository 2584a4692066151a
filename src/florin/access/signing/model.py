"""Signing keys as data: which one signs when, and until when it is believed. No I/O."""

from base64 import urlsafe_b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Final

ACCESS_TOKEN_LIFETIME: Final = timedelta(minutes=15)

LEEWAY: Final = timedelta(seconds=30)
"""How far the clocks of two of our machines may be apart."""

LEAD: Final = timedelta(days=1)
"""How long a key is published before it signs: longer than anybody keeps what he fetched."""

PUBLISHED_FOR_S: Final = 3600
"""How long whoever fetched the public keys may keep them."""


class KeyState(StrEnum):
    """Where a key is in its life. Nothing moves it but time and revocation."""

    ANNOUNCED = "announced"
    SIGNING = "signing"
    VERIFYING = "verifying"
    OVER = "over"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """An Ed25519 key without its private half."""

    kid: str
    public_key: bytes
    """32 bytes."""

    created_at: datetime
    created_by: str
    signs_from: datetime
    signs_until: datetime | None
    """When its successor begins; None: it has none yet."""

    revoked_at: datetime | None = None
    revoked_by: str | None = None
    revoked_reason: str | None = None

    def state(self, at: datetime) -> KeyState:
        """Its state at an instant."""
        if self.revoked_at is not None:
            return KeyState.REVOKED
        if at < self.signs_from:
            return KeyState.ANNOUNCED
        if self.signs_until is None or at < self.signs_until:
            return KeyState.SIGNING
        if at < self.signs_until + ACCESS_TOKEN_LIFETIME + LEEWAY:
            return KeyState.VERIFYING
        return KeyState.OVER


def signing_at(keys: Iterable[SigningKey], at: datetime) -> SigningKey | None:
    """The key that signs at an instant."""
    return next((key for key in keys if key.state(at) is KeyState.SIGNING), None)


def published_at(keys: Iterable[SigningKey], at: datetime) -> list[SigningKey]:
    """The keys that verifiers should know: those that sign, have signed of late, or will."""
    shown = (KeyState.ANNOUNCED, KeyState.SIGNING, KeyState.VERIFYING)
    return [key for key in keys if key.state(at) in shown]


def successor_begins(keys: Sequence[SigningKey], at: datetime, lifetime: timedelta) -> datetime | None:
    """When the key that has to be made now begins to sign; None: none has to be made yet.

    The first one signs at once. Every other is published for LEAD before.
    """
    if signing_at(keys, at) is None:
        return at_once(at)
    last = next(key for key in keys if key.signs_until is None and key.revoked_at is None)
    if at < last.signs_from + lifetime - LEAD:
        return None
    return max(last.signs_from + lifetime, at + LEAD)


def at_once(at: datetime) -> datetime:
    """From when a key signs that is needed now: processes whose clocks are behind must not need another."""
    return at - LEEWAY


def thumbprint(public_key: bytes) -> str:
    """The key's name: the same in every process, and not to be chosen (RFC 7638)."""
    members = f'{{"crv":"Ed25519","kty":"OKP","x":"{_base64url(public_key)}"}}'
    return _base64url(sha256(members.encode()).digest())


def jwk(key: SigningKey) -> dict[str, str]:
    """The public half as RFC 8037 writes it."""
    return {
        "kty": "OKP",
        "crv": "Ed25519",
        "x": _base64url(key.public_key),
        "kid": key.kid,
        "use": "sig",
        "alg": "EdDSA",
    }


def _base64url(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()

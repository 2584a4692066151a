"""API keys and their limits. No I/O."""

import re
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from ipaddress import IPv4Address, IPv6Address
from secrets import token_bytes
from typing import Final
from uuid import UUID

from florin.access.addresses import Network

MINUTE_S: Final = 60
HOUR_S: Final = 3600
DAY_S: Final = 86400

MAX_LIMIT: Final = 1_000_000_000
"""The largest limit that is one; more is unlimited."""

_SECRET_BYTES: Final = 32
_SHOWN_CHARACTERS: Final = 4
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_SECRET_CHARACTERS: Final = 43
_FORM: Final = re.compile(r"fl_(test|live)_([1-9a-z][0-9a-z]{0,5})_[A-Za-z0-9_-]{43}")
_CLIENT_FORM: Final = re.compile(r"fl_cs_(test|live)_([1-9a-z][0-9a-z]{0,5})_[A-Za-z0-9_-]{43}")
_MAX_TENANT: Final = 2**31 - 1


class KeyKind(StrEnum):
    """How a key is used."""

    BEARER = "bearer"
    """Sent with every call."""

    CLIENT = "client"
    """A client of OAuth 2.0: sent for an access token, and those with the calls."""


_BEGINNINGS: Final = {KeyKind.BEARER: "fl", KeyKind.CLIENT: "fl_cs"}


@dataclass(frozen=True, slots=True)
class Limits:
    """Calls allowed per period of the clock (UTC); None is unlimited."""

    per_minute: int | None
    per_hour: int | None
    per_day: int | None


NO_LIMITS: Final = Limits(None, None, None)


class KeyStatus(StrEnum):
    """How a key stands, in the words of lists."""

    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key without its secret. `prefix` is its beginning, for people to tell keys apart.

    Fields stand in the order in which the queries name columns.
    """

    id: UUID
    prefix: str
    name: str
    partner_id: UUID | None
    scopes: list[str]
    limits: Limits
    allowed_addresses: list[Network]
    """From where it may call; empty: from anywhere."""

    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    revoked_by: str | None
    revoked_reason: str | None
    last_used_at: datetime | None
    last_used_address: IPv4Address | IPv6Address | None
    rotated_from: UUID | None
    kind: KeyKind = KeyKind.BEARER

    def status(self, at: datetime) -> KeyStatus:
        """How it stands at an instant that is not before its revocation."""
        if self.revoked_at is not None:
            return KeyStatus.REVOKED
        ended = self.expires_at is not None and self.expires_at <= at
        return KeyStatus.EXPIRED if ended else KeyStatus.ACTIVE


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key fresh from its making: the only time that the secret is known here."""

    key: ApiKey
    secret: str


@dataclass(frozen=True, slots=True)
class Presented:
    """What a well-formed key says of itself, before anybody has looked it up."""

    tenant_id: int
    live: bool
    digest: bytes


def generate(tenant_id: int, *, live: bool, kind: KeyKind = KeyKind.BEARER) -> str:
    """A fresh key, `fl_live_1_` and 43 characters for 32 random bytes; a client's is `fl_cs_live_1_...`.

    The tenant's id stands in it so that the look-up happens inside that tenant's own context.
    """
    mode = "live" if live else "test"
    return f"{_BEGINNINGS[kind]}_{mode}_{base36(tenant_id)}_{fresh_secret()}"


def fresh_secret() -> str:
    """43 characters for 32 random bytes."""
    return urlsafe_b64encode(token_bytes(_SECRET_BYTES)).rstrip(b"=").decode()


def shown(key: str) -> str:
    """Enough of a key to know it again, too little to use it: `fl_test_1_abcd`."""
    return key[: _SHOWN_CHARACTERS - _SECRET_CHARACTERS]


def digest(key: str) -> bytes:
    """SHA-256, which is what the database keeps.

    No salt and no slow hash: those protect secrets that people choose. 32 random bytes cannot be
    guessed at any speed, and a plain digest can be looked up in an index.
    """
    return sha256(key.encode()).digest()


def parse(key: str) -> Presented | None:
    """What the key says of itself; None if it is not of the form that keys have."""
    return _presented(_FORM.fullmatch(key))


def parse_client(secret: str) -> Presented | None:
    """The same for the secret of a client."""
    return _presented(_CLIENT_FORM.fullmatch(secret))


def tenant_of(digits: str) -> int | None:
    """The tenant's number from its digits in base 36; None: there can be no such tenant."""
    tenant_id = int(digits, 36)
    return tenant_id if tenant_id <= _MAX_TENANT else None


def base36(number: int) -> str:
    """A tenant's number as it stands in keys."""
    text = ""
    while number:
        number, digit = divmod(number, 36)
        text = _DIGITS[digit] + text
    return text or "0"


def _presented(match: re.Match[str] | None) -> Presented | None:
    tenant_id = None if match is None else tenant_of(match[2])
    if match is None or tenant_id is None:
        return None
    return Presented(tenant_id, match[1] == "live", digest(match[0]))

"""API keys and their limits. No I/O."""

import re
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from secrets import token_bytes
from typing import Final
from uuid import UUID

SCOPES: Final = frozenset(
    {
        "payments:read",
        "payments:write",
        "refunds:read",
        "refunds:write",
        "ledger:read",
        "ledger:write",
        "webhooks:read",
        "webhooks:write",
        "tenancy:read",
        "tenancy:write",
        "keys:read",
        "keys:write",
        "events:read",
        "audit:read",
        "personal:read",
        "personal:erase",
        "*",
    }
)
"""What a key may be allowed. `*` is everything."""

MINUTE_S: Final = 60
HOUR_S: Final = 3600
DAY_S: Final = 86400

MAX_LIMIT: Final = 1_000_000_000
"""The largest limit that is one; more is unlimited."""

_SECRET_BYTES: Final = 32
_SHOWN_CHARACTERS: Final = 4
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_FORM: Final = re.compile(r"fl_(test|live)_([1-9a-z][0-9a-z]{0,5})_[A-Za-z0-9_-]{43}")
_MAX_TENANT: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Limits:
    """Calls allowed per period of the clock (UTC); None is unlimited."""

    per_minute: int | None
    per_hour: int | None
    per_day: int | None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key without its secret. `prefix` is its beginning, for people to tell keys apart."""

    id: UUID
    prefix: str
    name: str
    partner_id: UUID | None
    scopes: list[str]
    limits: Limits
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    rotated_from: UUID | None


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


def generate(tenant_id: int, *, live: bool) -> str:
    """A fresh key, `fl_live_1_` and 43 characters for 32 random bytes.

    The tenant's id stands in it so that the look-up happens inside that tenant's own context.
    """
    mode = "live" if live else "test"
    secret = urlsafe_b64encode(token_bytes(_SECRET_BYTES)).rstrip(b"=").decode()
    return f"fl_{mode}_{_base36(tenant_id)}_{secret}"


def shown(key: str) -> str:
    """Enough of a key to know it again, too little to use it: `fl_test_1_abcd`."""
    mode_and_tenant = "_".join(key.split("_", 3)[:3])
    return key[: len(mode_and_tenant) + 1 + _SHOWN_CHARACTERS]


def digest(key: str) -> bytes:
    """SHA-256, which is what the database keeps.

    No salt and no slow hash: those protect secrets that people choose. 32 random bytes cannot be
    guessed at any speed, and a plain digest can be looked up in an index.
    """
    return sha256(key.encode()).digest()


def parse(key: str) -> Presented | None:
    """What the key says of itself; None if it is not of the form that keys have."""
    match = _FORM.fullmatch(key)
    if match is None:
        return None
    tenant_id = int(match[2], 36)
    if tenant_id > _MAX_TENANT:
        return None
    return Presented(tenant_id, match[1] == "live", digest(key))


def unknown_scopes(scopes: Iterable[str]) -> list[str]:
    """Those that do not exist, sorted."""
    return sorted(set(scopes) - SCOPES)


def scopes_beyond(held: Iterable[str], wanted: Iterable[str]) -> list[str]:
    """The wanted scopes that `held` does not cover, sorted."""
    own = set(held)
    return [] if "*" in own else sorted(set(wanted) - own)


def _base36(number: int) -> str:
    text = ""
    while number:
        number, digit = divmod(number, 36)
        text = _DIGITS[digit] + text
    return text or "0"

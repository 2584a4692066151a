"""Signing in as data: who somebody is before it is proved, codes, challenges, and what comes out. No I/O."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Final
from uuid import UUID

from florin.access import model as access_model
from florin.access.model import base36, fresh_secret
from florin.access.senders import Channel
from florin.access.sessions.model import TokenPair
from florin.kernel.provenance import Provenance

CODE_LIFETIME: Final = timedelta(minutes=10)
CHALLENGE_LIFETIME: Final = timedelta(minutes=5)
MAX_ATTEMPTS: Final = 5
"""Of one code, and of one challenge."""

RECOVERY_CODES: Final = 10

MAY_SIGN_IN: Final = ("INVITED", "ACTIVE")
"""Statuses of users. An invited one becomes active by it."""

ANONYMOUS: Final = "anonymous"
"""The actor of whoever has not proved who he is."""

_TOKEN: Final = re.compile(r"fl_ch_([1-9a-z][0-9a-z]{0,5})_[A-Za-z0-9_-]{43}")


class Purpose(StrEnum):
    """What a code is good for, and nothing else."""

    SIGN_IN = "sign_in"
    RESET_PASSWORD = "reset_password"  # noqa: S105 - a purpose
    SECOND_FACTOR = "second_factor"
    STEP_UP = "step_up"
    """Proves anew who a signed-in user is."""

    VERIFY_EMAIL = "verify_email"
    VERIFY_PHONE = "verify_phone"


class Method(StrEnum):
    """How somebody has proved who he is: as RFC 8176 names it, where it does."""

    PASSWORD = "pwd"  # noqa: S105 - a method
    TOTP = "otp"
    SMS = "sms"
    EMAIL = "email"
    RECOVERY = "recovery"


class ChallengePurpose(StrEnum):
    """What answers a challenge."""

    VERIFY = "verify"
    """The second factor that is set up."""

    ENROL = "enrol"
    """A second factor that is to be set up now: the roles demand one and there is none."""


@dataclass(frozen=True, slots=True)
class Books:
    """One twin of a tenant, as far as signing in needs to know it."""

    tenant_id: int
    code: str
    live: bool
    name: str
    country: str
    active: bool


@dataclass(frozen=True, slots=True)
class Account:
    """A user, as far as signing in needs to know him."""

    id: UUID
    person_id: UUID
    partner_id: UUID | None
    status: str
    user_name: str | None
    password_hash: str | None
    password_changed_at: datetime | None
    name_sealed: bytes | None
    email_sealed: bytes | None
    email_index: bytes | None
    email_verified_at: datetime | None
    phone_sealed: bytes | None
    phone_index: bytes | None
    phone_verified_at: datetime | None
    secret_sealed: bytes | None
    totp_confirmed_at: datetime | None
    code_channel: Channel | None

    @property
    def may_sign_in(self) -> bool:
        """Whether his status lets him."""
        return self.status in MAY_SIGN_IN

    @property
    def totp(self) -> bool:
        """Whether an authenticator app is set up."""
        return self.totp_confirmed_at is not None

    @property
    def second_factors(self) -> tuple[Method, ...]:
        """What ends his challenges. With an authenticator app, codes that are sent do not: they are weak."""
        if self.totp:
            return (Method.TOTP, Method.RECOVERY)
        return () if self.code_channel is None else (Method(self.code_channel), Method.RECOVERY)

    def has(self, channel: Channel) -> bool:
        """Whether there is a number, or an address, for this channel."""
        return (self.phone_index if channel is Channel.SMS else self.email_index) is not None

    def index_of(self, channel: Channel) -> bytes | None:
        """The blind index of the channel's destination."""
        return self.phone_index if channel is Channel.SMS else self.email_index

    def verified(self, channel: Channel) -> bool:
        """Whether the channel's destination has been proved to be his."""
        at = self.phone_verified_at if channel is Channel.SMS else self.email_verified_at
        return at is not None


@dataclass(frozen=True, slots=True)
class LockedUser:
    """What must not have changed since it was looked at."""

    status: str
    password_hash: str | None
    password_changed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Visitor:
    """Where a request comes from."""

    address: str | None
    user_agent: str | None
    provenance: Callable[[str], Provenance]
    """To whom the audit log puts down what happens, by the actor's name."""


@dataclass(frozen=True, slots=True)
class Code:
    """A code that was sent, locked."""

    id: UUID
    user_id: UUID
    purpose: Purpose
    channel: Channel
    destination: bytes
    digest: bytes
    attempts: int
    expires_at: datetime
    used_at: datetime | None

    def open_at(self, at: datetime) -> bool:
        """Whether it can still be tried."""
        return self.used_at is None and self.expires_at > at and self.attempts < MAX_ATTEMPTS


@dataclass(frozen=True, slots=True)
class Challenge:
    """A sign-in that waits for its second factor, locked."""

    id: UUID
    user_id: UUID
    purpose: ChallengePurpose
    methods: list[str]
    attempts: int
    expires_at: datetime
    used_at: datetime | None

    def open_at(self, at: datetime) -> bool:
        """Whether it can still be answered."""
        return self.used_at is None and self.expires_at > at and self.attempts < MAX_ATTEMPTS


@dataclass(frozen=True, slots=True)
class SignedIn:
    """It is proved, and a session has begun."""

    tokens: TokenPair
    recovery_codes: list[str] | None = None
    """Of a second factor that was set up on the way. Shown once."""


@dataclass(frozen=True, slots=True)
class Challenged:
    """The first factor is right; the second is wanted."""

    token: str
    purpose: ChallengePurpose
    factors: tuple[Method, ...]


@dataclass(frozen=True, slots=True)
class TotpSecret:
    """What an authenticator app needs, shown once."""

    secret: str
    """Base 32."""

    uri: str
    """`otpauth://totp/...`, to be shown as a QR code."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What a signed-in user shows to prove anew who he is: one of these."""

    password: str | None = None
    totp: str | None = None
    recovery_code: str | None = None
    code_id: UUID | None = None
    code: str | None = None


def new_challenge_token(tenant_id: int) -> str:
    """`fl_ch_<tenant>_` and 43 characters for 32 random bytes, looked up in the tenant's own context."""
    return f"fl_ch_{base36(tenant_id)}_{fresh_secret()}"


def tenant_of(token: str) -> int | None:
    """The tenant that a challenge's token names; None: it is none."""
    match = _TOKEN.fullmatch(token)
    return None if match is None else access_model.tenant_of(match[1])


def digest(token: str) -> bytes:
    """SHA-256, which is what the database keeps. 32 random bytes cannot be guessed at any speed."""
    return sha256(token.encode()).digest()

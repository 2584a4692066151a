"""Sessions and refresh tokens as data. No I/O."""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Final
from uuid import UUID

from florin.access.model import base36, fresh_secret, tenant_of

_PREFIX: Final = "fl_rt"
_FORM: Final = re.compile(rf"{_PREFIX}_([1-9a-z][0-9a-z]{{0,5}})_[A-Za-z0-9_-]{{43}}")

MAX_USER_AGENT: Final = 500
"""What a client says about itself is kept no longer than this."""


class EndReason(StrEnum):
    """Why a session ended."""

    SIGNED_OUT = "signed_out"
    REVOKED = "revoked"
    REFRESH_REUSED = "refresh_reused"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - a reason
    USER_DISABLED = "user_disabled"
    ERASED = "erased"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a sign-in or a renewal hands out. Only here are the tokens ever seen."""

    access_token: str
    refresh_token: str
    expires_in_s: int
    """Of the access token."""

    session_id: UUID


@dataclass(frozen=True, slots=True)
class Session:
    """A sign-in that has not ended."""

    id: UUID
    user_id: UUID
    methods: list[str]
    """How the user proved who he is, as RFC 8176 names them."""

    created_at: datetime
    last_used_at: datetime
    """When its tokens were last renewed."""

    expires_at: datetime
    address: str | None
    user_agent: str | None


@dataclass(frozen=True, slots=True)
class PresentedRefresh:
    """What a well-formed refresh token says of itself, before anybody has looked it up."""

    tenant_id: int
    digest: bytes


def generate(tenant_id: int) -> str:
    """A fresh refresh token: `fl_rt_1_` and 43 characters for 32 random bytes.

    The tenant's number stands in it so that the look-up happens inside that tenant's own context.
    """
    return f"{_PREFIX}_{base36(tenant_id)}_{fresh_secret()}"


def digest(token: str) -> bytes:
    """SHA-256, which is what the database keeps: see florin.access.model.digest."""
    return sha256(token.encode()).digest()


def parse(token: str) -> PresentedRefresh | None:
    """What the token says of itself; None if it is not of the form that refresh tokens have."""
    match = _FORM.fullmatch(token)
    tenant_id = None if match is None else tenant_of(match[1])
    return None if tenant_id is None else PresentedRefresh(tenant_id, digest(token))

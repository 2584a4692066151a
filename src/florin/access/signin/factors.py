"""Second factors: codes of an authenticator app, recovery codes, and codes that were sent.

Everything here runs in the caller's transaction, which commits also when a code is wrong: attempts count.
"""

import hmac
import re
from datetime import datetime
from secrets import choice
from typing import Final
from uuid import UUID

import pyotp

from florin.access.signin import store
from florin.access.signin.model import (
    RECOVERY_CODES,
    Account,
    Code,
    Method,
    Purpose,
    TotpSecret,
)
from florin.kernel.db import Connection
from florin.kernel.vault import TenantKeys

STEP_S: Final = 30
"""RFC 6238's default, which every authenticator app takes."""

_TOLERANCE: Final = (0, -1, 1)
"""Steps: a clock that is half a minute off, and a code typed at its end (RFC 6238, 5.2)."""

_SIX_DIGITS: Final = re.compile(r"[0-9]{6}")
_RECOVERY_LETTERS: Final = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without those that look alike on paper."""

_RECOVERY_LENGTH: Final = 12
_RECOVERY: Final = re.compile(rf"[{_RECOVERY_LETTERS}]{{{_RECOVERY_LENGTH}}}")


def plain(typed: str) -> str:
    """What was typed, without the spaces and hyphens that make it readable."""
    return re.sub(r"[\s-]", "", typed).lower()


def is_six_digits(typed: str) -> bool:
    """Whether it has the form of a code of an app, or of one that was sent."""
    return _SIX_DIGITS.fullmatch(plain(typed)) is not None


def new_secret(label: str, issuer: str) -> TotpSecret:
    """160 random bits for an authenticator app (RFC 4226, section 4)."""
    secret = pyotp.random_base32()
    return TotpSecret(secret, pyotp.TOTP(secret).provisioning_uri(name=label, issuer_name=issuer))


def seal_secret(keys: TenantKeys, user_id: UUID, secret: str) -> bytes:
    """The secret as it is kept."""
    return keys.seal(secret.encode(), bound_to=_bound_to(user_id))


async def take_totp(
    connection: Connection, keys: TenantKeys, account: Account, typed: str, at: datetime
) -> bool:
    """Whether this is a code of the user's app, of a step that no code was taken of before."""
    if account.secret_sealed is None or not is_six_digits(typed):
        return False
    secret = keys.open(account.secret_sealed, bound_to=_bound_to(account.id)).decode()
    totp, present = pyotp.TOTP(secret), int(at.timestamp()) // STEP_S
    steps = [
        present + offset
        for offset in _TOLERANCE
        if hmac.compare_digest(totp.generate_otp(present + offset), plain(typed))
    ]
    return bool(steps) and await store.take_step(connection, keys.tenant_id, account.id, min(steps))


async def take_recovery_code(
    connection: Connection, keys: TenantKeys, user_id: UUID, typed: str, at: datetime
) -> bool:
    """Whether this is a recovery code of the user, and uses it up."""
    if not _RECOVERY.fullmatch(plain(typed)):
        return False
    return await store.use_recovery_code(
        connection, keys.tenant_id, user_id, _recovery_digest(keys, user_id, plain(typed)), at
    )


async def fresh_recovery_codes(
    connection: Connection, keys: TenantKeys, user_id: UUID, at: datetime
) -> list[str]:
    """Ten new ones, of 59 bits each; the old ones end."""
    codes = [
        "".join(choice(_RECOVERY_LETTERS) for _ in range(_RECOVERY_LENGTH)) for _ in range(RECOVERY_CODES)
    ]
    digests = [_recovery_digest(keys, user_id, code) for code in codes]
    await store.replace_recovery_codes(connection, keys.tenant_id, user_id, digests, at)
    return ["-".join((code[:4], code[4:8], code[8:])) for code in codes]


def code_digest(keys: TenantKeys, code_id: UUID, code: str) -> bytes:
    """What is kept of a code that is sent."""
    return keys.blind("one_time_code", f"{code_id}:{code}")


async def compare_code(
    connection: Connection,
    keys: TenantKeys,
    code_id: UUID,
    purpose: Purpose,
    typed: str,
    at: datetime,
    *,
    of: UUID | None = None,
) -> Code | None:
    """The code's row, locked, if it can still be tried and what was typed is right. Counts the attempt.

    `of`: the only user whose code it may be.
    """
    code = await store.lock_code(connection, keys.tenant_id, code_id)
    if code is None or code.purpose is not purpose or not code.open_at(at):
        return None
    if of is not None and code.user_id != of:
        return None
    await store.count_code(connection, keys.tenant_id, code_id)
    right = hmac.compare_digest(code.digest, code_digest(keys, code_id, plain(typed)))
    return code if right else None


async def take_code(
    connection: Connection,
    keys: TenantKeys,
    code_id: UUID,
    purpose: Purpose,
    typed: str,
    at: datetime,
    *,
    of: UUID | None = None,
) -> Code | None:
    """The same, and uses the code up."""
    code = await compare_code(connection, keys, code_id, purpose, typed, at, of=of)
    if code is None or not await store.use_code(connection, keys.tenant_id, code_id, at):
        return None
    return code


async def take_second_factor(
    connection: Connection,
    keys: TenantKeys,
    account: Account,
    typed: str,
    code_id: UUID | None,
    at: datetime,
) -> Method | None:
    """Which of the second factors that the user has set up this is; None: none of them."""
    factors = account.second_factors
    if code_id is not None:
        if account.code_channel is None or Method(account.code_channel) not in factors:
            return None
        code = await take_code(connection, keys, code_id, Purpose.SECOND_FACTOR, typed, at, of=account.id)
        return None if code is None else Method(code.channel)
    if Method.TOTP in factors and await take_totp(connection, keys, account, typed, at):
        return Method.TOTP
    if Method.RECOVERY in factors and await take_recovery_code(connection, keys, account.id, typed, at):
        return Method.RECOVERY
    return None


def _recovery_digest(keys: TenantKeys, user_id: UUID, code: str) -> bytes:
    return keys.blind("recovery_code", f"{user_id}:{code}")


def _bound_to(user_id: UUID) -> str:
    return f"totp:{user_id}"

"""Access tokens: JWT (RFC 7519) of the profile RFC 9068, signed with Ed25519 and nothing else.

What is presented is not asked how it wants to be verified. The header must be the one that we write: this
algorithm, this type, the id of a key of ours, and not one member more, so `none`, a public key used as an
HMAC secret, keys that a token brings along (`jwk`, `jku`, `x5u`) and critical extensions have no way in
(RFC 8725, sections 3.1 to 3.5).
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, cast
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from florin.access.signing.model import ACCESS_TOKEN_LIFETIME, LEEWAY
from florin.kernel.http.call import PrincipalKind
from florin.kernel.ids import MalformedId, decode_id, encode_id

ALGORITHM: Final = "EdDSA"
TYPE: Final = "at+jwt"
AUDIENCE: Final = "florin-api"

MAX_TOKEN_BYTES: Final = 4096
"""Longer is refused before anything is decoded; ours have about 600."""

_JWS: Final = jwt.PyJWS(algorithms=[ALGORITHM])
_SUBJECT: Final = re.compile(r"(user|key)_[0-9a-z]{26}")
_MODES: Final = {True: "live", False: "test"}
_HEADER: Final = {"alg", "typ", "kid"}
_REQUIRED: Final = {"iss", "aud", "sub", "jti", "iat", "nbf", "exp", "tenant", "mode"}
_MAX_TENANT: Final = 2**31 - 1


class TokenRefused(ValueError):
    """The token is not one of ours, or not any more. Why, is for tests and never for whoever shows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What an access token says. Times are seconds since 1970."""

    tenant_id: int
    live: bool
    kind: PrincipalKind
    subject: UUID
    """Of the user or the key."""

    jti: UUID
    issued_at: int
    expires_at: int
    session_id: UUID | None = None
    """Of a user's token."""

    scope: str | None = None
    """Of a client's token: what of its scopes it was given, with spaces between."""


def issue(claims: Claims, issuer: str, kid: str, private_key: Ed25519PrivateKey) -> str:
    """The signed token."""
    said: dict[str, object] = {
        "iss": issuer,
        "aud": AUDIENCE,
        "sub": encode_id(claims.kind, claims.subject),
        "jti": encode_id("tok", claims.jti),
        "iat": claims.issued_at,
        "nbf": claims.issued_at,
        "exp": claims.expires_at,
        "tenant": claims.tenant_id,
        "mode": _MODES[claims.live],
    }
    if claims.session_id is not None:
        said["sid"] = encode_id("ses", claims.session_id)
    if claims.scope is not None:
        said |= {"client_id": said["sub"], "scope": claims.scope}
    payload = json.dumps(said, separators=(",", ":")).encode()
    return _JWS.encode(payload, private_key, algorithm=ALGORITHM, headers={"kid": kid, "typ": TYPE})


def kid_of(token: str) -> str:
    """The id of the key that the token says it is signed with. Nothing of it is verified yet.

    Raises:
        TokenRefused: too long, no JWT, or a header that is not as we write it.
    """
    if len(token) > MAX_TOKEN_BYTES or not token.isascii():
        raise TokenRefused("longer than any token of ours, or not ASCII")
    try:
        header = _JWS.get_unverified_header(token)
    except jwt.InvalidTokenError as error:
        raise TokenRefused(str(error)) from None
    if header.keys() != _HEADER or header["alg"] != ALGORITHM or header["typ"] != TYPE:
        raise TokenRefused("the header is not one of ours")
    return cast("str", header["kid"])


def read(token: str, issuer: str, public_key: bytes, now: float) -> Claims:
    """What a token says that this key has signed. `now`: seconds since 1970.

    Raises:
        TokenRefused: another signature, another issuer or audience, a time that is not now, or a claim
            that is missing or not of the form that we write.
    """
    try:
        payload: bytes = _JWS.decode(
            token, Ed25519PublicKey.from_public_bytes(public_key), algorithms=[ALGORITHM]
        )
        said = json.loads(payload)
    except (jwt.InvalidTokenError, ValueError) as error:
        raise TokenRefused(str(error)) from None
    if not isinstance(said, dict) or not said.keys() >= _REQUIRED:
        raise TokenRefused("a claim is missing")
    if said["iss"] != issuer or said["aud"] != AUDIENCE:
        raise TokenRefused("from somebody else, or for somebody else")
    claims = _claims(said)
    _check_times(claims, said["nbf"], now)
    return claims


def _claims(said: Mapping[str, Any]) -> Claims:
    subject = said["sub"]
    if not isinstance(subject, str) or not _SUBJECT.fullmatch(subject):
        raise TokenRefused("sub is neither a user nor a key")
    kind = PrincipalKind(subject.partition("_")[0])
    tenant_id = _whole("tenant", said["tenant"])
    if not 1 <= tenant_id <= _MAX_TENANT or said["mode"] not in _MODES.values():
        raise TokenRefused("tenant or mode is out of range")
    scope = said.get("scope")
    is_user = kind is PrincipalKind.USER
    if is_user != ("sid" in said) or is_user == isinstance(scope, str):
        raise TokenRefused("users' tokens have a session, clients' tokens a scope")
    return Claims(
        tenant_id=tenant_id,
        live=said["mode"] == _MODES[True],
        kind=kind,
        subject=_id(kind, subject),
        jti=_id("tok", said["jti"]),
        issued_at=_whole("iat", said["iat"]),
        expires_at=_whole("exp", said["exp"]),
        session_id=_id("ses", said["sid"]) if is_user else None,
        scope=scope,
    )


def _check_times(claims: Claims, not_before: object, now: float) -> None:
    leeway_s = LEEWAY / timedelta(seconds=1)
    if max(claims.issued_at, _whole("nbf", not_before)) > now + leeway_s:
        raise TokenRefused("not valid yet")
    if claims.expires_at <= now:
        raise TokenRefused("expired")
    if claims.expires_at - claims.issued_at > ACCESS_TOKEN_LIFETIME / timedelta(seconds=1):
        raise TokenRefused("lives longer than any token of ours")


def _whole(name: str, value: object) -> int:
    if type(value) is not int:
        raise TokenRefused(f"{name} is not a whole number")
    return value


def _id(prefix: str, value: object) -> UUID:
    try:
        return decode_id(prefix, value if isinstance(value, str) else "")
    except MalformedId as error:
        raise TokenRefused(str(error)) from None


Clock = Callable[[], float]
"""Seconds since 1970."""

"""Use cases of OAuth clients: a token for a secret, and what a token is worth."""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from florin.access.callers import KeyHolder
from florin.access.errors import AddressNotAllowed
from florin.access.memory import Known
from florin.access.model import parse_client
from florin.access.service import Access
from florin.access.signing.jwt import Claims, TokenRefused
from florin.access.signing.model import ACCESS_TOKEN_LIFETIME
from florin.access.signing.service import SigningKeys
from florin.access.store import Client
from florin.access.tokens import store
from florin.access.tokens.callers import TokenCallers
from florin.access.tokens.errors import OAuthError, OAuthRefused, wrong_client
from florin.access.tokens.form import Credentials
from florin.access.tokens.policy import both
from florin.kernel.errors import Refusal
from florin.kernel.http.call import PrincipalKind
from florin.kernel.ids import MalformedId, decode_id, new_id
from florin.kernel.permissions import unknown

_NO_DIGEST: Final = bytes(32)


@dataclass(frozen=True, slots=True)
class Granted:
    """An access token for a client."""

    access_token: str
    expires_in_s: int
    scope: str


async def authenticate_client(
    access: Access, shown: Credentials, address: str | None = None
) -> Known[KeyHolder]:
    """The client that has shown its secret, from an address.

    A client that is unknown costs what one with a wrong secret costs: one look-up by the id, and one
    comparison in constant time. Digests are compared, of 256 random bits: nothing could be learnt from the
    time anyway, and nothing has to be argued.

    Raises:
        OAuthRefused: unknown, wrong, expired or revoked; or its tenant or partner may not call, or it
            not from there.
    """
    presented = parse_client(shown.secret)
    try:
        client_id = decode_id("key", shown.client_id)
    except MalformedId:
        raise wrong_client() from None
    if presented is None:
        raise wrong_client()
    tenant_id = presented.tenant_id
    async with access.database.tenant(tenant_id) as connection:
        kept = await store.client_digest(connection, tenant_id, client_id)
    if not hmac.compare_digest(presented.digest, kept or _NO_DIGEST) or kept is None:
        raise wrong_client()
    known = await access.callers.client(Client(tenant_id, presented.live, client_id))
    if known.holder is None:
        raise wrong_client()
    if known.refusal is not None:
        raise OAuthRefused(OAuthError.UNAUTHORIZED_CLIENT, known.refusal().detail)
    if known.holder.reach is not None and address not in known.holder.reach:
        raise OAuthRefused(OAuthError.UNAUTHORIZED_CLIENT, AddressNotAllowed().detail)
    access.callers.note_use(known.holder, address)
    return known


async def grant(
    access: Access, keys: SigningKeys, shown: Credentials, scope: str | None, address: str | None = None
) -> Granted:
    """An access token for a client's secret, with its scopes or, with `scope`, with fewer.

    Raises:
        OAuthRefused: see `authenticate_client`; or it asks for a scope that it does not have.
    """
    known = await authenticate_client(access, shown, address)
    assert known.holder is not None, "or it would have been refused"
    given = _scopes(known.holder, scope)
    at = int(keys.clock())
    expires_at = int(min(at + ACCESS_TOKEN_LIFETIME.total_seconds(), known.expires_at))
    claims = Claims(
        tenant_id=known.tenant_id,
        live=known.holder.live,
        kind=PrincipalKind.KEY,
        subject=known.holder.id,
        jti=new_id(),
        issued_at=at,
        expires_at=expires_at,
        scope=" ".join(given),
    )
    return Granted(await keys.sign(claims), expires_at - at, " ".join(given))


def _scopes(holder: KeyHolder, scope: str | None) -> Sequence[str]:
    if scope is None:
        return sorted(holder.scopes)
    asked = scope.split()
    given = both(holder.scopes, asked)
    if not asked or unknown(asked) or not set(asked) <= set(given):
        raise OAuthRefused(OAuthError.INVALID_SCOPE, "the client does not have all of these scopes")
    return given


@dataclass(frozen=True, slots=True)
class Introspected:
    """A token that is good now: what it says, and what whoever holds it may do now."""

    claims: Claims
    scopes: frozenset[str]


async def introspect(
    callers: TokenCallers, keys: SigningKeys, asking: KeyHolder, token: str
) -> Introspected | None:
    """What a token is worth now; None: nothing, or nothing that this client may know of.

    A tenant's client sees the tokens of the tenant, a partner's those of the partner.
    """
    try:
        claims = await keys.verify(token)
        holder = await callers.authenticate(token)
    except (TokenRefused, Refusal):
        return None
    if holder.tenant_id != asking.tenant_id or asking.partner_id not in (None, holder.partner_id):
        return None
    return Introspected(claims, holder.scopes)

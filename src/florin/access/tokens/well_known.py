"""What verifiers and OAuth libraries fetch to know us: public, and to be kept for a while."""

from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from florin.access.signing.model import PUBLISHED_FOR_S, jwk
from florin.access.signing.service import SigningKeys
from florin.kernel.permissions import PERMISSIONS

router = APIRouter(tags=["OAuth"])

_KEPT: Final = {"cache-control": f"public, max-age={PUBLISHED_FOR_S}"}
_AUTHENTICATION: Final = ["client_secret_basic", "client_secret_post"]


class PublicKey(BaseModel):
    """A key that signs access tokens, or did, or will (RFC 8037)."""

    kty: str
    crv: str
    x: str = Field(description="The public half, base64url.")
    kid: str
    use: str
    alg: str


class PublicKeys(BaseModel):
    """A JSON Web Key Set (RFC 7517)."""

    keys: list[PublicKey]


class AuthorizationServer(BaseModel):
    """What an OAuth library wants to know (RFC 8414)."""

    issuer: str
    jwks_uri: str
    token_endpoint: str
    token_endpoint_auth_methods_supported: list[str]
    introspection_endpoint: str
    introspection_endpoint_auth_methods_supported: list[str]
    grant_types_supported: list[str]
    response_types_supported: list[str] = Field(description="Empty: nobody is redirected.")
    scopes_supported: list[str]


@router.get("/.well-known/jwks.json", summary="The keys that verify access tokens", response_model=PublicKeys)
async def jwks(request: Request) -> Response:
    """All keys that tokens may be signed with. A new one stands here a day before it signs, so an hour is
    not too long to keep them; on a `kid` that you do not know, look again.
    """
    keys: SigningKeys = request.app.state.rooms[SigningKeys]
    return JSONResponse({"keys": [jwk(key) for key in await keys.published()]}, headers=_KEPT)


@router.get(
    "/.well-known/oauth-authorization-server",
    summary="Where tokens come from",
    response_model=AuthorizationServer,
)
async def authorization_server(request: Request) -> Response:
    """The issuer of access tokens, its endpoints, and what they take."""
    issuer = request.app.state.rooms[SigningKeys].issuer
    about = AuthorizationServer(
        issuer=issuer,
        jwks_uri=f"{issuer}/.well-known/jwks.json",
        token_endpoint=f"{issuer}/v1/oauth/token",
        token_endpoint_auth_methods_supported=_AUTHENTICATION,
        introspection_endpoint=f"{issuer}/v1/oauth/introspect",
        introspection_endpoint_auth_methods_supported=_AUTHENTICATION,
        grant_types_supported=["client_credentials"],
        response_types_supported=[],
        scopes_supported=sorted(PERMISSIONS),
    )
    return JSONResponse(about.model_dump(), headers=_KEPT)

"""OAuth 2.0 over HTTP: tokens for clients (RFC 6749, section 4.4), and what they are worth (RFC 7662).

Answers and errors are those of the RFCs and not problems, since OAuth libraries read them; what the gate
refuses before (size, media type, rate) is a problem as everywhere.
"""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from florin.access.service import Access
from florin.access.signing.jwt import AUDIENCE
from florin.access.signing.service import SigningKeys
from florin.access.tokens import service
from florin.access.tokens.callers import TokenCallers
from florin.access.tokens.errors import OAuthError, OAuthRefused
from florin.access.tokens.form import credentials_of, fields_of
from florin.kernel.http.body import RawBody, takes
from florin.kernel.http.call import Knock, open_to_all
from florin.kernel.http.problem import problems
from florin.kernel.ids import encode_id

router = APIRouter(prefix="/v1/oauth", tags=["OAuth"])

Client = Annotated[Knock, Depends(open_to_all("the client's secret is the credential"))]

_FORM: Final = "application/x-www-form-urlencoded"
_BODY: Final = RawBody(frozenset({_FORM.encode()}), max_bytes=16_384)
_NOT_KEPT: Final = {"cache-control": "no-store", "pragma": "no-cache"}
_CHALLENGE: Final = 'Basic realm="Florin"'


class AccessTokenShown(BaseModel):
    """An access token for a client."""

    access_token: str = Field(description="Send it as `Authorization: Bearer <access_token>`.")
    token_type: str = "Bearer"  # noqa: S105 - the scheme's name
    expires_in: int = Field(description="Seconds until it is over; then ask for another.")
    scope: str = Field(description="What it may do, with spaces between.")


class Introspection(BaseModel):
    """What a token is worth now (RFC 7662). Of one that is worth nothing, only `active` is shown."""

    active: bool
    scope: str | None = Field(None, description="What whoever holds it may do in the whole tenant.")
    client_id: str | None = None
    sub: str | None = None
    sid: str | None = None
    iss: str | None = None
    aud: str | None = None
    jti: str | None = None
    iat: int | None = None
    nbf: int | None = None
    exp: int | None = None
    token_type: str | None = None


class OAuthErrorShown(BaseModel):
    """An error as RFC 6749, section 5.2, has it."""

    error: OAuthError
    error_description: str


def _form(required: tuple[str, ...], example: dict[str, str], **fields: str) -> dict[str, Any]:
    """How OpenAPI describes the form that an endpoint takes."""
    schema = {
        "type": "object",
        "required": list(required),
        "properties": {name: {"type": "string", "description": text} for name, text in fields.items()},
    }
    return {"requestBody": {"required": True, "content": {_FORM: {"schema": schema, "example": example}}}}


_REFUSALS: Final[dict[int | str, dict[str, Any]]] = {
    **{status: one for status, one in problems(415).items() if status in (413, 415, 429, 503, 504)},
    400: {"model": OAuthErrorShown, "description": "The request is wrong, or asks for too much"},
    401: {"model": OAuthErrorShown, "description": "The client did not prove who it is"},
}
_CLIENT_FIELDS: Final = {
    "client_id": "`key_...`; or send both by HTTP Basic.",
    "client_secret": "`fl_cs_...`.",
}
_EXAMPLE_CLIENT: Final = {
    "client_id": "key_01m7wp2t22e4dvjfctsr26knk1",
    "client_secret": "fl_cs_test_1_x2Vb0sN4cQ8kYh3mJ7fLr5tW9pZ1uE6aGdOiKwCvXyM",
}

Answer = Callable[[Knock, dict[str, str]], Coroutine[Any, Any, BaseModel]]


async def _answered(knock: Knock, answer: Answer) -> Response:
    """The answer, or the error, as OAuth writes them."""
    try:
        shown = await answer(knock, fields_of(knock.body))
    except OAuthRefused as refused:
        body = {"error": refused.error, "error_description": refused.description}
        if refused.error is OAuthError.INVALID_CLIENT:
            return JSONResponse(body, 401, {**_NOT_KEPT, "www-authenticate": _CHALLENGE})
        return JSONResponse(body, 400, _NOT_KEPT)
    return JSONResponse(shown.model_dump(exclude_none=True), 200, _NOT_KEPT)


@router.post(
    "/token",
    summary="Get an access token",
    response_model=AccessTokenShown,
    responses=_REFUSALS,
    openapi_extra=_form(
        ("grant_type",),
        {"grant_type": "client_credentials", **_EXAMPLE_CLIENT, "scope": "payments:read"},
        grant_type="`client_credentials`.",
        scope="Fewer scopes than the client has, with spaces between. Left out: all.",
        **_CLIENT_FIELDS,
    ),
)
@takes(_BODY)
async def create_access_token(knock: Client) -> Response:
    """Gives a client an access token for 15 minutes. What it may do is looked up with each call: ending the
    client ends its tokens.
    """
    return await _answered(knock, _token)


async def _token(knock: Knock, fields: dict[str, str]) -> BaseModel:
    kind = fields.get("grant_type")
    if kind is None:
        raise OAuthRefused(OAuthError.INVALID_REQUEST, "grant_type is missing")
    if kind != "client_credentials":
        raise OAuthRefused(OAuthError.UNSUPPORTED_GRANT_TYPE, "there is client_credentials only")
    shown = credentials_of(knock.headers, fields)
    granted = await service.grant(
        knock.rooms[Access], knock.rooms[SigningKeys], shown, fields.get("scope"), knock.address
    )
    return AccessTokenShown(
        access_token=granted.access_token, expires_in=granted.expires_in_s, scope=granted.scope
    )


@router.post(
    "/introspect",
    summary="Look at a token",
    response_model=Introspection,
    response_model_exclude_none=True,
    responses=_REFUSALS,
    openapi_extra=_form(
        ("token",),
        {"token": "eyJhbGciOiJFZERTQSJ9.e30.c2lnbmF0dXJl", **_EXAMPLE_CLIENT},
        token="An access token.",  # noqa: S106 - a description
        token_type_hint="Taken, and not needed.",  # noqa: S106 - a description
        **_CLIENT_FIELDS,
    ),
)
@takes(_BODY)
async def introspect_token(knock: Client) -> Response:
    """Tells a client what an access token is worth now: a tenant's client of the tenant's tokens, a partner's
    of the partner's.
    """
    return await _answered(knock, _introspection)


async def _introspection(knock: Knock, fields: dict[str, str]) -> BaseModel:
    access, keys = knock.rooms[Access], knock.rooms[SigningKeys]
    asking = await service.authenticate_client(access, credentials_of(knock.headers, fields), knock.address)
    if "token" not in fields:
        raise OAuthRefused(OAuthError.INVALID_REQUEST, "token is missing")
    assert asking.holder is not None, "or it would have been refused"
    found = await service.introspect(knock.rooms[TokenCallers], keys, asking.holder, fields["token"])
    if found is None:
        return Introspection(active=False)
    claims = found.claims
    subject = encode_id(claims.kind, claims.subject)
    return Introspection(
        active=True,
        scope=" ".join(sorted(found.scopes)),
        client_id=subject if claims.session_id is None else None,
        sub=subject,
        sid=None if claims.session_id is None else encode_id("ses", claims.session_id),
        iss=keys.issuer,
        aud=AUDIENCE,
        jti=encode_id("tok", claims.jti),
        iat=claims.issued_at,
        nbf=claims.issued_at,
        exp=claims.expires_at,
        token_type="Bearer",  # noqa: S106 - the scheme's name
    )

"""/v1/api-keys. A partner's key sees and makes its own keys only, with its own limits."""

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from florin.access import service
from florin.access.errors import LimitsNotYours
from florin.access.model import MAX_LIMIT, SCOPES, ApiKey, KeyKind, NewKey
from florin.access.service import Access, made_by
from florin.kernel.dates import Instant
from florin.kernel.errors import Forbidden
from florin.kernel.http.call import Call, requires
from florin.kernel.http.problem import problems
from florin.kernel.ids import ApiKeyId, PartnerId
from florin.kernel.paging import DEFAULT_LIMIT, Limit, Page, page

router = APIRouter(prefix="/v1/api-keys", tags=["API keys"])

Read = Annotated[Call, Depends(requires("keys:read", privileged=True))]
Write = Annotated[Call, Depends(requires("keys:write"))]
Calls = Annotated[int, Field(strict=True, ge=1, le=MAX_LIMIT)]

MAX_OVERLAP_HOURS = 168


class LimitsShown(BaseModel):
    """Calls per period of the clock (UTC); null is unlimited."""

    model_config = ConfigDict(from_attributes=True)

    per_minute: int | None
    per_hour: int | None
    per_day: int | None


class ApiKeyShown(BaseModel):
    """A key without its secret."""

    model_config = ConfigDict(from_attributes=True)

    id: ApiKeyId
    prefix: str = Field(description="Its beginning.", examples=["fl_test_1_abcd"])
    name: str
    live: bool
    partner_id: PartnerId | None = Field(description="Whom it speaks for; null: the tenant itself.")
    scopes: list[str]
    limits: LimitsShown
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None = Field(description="To within a minute or so.")
    rotated_from: ApiKeyId | None
    kind: KeyKind = Field(description="`client`: not sent with calls, but for access tokens (OAuth 2.0).")


class NewKeyShown(ApiKeyShown):
    """A new key. Keep the secret: it is not shown again."""

    secret: str = Field(description="Send it as `Authorization: Bearer <secret>`.")


class NewLimits(BaseModel):
    """What is left out is the partner's limit, else the platform's. Null is unlimited."""

    model_config = ConfigDict(extra="forbid")

    per_minute: Calls | None = None
    per_hour: Calls | None = None
    per_day: Calls | None = None


class KeyToMake(BaseModel):
    """A key to be made, in the mode of the key that asks."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")] = (
        Field(examples=["shop backend"])
    )
    scopes: list[Annotated[str, StringConstraints(min_length=1, max_length=40)]] = Field(
        min_length=1,
        max_length=len(SCOPES),
        description=f"Of {', '.join(f'`{scope}`' for scope in sorted(SCOPES))}; none that you do not have.",
        examples=[["payments:read", "payments:write"]],
    )
    partner_id: PartnerId | None = Field(None, description="A partner's key makes keys of that partner.")
    limits: NewLimits = Field(default_factory=NewLimits)
    expires_at: Instant | None = None
    kind: KeyKind = Field(
        KeyKind.BEARER, description="`client`: its secret is for POST /v1/oauth/token, and not for calls."
    )


class KeyRotation(BaseModel):
    """How to rotate a key."""

    model_config = ConfigDict(extra="forbid")

    overlap_hours: Annotated[int, Field(strict=True, ge=0, le=MAX_OVERLAP_HOURS)] = Field(
        24, description="For how long the old key works beside the new one."
    )


@router.post("", status_code=201, responses=problems())
async def create_api_key(call: Write, body: KeyToMake) -> NewKeyShown:
    """Makes a key and shows its secret, once."""
    own = call.principal.partner_id
    if own is not None and body.partner_id not in (None, own):
        raise Forbidden("a partner's key makes keys of that partner only", param="partner_id")
    if own is not None and body.limits.model_fields_set:
        raise LimitsNotYours(param="limits")
    made = await service.create_key(
        call.rooms[Access],
        call.tenant_id,
        name=body.name,
        scopes=body.scopes,
        partner_id=own or body.partner_id,
        limits=body.limits.model_dump(exclude_unset=True),
        expires_at=body.expires_at,
        by=made_by(call.principal),
        by_scopes=call.principal.scopes,
        kind=body.kind,
    )
    return _shown_once(call, made)


@router.get("", responses=problems())
async def list_api_keys(
    call: Read,
    limit: Annotated[Limit, Query()] = DEFAULT_LIMIT,
    starting_after: Annotated[ApiKeyId | None, Query()] = None,
    partner_id: Annotated[PartnerId | None, Query()] = None,
) -> Page[ApiKeyShown]:
    """Keys, newest first, ended ones too."""
    own = call.principal.partner_id
    if own is not None and partner_id not in (None, own):
        return Page(data=[], has_more=False)
    keys = await service.list_keys(
        call.rooms[Access],
        call.tenant_id,
        partner_id=own or partner_id,
        after=starting_after,
        count=limit + 1,
    )
    return page(keys, limit, lambda key: _shown(call, key))


@router.get("/{key_id}", responses=problems(404))
async def read_api_key(call: Read, key_id: ApiKeyId) -> ApiKeyShown:
    """One key."""
    return _shown(
        call,
        await service.get_key(
            call.rooms[Access], call.tenant_id, key_id, partner_id=call.principal.partner_id
        ),
    )


@router.post("/{key_id}/revoke", responses=problems(404))
async def revoke_api_key(call: Write, key_id: ApiKeyId) -> ApiKeyShown:
    """Ends a key at once. Twice is as once."""
    return _shown(
        call,
        await service.revoke_key(
            call.rooms[Access], call.tenant_id, key_id, partner_id=call.principal.partner_id
        ),
    )


@router.post("/{key_id}/rotate", status_code=201, responses=problems(404, 409))
async def rotate_api_key(call: Write, key_id: ApiKeyId, body: KeyRotation | None = None) -> NewKeyShown:
    """Makes a successor and shows its secret, once; the old key works on for the overlap."""
    rotation = body or KeyRotation()
    made = await service.rotate_key(
        call.rooms[Access],
        call.tenant_id,
        key_id,
        overlap=timedelta(hours=rotation.overlap_hours),
        partner_id=call.principal.partner_id,
        by=made_by(call.principal),
        by_scopes=call.principal.scopes,
    )
    return _shown_once(call, made)


def _fields(call: Call, key: ApiKey) -> dict[str, object]:
    shown = {name: getattr(key, name) for name in ApiKey.__slots__}
    return {**shown, "live": call.principal.live}


def _shown(call: Call, key: ApiKey) -> ApiKeyShown:
    return ApiKeyShown.model_validate(_fields(call, key))


def _shown_once(call: Call, made: NewKey) -> NewKeyShown:
    return NewKeyShown.model_validate({**_fields(call, made.key), "secret": made.secret})


routers = (router,)

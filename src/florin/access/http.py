"""/v1/api-keys. A partner's key sees and makes its own keys only, with its own limits."""

from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from florin.access import addresses, service, views
from florin.access.addresses import Reach
from florin.access.callers import KeyHolder
from florin.access.errors import LimitsNotYours
from florin.access.model import MAX_LIMIT, ApiKey, KeyKind, KeyStatus, NewKey
from florin.access.service import Access
from florin.kernel.dates import Instant
from florin.kernel.errors import Forbidden
from florin.kernel.http.call import Call, requires
from florin.kernel.http.problem import problems
from florin.kernel.ids import ApiKeyId, PartnerId
from florin.kernel.paging import DEFAULT_LIMIT, Limit, Page, page
from florin.kernel.permissions import PERMISSIONS

router = APIRouter(prefix="/v1/api-keys", tags=["API keys"])

Read = Annotated[Call, Depends(requires("keys:read", privileged=True))]
Write = Annotated[Call, Depends(requires("keys:write"))]
Calls = Annotated[int, Field(strict=True, ge=1, le=MAX_LIMIT)]
Name = Annotated[
    str,
    StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$"),
    Field(examples=["shop backend"]),
]
Scopes = Annotated[
    list[Annotated[str, StringConstraints(min_length=1, max_length=40)]],
    Field(
        min_length=1,
        max_length=len(PERMISSIONS),
        description=f"Of {', '.join(f'`{scope}`' for scope in sorted(PERMISSIONS))}, `area:*` for all of an "
        "area, `*` for all but `platform:`; none that you do not have.",
        examples=[["payments:read", "payments:write"]],
    ),
]


def _network(text: str) -> str:
    addresses.network(text)
    return text


Addresses = Annotated[
    list[Annotated[str, StringConstraints(min_length=2, max_length=43), AfterValidator(_network)]],
    Field(
        max_length=addresses.MAX_ALLOWED,
        description="From where it may call: addresses and networks, IPv4 and IPv6. Empty: from anywhere.",
        examples=[["192.0.2.7", "2001:db8:40::/48"]],
    ),
]
Why = Annotated[
    str,
    StringConstraints(min_length=1, max_length=500, pattern=r"^[^\x00]+$"),
    Field(
        description="Why; it stays with the key and in the audit log.",
        examples=["left in a public repository"],
    ),
]

MAX_OVERLAP_HOURS = 168


def _absent() -> Any:
    """The default of a field that may be left out and may not be null: it is never read."""
    return None


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
    status: KeyStatus
    partner_id: PartnerId | None = Field(description="Whom it speaks for; null: the tenant itself.")
    scopes: list[str]
    limits: LimitsShown
    allowed_addresses: list[str] = Field(description="From where it may call; empty: from anywhere.")
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    revoked_by: str | None
    revoked_reason: str | None
    last_used_at: datetime | None = Field(description="To within a minute or so.")
    last_used_address: str | None
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

    name: Name
    scopes: Scopes
    partner_id: PartnerId | None = Field(None, description="A partner's key makes keys of that partner.")
    limits: NewLimits = Field(default_factory=NewLimits)
    allowed_addresses: Addresses = Field(default_factory=list)
    expires_at: Instant | None = None
    kind: KeyKind = Field(
        KeyKind.BEARER, description="`client`: its secret is for POST /v1/oauth/token, and not for calls."
    )


class ChangedLimits(BaseModel):
    """What is left out stays. Null is unlimited."""

    model_config = ConfigDict(extra="forbid")

    per_minute: Calls | None = None
    per_hour: Calls | None = None
    per_day: Calls | None = None


class KeyChanges(BaseModel):
    """What to change; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    name: Name = Field(default_factory=_absent)
    scopes: Scopes = Field(default_factory=_absent)
    limits: ChangedLimits = Field(default_factory=_absent)
    allowed_addresses: Addresses | None = Field(
        None, description="Replaces the list. Null or empty: from anywhere."
    )


class KeyRevocation(BaseModel):
    """Why a key is revoked."""

    model_config = ConfigDict(extra="forbid")

    reason: Why | None = None


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
        allowed_addresses=addresses.networks(body.allowed_addresses),
        expires_at=body.expires_at,
        by=call.principal.name,
        by_scopes=call.principal.scopes,
        by_reach=_reach(call),
        kind=body.kind,
    )
    return _shown_once(call, made)


@router.get("", responses=problems())
async def list_api_keys(
    call: Read,
    limit: Annotated[Limit, Query()] = DEFAULT_LIMIT,
    starting_after: Annotated[ApiKeyId | None, Query()] = None,
    partner_id: Annotated[PartnerId | None, Query()] = None,
    status: Annotated[KeyStatus | None, Query()] = None,
) -> Page[ApiKeyShown]:
    """Keys, newest first, ended ones too."""
    own = call.principal.partner_id
    if own is not None and partner_id not in (None, own):
        return Page(data=[], has_more=False)
    keys = await service.list_keys(
        call.rooms[Access],
        call.tenant_id,
        partner_id=own or partner_id,
        status=status,
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


@router.patch("/{key_id}", responses=problems(404, 409))
async def change_api_key(call: Write, key_id: ApiKeyId, body: KeyChanges) -> ApiKeyShown:
    """Changes what a key is called, may do, how often and from where; felt within moments."""
    given = body.model_fields_set
    if call.principal.partner_id is not None and "limits" in given:
        raise LimitsNotYours(param="limits")
    changes: dict[str, Any] = {name: getattr(body, name) for name in given & {"name", "scopes"}}
    if "limits" in given:
        changes["limits"] = body.limits.model_dump(exclude_unset=True)
    if "allowed_addresses" in given:
        changes["allowed_addresses"] = addresses.networks(body.allowed_addresses or ())
    changed = await service.change_key(
        call.rooms[Access],
        call.tenant_id,
        key_id,
        changes,
        partner_id=call.principal.partner_id,
        by_scopes=call.principal.scopes,
        by_reach=_reach(call),
    )
    return _shown(call, changed)


@router.post("/{key_id}/revoke", responses=problems(404))
async def revoke_api_key(call: Write, key_id: ApiKeyId, body: KeyRevocation | None = None) -> ApiKeyShown:
    """Ends a key at once. Twice is as once, and the first reason stays."""
    revoked = await service.revoke_key(
        call.rooms[Access],
        call.tenant_id,
        key_id,
        reason=None if body is None else body.reason,
        partner_id=call.principal.partner_id,
        by=call.principal.name,
    )
    return _shown(call, revoked)


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
        by=call.principal.name,
        by_scopes=call.principal.scopes,
        by_reach=_reach(call),
    )
    return _shown_once(call, made)


def _reach(call: Call) -> Reach | None:
    """From where the caller may call; None: from anywhere."""
    return call.principal.reach if isinstance(call.principal, KeyHolder) else None


def _shown(call: Call, key: ApiKey) -> ApiKeyShown:
    return ApiKeyShown.model_validate(views.key(key, live=call.principal.live))


def _shown_once(call: Call, made: NewKey) -> NewKeyShown:
    return NewKeyShown.model_validate(
        {**views.key(made.key, live=call.principal.live), "secret": made.secret}
    )


routers = (router,)

"""/v1/users: who signs in. A partner sees its own; an administrator of business units, those of his units."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import Field, StringConstraints

from florin.access.people import users
from florin.access.people.http.render import GrantGiven, RoleCode, grants_of
from florin.access.people.model import User, UserStatus
from florin.access.people.policy import Actor
from florin.access.people.room import People
from florin.kernel.http.call import Call, requires
from florin.kernel.http.problem import problems
from florin.kernel.ids import BusinessUnitId, PartnerId, UserId
from florin.kernel.masking import mask_email, mask_name, mask_phone
from florin.kernel.paging import DEFAULT_LIMIT, Limit, Page, page
from florin.kernel.permissions import covers
from florin.tenancy.http.fields import Body, Shown, Text

router = APIRouter(prefix="/v1/users", tags=["Users"])

Read = Annotated[Call, Depends(requires("users:read", by_unit=True, privileged=True))]
Search = Annotated[Call, Depends(requires("users:read", by_unit=True, privileged=True))]
Write = Annotated[Call, Depends(requires("users:write", by_unit=True))]

_PERSONAL = "personal:read"
_TYPED = r"^[^\x00-\x1f\x7f]+$"

UserName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=100, pattern=_TYPED),
    Field(description="3 to 30 of a-z, 0-9, dot, underscore and hyphen.", examples=["ann.smith"]),
]
Email = Annotated[
    str,
    StringConstraints(min_length=1, max_length=254, pattern=_TYPED),
    Field(examples=["ann@shop.example"]),
]
Phone = Annotated[
    str,
    StringConstraints(min_length=1, max_length=40, pattern=_TYPED),
    Field(description="International, or national in the tenant's country.", examples=["+27 11 555 0100"]),
]


class UserShown(Shown):
    """A user. Without the permission `personal:read`, name, address and number are masked."""

    id: UserId
    partner_id: PartnerId | None = Field(description="A partner's own user; null: the tenant's.")
    status: UserStatus = Field(description="INVITED until the first sign-in.")
    user_name: str | None
    name: str | None
    email: str | None
    phone: str | None = Field(description="E.164.")
    masked: bool = Field(description="Whether name, address and number are masked.")
    email_verified_at: datetime | None
    phone_verified_at: datetime | None
    created_at: datetime
    created_by: str
    updated_at: datetime
    deleted_at: datetime | None


class NewUser(Body):
    """A user to be made: at least one of user name, address and number, each unique in the tenant."""

    user_name: UserName | None = None
    name: Text | None = Field(None, examples=["Ann Smith"])
    email: Email | None = None
    phone: Phone | None = None
    partner_id: PartnerId | None = Field(None, description="Makes a user of this partner.")
    assignments: list[GrantGiven] = Field(
        default_factory=list, max_length=20, description="Roles to begin with."
    )


class UserChanges(Body):
    """What to change. Null empties a field. Another address or number has to be verified anew."""

    user_name: UserName | None = None
    name: Text | None = None
    email: Email | None = None
    phone: Phone | None = None


class UserSearch(Body):
    """One of the three, exactly. In a body: addresses and numbers have no place in a URL."""

    user_name: UserName | None = None
    email: Email | None = None
    phone: Phone | None = None


@router.post("", status_code=201, responses=problems(409))
async def create_user(call: Write, body: NewUser) -> UserShown:
    """Makes a user, with roles if given, all or nothing."""
    made = await users.create_user(
        call.rooms[People],
        call.tenant_id,
        body.model_dump(include={"user_name", "name", "email", "phone"}),
        by=Actor.of(call),
        partner_id=body.partner_id,
        grants=grants_of(body.assignments),
    )
    return shown(call, made)


@router.get("", responses=problems(404))
async def list_users(
    call: Read,
    limit: Annotated[Limit, Query()] = DEFAULT_LIMIT,
    starting_after: Annotated[UserId | None, Query()] = None,
    status: Annotated[UserStatus | None, Query(description="Deleted ones are shown only so.")] = None,
    role: Annotated[RoleCode | None, Query(description="Only those who have this role.")] = None,
    partner_id: Annotated[PartnerId | None, Query()] = None,
    business_unit_id: Annotated[
        BusinessUnitId | None, Query(description="Only those with a role in this very unit.")
    ] = None,
) -> Page[UserShown]:
    """Users, newest first."""
    found = await users.list_users(
        call.rooms[People],
        call.tenant_id,
        by=Actor.of(call),
        status=status,
        role=role,
        partner_id=partner_id,
        business_unit_id=business_unit_id,
        after=starting_after,
        count=limit + 1,
    )
    return page(found, limit, lambda user: shown(call, user))


@router.post("/search", summary="Find a user", responses=problems())
async def search_users(call: Search, body: UserSearch) -> Page[UserShown]:
    """The user of exactly this user name, address or number: one, or none. The audit log notes each use."""
    found = await users.find_user(
        call.rooms[People], call.tenant_id, body.model_dump(exclude_unset=True), by=Actor.of(call)
    )
    return Page(data=[] if found is None else [shown(call, found)], has_more=False)


@router.get("/{user_id}", responses=problems(404))
async def read_user(call: Read, user_id: UserId) -> UserShown:
    """One user."""
    found = await users.get_user(call.rooms[People], call.tenant_id, user_id, by=Actor.of(call))
    return shown(call, found)


@router.patch("/{user_id}", responses=problems(404, 409))
async def patch_user(call: Write, user_id: UserId, body: UserChanges) -> UserShown:
    """Changes a user who may do nothing that you may not."""
    changed = await users.change_user(
        call.rooms[People], call.tenant_id, user_id, body.given(), by=Actor.of(call)
    )
    return shown(call, changed)


@router.post("/{user_id}/suspend", responses=problems(404, 409))
async def suspend_user(call: Write, user_id: UserId) -> UserShown:
    """Keeps a user out until reactivated. Sessions end at once."""
    moved = await users.suspend_user(call.rooms[People], call.tenant_id, user_id, by=Actor.of(call))
    return shown(call, moved)


@router.post("/{user_id}/reactivate", responses=problems(404, 409))
async def reactivate_user(call: Write, user_id: UserId) -> UserShown:
    """Lets a suspended user in again, with the same roles."""
    moved = await users.reactivate_user(call.rooms[People], call.tenant_id, user_id, by=Actor.of(call))
    return shown(call, moved)


@router.delete("/{user_id}", status_code=204, responses=problems(404, 409))
async def delete_user(call: Write, user_id: UserId) -> None:
    """Deletes a user: sessions and roles end, names are free. The audit log still knows who it was."""
    await users.delete_user(call.rooms[People], call.tenant_id, user_id, by=Actor.of(call))


def shown(call: Call, user: User) -> UserShown:
    """The user as the caller may see him."""
    names, masked = user.names, not _may_read(call, user)

    def seen(value: str | None, mask: Callable[[str], str]) -> str | None:
        return mask(value) if masked and value is not None else value

    return UserShown(
        id=user.id,
        partner_id=user.partner_id,
        status=user.status,
        user_name=names.user_name,
        name=seen(names.name, mask_name),
        email=seen(names.email, mask_email),
        phone=seen(names.phone, mask_phone),
        masked=masked,
        email_verified_at=user.email_verified_at,
        phone_verified_at=user.phone_verified_at,
        created_at=user.created_at,
        created_by=user.created_by,
        updated_at=user.updated_at,
        deleted_at=user.deleted_at,
    )


def _may_read(call: Call, user: User) -> bool:
    """In the whole tenant, or everywhere that the user has a role."""
    who = call.principal
    return covers(who.scopes, _PERSONAL) or (
        bool(user.homes) and all(covers(who.held_at(home), _PERSONAL) for home in user.homes)
    )

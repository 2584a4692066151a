"""Use cases of users. Each is one transaction and names the locks that it takes.

Lock order: the tenant, the user, roles and business units; last, with the first write, the end of the
audit log.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final
from uuid import UUID

from florin.access.people import policy, store
from florin.access.people.assignments import (
    check_grant,
    facts_of,
    keep_administrator,
    managed_user,
    write_grant,
)
from florin.access.people.errors import NothingToSignInWith, RoleNotFound, UserStateConflict
from florin.access.people.model import Grant, Names, User, UserStatus
from florin.access.people.policy import Actor
from florin.access.people.room import People
from florin.kernel.clock import now
from florin.kernel.contacts import normal_email, normal_phone, normal_user_name
from florin.kernel.db import Connection
from florin.kernel.errors import Forbidden, InvalidRequest
from florin.kernel.ids import new_id
from florin.tenancy import store as tenancy_store
from florin.tenancy.errors import UnknownReference


async def create_user(
    people: People,
    tenant_id: int,
    given: Mapping[str, str | None],
    *,
    by: Actor,
    partner_id: UUID | None = None,
    grants: Sequence[Grant] = (),
) -> User:
    """A new user, invited, with roles, all or nothing.

    Args:
        given: `user_name`, `name`, `email`, `phone` as they were typed; a national number is of the tenant's
            country. At least one to sign in with.
        by: who makes him. A partner's own actor makes users of that partner only.

    Raises:
        NothingToSignInWith: neither user name nor address nor number.
        InvalidRequest: one of them is none.
        UserExists: another user has it.
        UnknownReference: no such partner.
        Forbidden: an actor confined to business units gives no role in one of them.
        TenantNotFound: no such tenant.
        And what `assign` raises.
    """
    if by.within is not None and not grants:
        raise Forbidden("give a role in one of your business units", param="assignments")
    keys, at = await people.vault.of(tenant_id), now()
    with store.refusing():
        async with people.database.tenant(tenant_id) as connection:
            facts = await facts_of(connection, tenant_id)
            names = _named(Names(), given, facts.country)
            await _check_partner(connection, tenant_id, partner_id, by)
            person = await people.vault.new_person(connection, tenant_id, "user")
            user = User(
                id=new_id(),
                person_id=person.id,
                partner_id=by.partner_id or partner_id,
                status=UserStatus.INVITED,
                names=names,
                email_verified_at=None,
                phone_verified_at=None,
                created_at=at,
                created_by=by.name,
                updated_at=at,
                deleted_at=None,
                homes=(),
            )
            roles = [
                await check_grant(
                    connection, tenant_id, user, grant, facts, by=by, at=at, within=f"assignments[{number}]."
                )
                for number, grant in enumerate(grants)
            ]
            await store.insert_user(connection, tenant_id, user, person, keys)
            for grant, role in zip(grants, roles, strict=True):
                await write_grant(connection, tenant_id, user, grant, role, by=by, at=at)
    return replace(user, homes=tuple({grant.business_unit_id for grant in grants}))


async def get_user(people: People, tenant_id: int, user_id: UUID, *, by: Actor) -> User:
    """One user, deleted ones too. Raises UserNotFound: none, or none of the actor's."""
    async with people.database.tenant(tenant_id) as connection:
        return await managed_user(connection, people, tenant_id, user_id, by=by, at=now())


async def list_users(
    people: People,
    tenant_id: int,
    *,
    by: Actor,
    status: UserStatus | None = None,
    role: str | None = None,
    partner_id: UUID | None = None,
    business_unit_id: UUID | None = None,
    after: UUID | None = None,
    count: int = 100,
) -> list[User]:
    """Up to `count` users whom the actor sees, newest first; deleted ones only by their status.

    `business_unit_id`: with a role in that very unit. Raises RoleNotFound: no role has the code.
    """
    if by.partner_id is not None and partner_id not in (None, by.partner_id):
        return []
    async with people.database.tenant(tenant_id) as connection:
        known = None if role is None else await store.role(connection, tenant_id, role)
        if role is not None and known is None:
            raise RoleNotFound(param="role")
        return await store.users(
            connection,
            people.vault,
            tenant_id,
            status=status,
            partner_id=by.partner_id or partner_id,
            role=known,
            business_unit_id=business_unit_id,
            units=by.within,
            at=now(),
            after=after,
            count=count,
        )


async def find_user(
    people: People, tenant_id: int, given: Mapping[str, str | None], *, by: Actor
) -> User | None:
    """The user of exactly this `user_name`, `email` or `phone`; None: nobody whom the actor sees.

    Raises:
        InvalidRequest: not one of the three, or it is none.
    """
    if len(given) != 1 or None in given.values():
        raise InvalidRequest("search by one of user_name, email and phone", param="body")
    keys, at = await people.vault.of(tenant_id), now()
    async with people.database.tenant(tenant_id) as connection:
        facts = await facts_of(connection, tenant_id)
        names = _named(Names(), given, facts.country)
        user = await store.user_named(connection, people.vault, tenant_id, names, keys, at)
    return user if user is not None and policy.sees(by, user) else None


async def change_user(
    people: People, tenant_id: int, user_id: UUID, changes: Mapping[str, str | None], *, by: Actor
) -> User:
    """Changes names, address or number, or empties them with None; the user's row is locked.

    An address or a number that is another has to be verified anew.

    Raises:
        UserNotFound: no such user, or none of the actor's.
        UserStateConflict: he is deleted, or erased.
        BeyondOwnPermissions: he may do what the actor may not.
        NothingToSignInWith, InvalidRequest, UserExists: as in `create_user`.
    """
    keys, at = await people.vault.of(tenant_id), now()
    with store.refusing():
        async with people.database.tenant(tenant_id) as connection:
            facts = await facts_of(connection, tenant_id)
            user = await managed_user(connection, people, tenant_id, user_id, by=by, at=at, lock=True)
            person = await store.person_of(connection, people.vault, tenant_id, user)
            if user.status is UserStatus.DELETED or person is None:
                raise UserStateConflict("the user is deleted")
            policy.check_outranks(by, await store.held(connection, tenant_id, user_id, at))
            names = _named(user.names, changes, facts.country)
            await store.name_user(connection, tenant_id, user_id, names, person, keys, at)
            return await managed_user(connection, people, tenant_id, user_id, by=by, at=at)


async def suspend_user(people: People, tenant_id: int, user_id: UUID, *, by: Actor) -> User:
    """Keeps a user out until he is reactivated: his sessions end. Refuses as `delete_user` does."""
    return await _move(people, tenant_id, user_id, UserStatus.SUSPENDED, by)


async def reactivate_user(people: People, tenant_id: int, user_id: UUID, *, by: Actor) -> User:
    """Lets a suspended user in again, with the roles that he has. Refuses as `delete_user` does."""
    return await _move(people, tenant_id, user_id, UserStatus.ACTIVE, by)


async def delete_user(people: People, tenant_id: int, user_id: UUID, *, by: Actor) -> User:
    """Marks a user deleted: sessions and roles end, his names are free. Erasing is another matter.

    The tenant's and the user's row are locked.

    Raises:
        UserNotFound: no such user, or none of the actor's.
        UserStateConflict: his state does not allow it.
        BeyondOwnPermissions: he may do what the actor may not.
        LastAdministrator: he is the last tenant administrator of a live tenant.
    """
    return await _move(people, tenant_id, user_id, UserStatus.DELETED, by)


async def _move(people: People, tenant_id: int, user_id: UUID, to: UserStatus, by: Actor) -> User:
    at = now()
    async with people.database.tenant(tenant_id) as connection:
        facts = await facts_of(connection, tenant_id)
        await tenancy_store.lock_tenant(connection, tenant_id)
        user = await managed_user(connection, people, tenant_id, user_id, by=by, at=at, lock=True)
        if to is UserStatus.ACTIVE and user.status is UserStatus.INVITED:
            raise UserStateConflict("the user is INVITED, and becomes ACTIVE by signing in")
        policy.check_move(user, to)
        policy.check_outranks(by, await store.held(connection, tenant_id, user_id, at))
        if to is not UserStatus.ACTIVE:
            await keep_administrator(
                connection, tenant_id, facts, at, losing=lambda one: one.user_id == user_id
            )
            await store.end_sessions(connection, tenant_id, user_id, at)
        if to is UserStatus.DELETED:
            await store.end_assignments(connection, tenant_id, user_id, at, by.name)
        await store.move_user(connection, tenant_id, user_id, to, at)
        moved = await store.user(connection, people.vault, tenant_id, user_id, at)
    people.changed(tenant_id)
    assert moved is not None, "users are never deleted as rows"
    return moved


async def _check_partner(connection: Connection, tenant_id: int, partner_id: UUID | None, by: Actor) -> None:
    if partner_id is None:
        return
    if by.partner_id not in (None, partner_id):
        raise Forbidden("a partner makes users of its own only", param="partner_id")
    partner = await tenancy_store.partner(connection, tenant_id, partner_id)
    if partner is None or partner.deleted_at is not None:
        raise UnknownReference("no such partner", param="partner_id")


_NORMAL: Final[Mapping[str, Callable[[str, str], str]]] = {
    "user_name": lambda text, _: normal_user_name(text),
    "name": lambda text, _: text.strip(),
    "email": lambda text, _: normal_email(text),
    "phone": normal_phone,
}


def _named(before: Names, given: Mapping[str, str | None], country: str) -> Names:
    """The names with what is given in their place, normalised."""
    normal: dict[str, str | None] = {}
    for field, text in given.items():
        try:
            normal[field] = None if text is None else _NORMAL[field](text, country)
        except ValueError as error:
            raise InvalidRequest(
                f"{field}: {error}",
                param=field,
                errors=[{"param": field, "rule": "value_error", "detail": str(error)}],
            ) from None
    names = replace(before, **normal)
    if not names.can_sign_in:
        raise NothingToSignInWith(param="user_name")
    return names

"""The only caller of queries.sql. Every function runs in the caller's transaction.

What is personal goes in sealed and comes out opened: nobody above sees ciphertext.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import UUID

import aiosql
from psycopg import IntegrityError

from florin.access.people import errors
from florin.access.people.model import Assignment, Names, Role, User, UserStatus
from florin.access.people.policy import Held
from florin.kernel.db import Connection
from florin.kernel.errors import Refusal
from florin.kernel.vault import Person, TenantKeys, Vault
from florin.tenancy.errors import UnknownReference

_queries: Final[Any] = aiosql.from_path(Path(__file__).with_name("queries.sql"), "apsycopg")

_BY_CONSTRAINT: Final[Mapping[str, tuple[type[Refusal], str | None, str | None]]] = {
    "users_user_name_key": (errors.UserExists, "user_name", "another user has this user name"),
    "users_email_key": (errors.UserExists, "email", "another user has this e-mail address"),
    "users_phone_key": (errors.UserExists, "phone", "another user has this telephone number"),
    "users_partner_fkey": (UnknownReference, "partner_id", "no such partner"),
    "roles_code_key": (errors.RoleCodeTaken, "code", None),
    "assignments_in_force_key": (errors.AssignmentExists, "role", None),
    "assignments_business_unit_fkey": (UnknownReference, "business_unit_id", "no such business unit"),
}


@contextmanager
def refusing() -> Iterator[None]:
    """Turns a broken constraint into the refusal that it stands for. Citus adds a number to the name."""
    try:
        yield
    except IntegrityError as error:
        name = re.sub(r"_\d+$", "", error.diag.constraint_name or "")
        if name not in _BY_CONSTRAINT:
            raise
        refusal, param, detail = _BY_CONSTRAINT[name]
        raise refusal(detail, param=param) from None


class TenantFacts(NamedTuple):
    """What rules about people need to know of a tenant."""

    country: str
    """ISO 3166-1 alpha-2: national telephone numbers are read as this country's."""

    live: bool
    platform: bool


async def tenant_facts(connection: Connection, tenant_id: int) -> TenantFacts | None:
    """None: there is no such tenant."""
    row = await _queries.country(connection, tenant_id=tenant_id)
    return None if row is None else TenantFacts(*row)


async def insert_user(
    connection: Connection, tenant_id: int, user: User, person: Person, keys: TenantKeys
) -> None:
    """Writes a new user, invited, for a person who has just been made."""
    await _queries.insert_user(
        connection,
        tenant_id=tenant_id,
        id=user.id,
        person_id=person.id,
        partner_id=user.partner_id,
        now=user.created_at,
        created_by=user.created_by,
        **_sealed(user.names, person, keys),
    )


async def user(
    connection: Connection, vault: Vault, tenant_id: int, user_id: UUID, at: datetime, *, lock: bool = False
) -> User | None:
    """One user, deleted ones too; with `lock`, until the transaction ends."""
    query = _queries.lock_user if lock else _queries.user
    row = await query(connection, tenant_id=tenant_id, id=user_id, at=at)
    return None if row is None else (await _opened(connection, vault, tenant_id, [row]))[0]


async def users(
    connection: Connection,
    vault: Vault,
    tenant_id: int,
    *,
    status: UserStatus | None,
    partner_id: UUID | None,
    role: Role | None,
    business_unit_id: UUID | None,
    units: frozenset[UUID] | None,
    at: datetime,
    after: UUID | None,
    count: int,
) -> list[User]:
    """Users, newest first, deleted ones only if `status` says so."""
    rows = _queries.users(
        connection,
        tenant_id=tenant_id,
        status=status,
        partner_id=partner_id,
        business_unit_id=business_unit_id,
        units=None if units is None else list(units),
        at=at,
        after=after,
        count=count,
        **_role_columns(role),
    )
    return await _opened(connection, vault, tenant_id, [row async for row in rows])


async def user_named(
    connection: Connection, vault: Vault, tenant_id: int, names: Names, keys: TenantKeys, at: datetime
) -> User | None:
    """The user of the one user name, address or number that `names` holds."""
    assert names.can_sign_in, "without a name every user would fit"
    rows = _queries.users_named(
        connection,
        tenant_id=tenant_id,
        user_name=names.user_name,
        email_index=None if names.email is None else keys.blind("email", names.email),
        phone_index=None if names.phone is None else keys.blind("phone", names.phone),
        at=at,
    )
    found = await _opened(connection, vault, tenant_id, [row async for row in rows])
    return found[0] if found else None


async def person_of(connection: Connection, vault: Vault, tenant_id: int, user: User) -> Person | None:
    """The key of a user's personal data; None: erased."""
    return (await vault.people(connection, tenant_id, [user.person_id])).get(user.person_id)


async def name_user(
    connection: Connection,
    tenant_id: int,
    user_id: UUID,
    names: Names,
    person: Person,
    keys: TenantKeys,
    at: datetime,
) -> None:
    """Gives a locked user other names; an address or number that is another is no longer verified."""
    await _queries.name_user(
        connection, tenant_id=tenant_id, id=user_id, now=at, **_sealed(names, person, keys)
    )


async def move_user(
    connection: Connection, tenant_id: int, user_id: UUID, to: UserStatus, at: datetime
) -> None:
    """Takes a locked user to another state."""
    deleted_at = at if to is UserStatus.DELETED else None
    await _queries.move_user(
        connection, tenant_id=tenant_id, id=user_id, status=to, deleted_at=deleted_at, now=at
    )


async def end_sessions(connection: Connection, tenant_id: int, user_id: UUID, at: datetime) -> None:
    """Ends all sessions of a user who may no longer sign in."""
    await _queries.end_sessions(
        connection, tenant_id=tenant_id, user_id=user_id, reason="user_disabled", now=at
    )


async def roles(
    connection: Connection, tenant_id: int, *, platform: bool, after: str | None, count: int
) -> list[Role]:
    """Built-in roles, the platform's only if asked for, and the tenant's own, in order of codes."""
    rows = _queries.roles(connection, tenant_id=tenant_id, platform=platform, after=after, count=count)
    return [_role(row) async for row in rows]


async def role(connection: Connection, tenant_id: int, code: str, *, lock: bool = False) -> Role | None:
    """One role. An own one cannot be changed by others until the transaction ends; `lock` to change it."""
    row = await _queries.built_in_role(connection, code=code)
    if row is None:
        query = _queries.lock_own_role if lock else _queries.own_role
        row = await query(connection, tenant_id=tenant_id, code=code)
    return None if row is None else _role(row)


async def insert_role(connection: Connection, tenant_id: int, role: Role) -> None:
    """Writes a new role of the tenant's own."""
    await _queries.insert_role(
        connection,
        tenant_id=tenant_id,
        id=role.id,
        code=role.code,
        name=role.name,
        description=role.description,
        permissions=list(role.permissions),
        now=role.created_at,
        created_by=role.created_by,
    )


async def update_role(
    connection: Connection, tenant_id: int, role: Role, at: datetime, *, deleted: bool = False
) -> None:
    """Writes a locked role back, or marks it deleted."""
    await _queries.update_role(
        connection,
        tenant_id=tenant_id,
        id=role.id,
        name=role.name,
        description=role.description,
        permissions=list(role.permissions),
        deleted_at=at if deleted else None,
        now=at,
    )


async def role_holders(connection: Connection, tenant_id: int, role_id: UUID, at: datetime) -> int:
    """How many assignments of an own role are in force."""
    return int(await _queries.role_holders(connection, tenant_id=tenant_id, role_id=role_id, at=at))


async def insert_assignment(
    connection: Connection, tenant_id: int, assignment: Assignment, role: Role
) -> None:
    """Gives a role."""
    await _queries.insert_assignment(
        connection,
        tenant_id=tenant_id,
        id=assignment.id,
        user_id=assignment.user_id,
        business_unit_id=assignment.business_unit_id,
        expires_at=assignment.expires_at,
        now=assignment.assigned_at,
        assigned_by=assignment.assigned_by,
        **_role_columns(role),
    )


async def assignment(connection: Connection, tenant_id: int, assignment_id: UUID) -> Assignment | None:
    """One assignment, ended ones too."""
    row = await _queries.assignment(connection, tenant_id=tenant_id, id=assignment_id)
    return None if row is None else Assignment(*row)


async def assignments(
    connection: Connection,
    tenant_id: int,
    *,
    user_id: UUID | None,
    role: Role | None,
    business_unit_id: UUID | None,
    partner_id: UUID | None,
    units: frozenset[UUID] | None,
    ended: bool,
    at: datetime,
    after: UUID | None,
    count: int,
) -> list[Assignment]:
    """Assignments in force, or those that have ended, newest first."""
    rows = _queries.assignments(
        connection,
        tenant_id=tenant_id,
        user_id=user_id,
        business_unit_id=business_unit_id,
        partner_id=partner_id,
        units=None if units is None else list(units),
        ended=ended,
        at=at,
        after=after,
        count=count,
        **_role_columns(role),
    )
    return [Assignment(*row) async for row in rows]


async def held(connection: Connection, tenant_id: int, user_id: UUID, at: datetime) -> list[Held]:
    """What each of a user's roles in force allows, and where."""
    rows = _queries.held(connection, tenant_id=tenant_id, user_id=user_id, at=at)
    return [(unit_id, frozenset(permissions)) async for unit_id, permissions in rows]


async def end_assignments(
    connection: Connection,
    tenant_id: int,
    user_id: UUID,
    at: datetime,
    by: str,
    *,
    only: UUID | None = None,
) -> None:
    """Ends the assignments of a locked user, or only one of them."""
    await _queries.end_assignments(
        connection, tenant_id=tenant_id, user_id=user_id, id=only, now=at, ended_by=by
    )


async def end_expired(connection: Connection, tenant_id: int, user_id: UUID, at: datetime) -> None:
    """Marks a locked user's expired assignments as ended."""
    await _queries.end_expired(connection, tenant_id=tenant_id, user_id=user_id, now=at)


async def keep_unit(connection: Connection, tenant_id: int, unit_id: UUID) -> bool:
    """Keeps a business unit where it is until the transaction ends. False: there is none."""
    return await _queries.keep_unit(connection, tenant_id=tenant_id, id=unit_id) is not None


class Administrator(NamedTuple):
    """An assignment that makes a tenant administrator."""

    assignment_id: UUID
    user_id: UUID
    expires_at: datetime | None


async def administrators(
    connection: Connection, tenant_id: int, code: str, at: datetime
) -> list[Administrator]:
    """Who has this built-in role in the whole tenant and can sign in."""
    rows = _queries.administrators(connection, tenant_id=tenant_id, built_in=code, at=at)
    return [Administrator(*row) async for row in rows]


def _role(row: Sequence[Any]) -> Role:
    role_id, code, name, description, permissions, *rest = row
    return Role(role_id, code, name, description, tuple(permissions), *rest)


def _role_columns(role: Role | None) -> dict[str, Any]:
    """The two columns that name a role: one is null."""
    if role is None:
        return {"built_in": None, "role_id": None}
    return {"built_in": role.code if role.built_in else None, "role_id": role.id}


def _sealed(names: Names, person: Person, keys: TenantKeys) -> dict[str, Any]:
    def seal(name: str, value: str | None) -> bytes | None:
        return None if value is None else person.seal(name, value)

    def blind(kind: str, value: str | None) -> bytes | None:
        return None if value is None else keys.blind(kind, value)

    return {
        "user_name": names.user_name,
        "name_sealed": seal("name", names.name),
        "email_sealed": seal("email", names.email),
        "email_index": blind("email", names.email),
        "phone_sealed": seal("phone", names.phone),
        "phone_index": blind("phone", names.phone),
    }


async def _opened(
    connection: Connection, vault: Vault, tenant_id: int, rows: Sequence[Sequence[Any]]
) -> list[User]:
    people = await vault.people(connection, tenant_id, [row[1] for row in rows]) if rows else {}
    return [_user(row, people.get(row[1])) for row in rows]


def _user(row: Sequence[Any], person: Person | None) -> User:
    id, person_id, partner_id, status, user_name, name, email, phone, email_at, phone_at, *made, homes = row

    def opened(field: str, sealed: bytes | None) -> str | None:
        return None if person is None or sealed is None else person.open(field, bytes(sealed))

    names = Names(user_name, opened("name", name), opened("email", email), opened("phone", phone))
    created_at, created_by, updated_at, deleted_at = made
    return User(
        id=id,
        person_id=person_id,
        partner_id=partner_id,
        status=UserStatus(status),
        names=names,
        email_verified_at=email_at,
        phone_verified_at=phone_at,
        created_at=created_at,
        created_by=created_by,
        updated_at=updated_at,
        deleted_at=deleted_at,
        homes=tuple(homes or ()),
    )

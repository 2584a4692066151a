"""Use cases of assignments: who has which role, where and until when. Each is one transaction."""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from florin.access.people import policy, store
from florin.access.people.errors import (
    AssignmentNotFound,
    RoleNotFound,
    UserNotFound,
    UserStateConflict,
)
from florin.access.people.model import (
    PLATFORM_ADMIN,
    TENANT_ADMIN,
    Assignment,
    Grant,
    Role,
    User,
    UserStatus,
)
from florin.access.people.policy import Actor
from florin.access.people.room import People
from florin.access.people.store import Administrator, TenantFacts
from florin.kernel.clock import now
from florin.kernel.db import Connection
from florin.kernel.ids import new_id
from florin.tenancy import store as tenancy_store
from florin.tenancy.errors import TenantNotFound, UnknownReference


async def assign(people: People, tenant_id: int, user_id: UUID, grant: Grant, *, by: Actor) -> Assignment:
    """Gives a user a role. The user's row is locked, and the role stays what it is meanwhile.

    Raises:
        UnknownReference: no such user, role or business unit, as far as the actor sees.
        UserStateConflict: the user is deleted.
        AssignmentExists: he has the role there.
        BeyondOwnPermissions: the role allows what the actor may not do there himself.
        OwnAssignments: the actor means himself.
        Forbidden: the whole tenant, of somebody confined to business units.
        InvalidRequest: it would expire in the past, or in more than 100 years.
    """
    at = now()
    with store.refusing():
        async with people.database.tenant(tenant_id) as connection:
            facts = await facts_of(connection, tenant_id)
            user = await store.user(connection, people.vault, tenant_id, user_id, at, lock=True)
            if user is None or not policy.sees(by, user):
                raise UnknownReference("no such user", param="user_id")
            role = await check_grant(connection, tenant_id, user, grant, facts, by=by, at=at)
            await store.end_expired(connection, tenant_id, user.id, at)
            made = await write_grant(connection, tenant_id, user, grant, role, by=by, at=at)
    people.changed(tenant_id)
    return made


async def check_grant(
    connection: Connection,
    tenant_id: int,
    user: User,
    grant: Grant,
    facts: TenantFacts,
    *,
    by: Actor,
    at: datetime,
    within: str = "",
) -> Role:
    """The role to be given, if it may be; refuses as `assign` does.

    It and the business unit stay what they are until the transaction ends. Call it before anything is
    written: a write locks the end of the audit log, and whoever changes a role has locked the role before.

    `within`: the field of the request that holds the grant, such as `assignments[0].`.
    """
    policy.check_not_himself(by, user.id)
    if user.status is UserStatus.DELETED:
        raise UserStateConflict("the user is DELETED")
    policy.check_place(by, grant.business_unit_id)
    policy.check_expiry(grant.expires_at, at)
    role = await store.role(connection, tenant_id, grant.role)
    if role is None or (role.platform and not facts.platform):
        raise UnknownReference("no such role", param=f"{within}role")
    policy.check_gives(by, role.permissions, grant.business_unit_id, param=f"{within}role")
    if grant.business_unit_id is not None and not await store.keep_unit(
        connection, tenant_id, grant.business_unit_id
    ):
        raise UnknownReference("no such business unit", param=f"{within}business_unit_id")
    return role


async def write_grant(
    connection: Connection,
    tenant_id: int,
    user: User,
    grant: Grant,
    role: Role,
    *,
    by: Actor,
    at: datetime,
) -> Assignment:
    """Gives a locked user a role that `check_grant` has let pass."""
    made = Assignment(
        id=new_id(),
        user_id=user.id,
        role=role.code,
        business_unit_id=grant.business_unit_id,
        expires_at=grant.expires_at,
        assigned_at=at,
        assigned_by=by.name,
        ended_at=None,
        ended_by=None,
    )
    await store.insert_assignment(connection, tenant_id, made, role)
    return made


async def get_assignment(people: People, tenant_id: int, assignment_id: UUID, *, by: Actor) -> Assignment:
    """One assignment, ended or not, of a user whom the actor sees. Raises AssignmentNotFound."""
    at = now()
    async with people.database.tenant(tenant_id) as connection:
        found = await store.assignment(connection, tenant_id, assignment_id)
        user = found and await store.user(connection, people.vault, tenant_id, found.user_id, at)
    if not found or not user or not _sees(by, found, user):
        raise AssignmentNotFound
    return found


async def list_assignments(
    people: People,
    tenant_id: int,
    *,
    by: Actor,
    user_id: UUID | None = None,
    role: str | None = None,
    business_unit_id: UUID | None = None,
    ended: bool = False,
    after: UUID | None = None,
    count: int = 100,
) -> list[Assignment]:
    """Up to `count` assignments in force, or with `ended` those that are not, newest first.

    Raises:
        RoleNotFound: no role has the code.
    """
    async with people.database.tenant(tenant_id) as connection:
        known = None if role is None else await store.role(connection, tenant_id, role)
        if role is not None and known is None:
            raise RoleNotFound(param="role")
        return await store.assignments(
            connection,
            tenant_id,
            user_id=user_id,
            role=known,
            business_unit_id=business_unit_id,
            partner_id=by.partner_id,
            units=by.within,
            ended=ended,
            at=now(),
            after=after,
            count=count,
        )


async def end_assignment(people: People, tenant_id: int, assignment_id: UUID, *, by: Actor) -> Assignment:
    """Takes a role away. The tenant's and the user's row are locked. Twice is as once.

    Raises:
        AssignmentNotFound: no such assignment, or of a user whom the actor does not see.
        BeyondOwnPermissions: the user may do what the actor may not.
        LastAdministrator: it is the last tenant administrator of a live tenant.
    """
    at = now()
    async with people.database.tenant(tenant_id) as connection:
        facts = await facts_of(connection, tenant_id)
        await tenancy_store.lock_tenant(connection, tenant_id)
        found = await store.assignment(connection, tenant_id, assignment_id)
        if found is None:
            raise AssignmentNotFound
        user = await store.user(connection, people.vault, tenant_id, found.user_id, at, lock=True)
        found = await store.assignment(connection, tenant_id, assignment_id)
        if user is None or found is None or not _sees(by, found, user):
            raise AssignmentNotFound
        if not found.in_force(at):
            return found
        policy.check_outranks(by, await store.held(connection, tenant_id, user.id, at))
        await keep_administrator(
            connection, tenant_id, facts, at, losing=lambda one: one.assignment_id == assignment_id
        )
        await store.end_assignments(connection, tenant_id, user.id, at, by.name, only=assignment_id)
        found = await store.assignment(connection, tenant_id, assignment_id)
    people.changed(tenant_id)
    assert found is not None, "assignments are never deleted"
    return found


async def keep_administrator(
    connection: Connection,
    tenant_id: int,
    facts: TenantFacts,
    at: datetime,
    *,
    losing: Callable[[Administrator], bool],
) -> None:
    """Refuses to let these go if a live tenant's last administrator is among them.

    The caller has locked the tenant. Raises LastAdministrator.
    """
    if not facts.live:
        return
    code = PLATFORM_ADMIN if facts.platform else TENANT_ADMIN
    there = await store.administrators(connection, tenant_id, code, at)
    lost = [one.expires_at for one in there if losing(one)]
    if lost:
        longest = None if None in lost else max(one for one in lost if one is not None)
        policy.check_administrators(longest, [one.expires_at for one in there if not losing(one)])


async def facts_of(connection: Connection, tenant_id: int) -> TenantFacts:
    """What rules need to know of the tenant. Raises TenantNotFound."""
    facts = await store.tenant_facts(connection, tenant_id)
    if facts is None:
        raise TenantNotFound(f"there is no tenant {tenant_id}")
    return facts


async def managed_user(
    connection: Connection,
    people: People,
    tenant_id: int,
    user_id: UUID,
    *,
    by: Actor,
    at: datetime,
    lock: bool = False,
) -> User:
    """A user whom the actor sees; with `lock`, until the transaction ends. Raises UserNotFound."""
    user = await store.user(connection, people.vault, tenant_id, user_id, at, lock=lock)
    if user is None or not policy.sees(by, user):
        raise UserNotFound
    return user


def _sees(by: Actor, assignment: Assignment, user: User) -> bool:
    return policy.sees(by, user) and (by.within is None or assignment.business_unit_id in by.within)

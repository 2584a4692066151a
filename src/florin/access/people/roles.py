"""Use cases of roles: the built-in ones are read, a tenant's own are made, changed and deleted."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from florin.access.people import policy, store
from florin.access.people.assignments import facts_of
from florin.access.people.errors import OwnAssignments, RoleBuiltIn, RoleCodeTaken, RoleInUse, RoleNotFound
from florin.access.people.model import Role
from florin.access.people.policy import Actor
from florin.access.people.room import People
from florin.kernel.clock import now
from florin.kernel.db import Connection
from florin.kernel.ids import new_id


async def list_roles(
    people: People, tenant_id: int, *, after: str | None = None, count: int = 100
) -> list[Role]:
    """Up to `count` roles that a tenant's users can have, in order of codes, `after` one of them."""
    async with people.database.tenant(tenant_id) as connection:
        facts = await facts_of(connection, tenant_id)
        return await store.roles(connection, tenant_id, platform=facts.platform, after=after, count=count)


async def get_role(people: People, tenant_id: int, code: str) -> Role:
    """One role. Raises RoleNotFound."""
    async with people.database.tenant(tenant_id) as connection:
        facts = await facts_of(connection, tenant_id)
        role = await store.role(connection, tenant_id, code)
    if role is None or (role.platform and not facts.platform):
        raise RoleNotFound
    return role


async def create_role(
    people: People,
    tenant_id: int,
    *,
    code: str,
    name: str,
    description: str,
    permissions: list[str],
    by: Actor,
) -> Role:
    """A role of the tenant's own.

    Raises:
        RoleCodeTaken: a built-in role, or another of the tenant's, has the code.
        UnknownPermission: there is no such permission, or it is the platform's.
        BeyondOwnPermissions: the actor does not have one of them in the whole tenant.
    """
    at = now()
    with store.refusing():
        async with people.database.tenant(tenant_id) as connection:
            facts = await facts_of(connection, tenant_id)
            checked = policy.check_permissions(permissions, platform=facts.platform)
            policy.check_gives(by, checked, None, param="permissions")
            if (there := await store.role(connection, tenant_id, code)) is not None:
                raise RoleCodeTaken(
                    f"{there.code} is {'a built-in' if there.built_in else 'another'} role", param="code"
                )
            role = Role(new_id(), code, name, description, checked, False, at, by.name, at)
            await store.insert_role(connection, tenant_id, role)
    return role


async def change_role(
    people: People, tenant_id: int, code: str, changes: Mapping[str, Any], *, by: Actor
) -> Role:
    """Changes name, description or permissions of an own role, whose row is locked. Holders feel it at once.

    Raises:
        RoleNotFound, RoleBuiltIn: no such role, or nobody's to change.
        UnknownPermission: as in `create_role`.
        BeyondOwnPermissions: the role has, or is to have, what the actor does not have.
        OwnAssignments: the actor has the role, and would add to it.
    """
    at = now()
    async with people.database.tenant(tenant_id) as connection:
        facts = await facts_of(connection, tenant_id)
        role = await _own_role(connection, tenant_id, code)
        changed = replace(role, **{**changes, "updated_at": at})
        if "permissions" in changes:
            checked = policy.check_permissions(changes["permissions"], platform=facts.platform)
            changed = replace(changed, permissions=checked)
        policy.check_gives(by, {*role.permissions, *changed.permissions}, None, param="permissions")
        if not set(changed.permissions) <= set(role.permissions) and await _has(
            connection, tenant_id, by.user_id, role
        ):
            raise OwnAssignments("nobody adds to a role of his own", param="permissions")
        await store.update_role(connection, tenant_id, changed, at)
    people.changed(tenant_id)
    return changed


async def delete_role(people: People, tenant_id: int, code: str, *, by: Actor) -> None:
    """Deletes an own role that nobody has; its row is locked. Its code is free.

    Raises:
        RoleNotFound, RoleBuiltIn: no such role, or nobody's to delete.
        RoleInUse: somebody has it.
        BeyondOwnPermissions: it has what the actor does not have.
    """
    at = now()
    async with people.database.tenant(tenant_id) as connection:
        role = await _own_role(connection, tenant_id, code)
        policy.check_gives(by, role.permissions, None, param="role_code")
        assert role.id is not None, "it is not built in"
        holders = await store.role_holders(connection, tenant_id, role.id, at)
        if holders:
            raise RoleInUse(f"{holders} assignments of this role are in force: end them first")
        await store.update_role(connection, tenant_id, role, at, deleted=True)


async def _own_role(connection: Connection, tenant_id: int, code: str) -> Role:
    role = await store.role(connection, tenant_id, code, lock=True)
    if role is None:
        raise RoleNotFound
    if role.built_in:
        raise RoleBuiltIn
    return role


async def _has(connection: Connection, tenant_id: int, user_id: UUID | None, role: Role) -> bool:
    return user_id is not None and bool(
        await store.assignments(
            connection,
            tenant_id,
            user_id=user_id,
            role=role,
            business_unit_id=None,
            partner_id=None,
            units=None,
            ended=False,
            at=now(),
            after=None,
            count=1,
        )
    )

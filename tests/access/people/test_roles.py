"""Roles: the built-in ones, and a tenant's own."""

import asyncio
from uuid import UUID

import psycopg
import pytest

from florin.access.people.assignments import assign, end_assignment, list_assignments
from florin.access.people.errors import (
    BeyondOwnPermissions,
    OwnAssignments,
    RoleBuiltIn,
    RoleCodeTaken,
    RoleInUse,
    RoleNotFound,
    UnknownPermission,
)
from florin.access.people.model import Grant, Role
from florin.access.people.policy import Actor
from florin.access.people.roles import change_role, create_role, delete_role, get_role, list_roles
from florin.access.people.room import People
from florin.kernel.permissions import unknown
from tests.access.people.conftest import OPERATOR, MakeUser, actor_of, principal_of


async def a_role(people: People, tenant_id: int, code: str, *permissions: str, by: Actor = OPERATOR) -> Role:
    return await create_role(
        people, tenant_id, code=code, name=code, description="", permissions=list(permissions), by=by
    )


async def test_built_in_roles_ask_for_permissions_that_there_are(people: People, tenant_id: int) -> None:
    built_in = await list_roles(people, tenant_id)
    assert {"tenant_admin", "operator", "viewer", "distributor", "vendor"} <= {one.code for one in built_in}
    assert "platform_admin" not in {one.code for one in built_in}, "that is for the tenant PLATFORM"
    for role in built_in:
        assert role.built_in
        assert unknown(role.permissions) == []
    with pytest.raises(RoleNotFound):
        await get_role(people, tenant_id, "platform_admin")


async def test_an_own_role_is_made_listed_changed_and_deleted(people: People, tenant_id: int) -> None:
    made = await a_role(people, tenant_id, "desk", "refunds:write", "refunds:read", "refunds:read")
    assert made.permissions == ("refunds:read", "refunds:write")
    assert await get_role(people, tenant_id, "desk") == made
    codes = [one.code for one in await list_roles(people, tenant_id)]
    assert codes == sorted(codes)
    assert [one.code for one in await list_roles(people, tenant_id, after="customer", count=2)] == [
        "desk",
        "distributor",
    ]
    changed = await change_role(
        people, tenant_id, "desk", {"name": "Desk", "permissions": ["refunds:*"]}, by=OPERATOR
    )
    assert (changed.name, changed.permissions) == ("Desk", ("refunds:*",))
    await delete_role(people, tenant_id, "desk", by=OPERATOR)
    with pytest.raises(RoleNotFound):
        await get_role(people, tenant_id, "desk")
    assert (await a_role(people, tenant_id, "desk")).permissions == (), "its code is free again"


@pytest.mark.parametrize("code", ["viewer", "platform_admin", "desk"])
async def test_a_code_is_taken_once_and_by_built_in_roles_for_good(
    people: People, tenant_id: int, code: str
) -> None:
    await a_role(people, tenant_id, "desk")
    with pytest.raises(RoleCodeTaken):
        await a_role(people, tenant_id, code)
    with pytest.raises(psycopg.errors.UniqueViolation):
        async with people.database.tenant(tenant_id) as connection:
            await connection.execute(
                "INSERT INTO access.roles SELECT tenant_id, kernel.uuidv7(), %s, name, description,"
                " permissions, created_at, created_by, updated_at FROM access.roles",
                (code,),
            )


async def test_of_two_who_make_one_role_at_once_one_wins(people: People, tenant_id: int) -> None:
    outcomes = await asyncio.gather(
        *(a_role(people, tenant_id, "desk") for _ in range(4)), return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in outcomes) == ["Role", *["RoleCodeTaken"] * 3]


@pytest.mark.parametrize("wrong", ["payments:delete", "everything", "platform:read", "platform:*", ""])
async def test_a_permission_that_there_is_not_here_is_refused(
    people: People, tenant_id: int, wrong: str
) -> None:
    with pytest.raises(UnknownPermission) as refused:
        await a_role(people, tenant_id, "desk", "payments:read", wrong)
    assert refused.value.param == "permissions"


async def test_the_database_keeps_the_platforms_permissions_to_the_platform(
    people: People, tenant_id: int, user: MakeUser
) -> None:
    await a_role(people, tenant_id, "desk")
    made = await user()
    for statement in (
        "UPDATE access.roles SET permissions = '{platform:write}'",
        "INSERT INTO access.assignments (tenant_id, id, user_id, built_in, assigned_at, assigned_by)"
        f" VALUES ({tenant_id}, kernel.uuidv7(), '{made.id}', 'platform_admin', now(), 'x')",
    ):
        with pytest.raises(psycopg.errors.CheckViolation):
            async with people.database.tenant(tenant_id) as connection:
                await connection.execute(statement.encode())


async def test_a_built_in_role_is_nobodys_to_change(people: People, tenant_id: int) -> None:
    with pytest.raises(RoleBuiltIn):
        await change_role(people, tenant_id, "viewer", {"name": "x"}, by=OPERATOR)
    with pytest.raises(RoleBuiltIn):
        await delete_role(people, tenant_id, "viewer", by=OPERATOR)


async def test_nobody_puts_into_a_role_or_takes_out_of_it_what_he_does_not_have(
    people: People, tenant_id: int, user: MakeUser
) -> None:
    await a_role(people, tenant_id, "clerk", "roles:write", "payments:read")
    await a_role(people, tenant_id, "strong", "ledger:write")
    by = await actor_of(people, tenant_id, (await user(Grant("clerk"))).id, needs="roles:write")
    for permission in ("payments:write", "payments:*", "*"):
        with pytest.raises(BeyondOwnPermissions):
            await a_role(people, tenant_id, "mine", permission, by=by)
    await a_role(people, tenant_id, "mine", "payments:read", by=by)
    for code, changes in (
        ("mine", {"permissions": ["payments:read", "ledger:write"]}),
        ("strong", {"permissions": []}),
        ("strong", {"name": "weak"}),
    ):
        with pytest.raises(BeyondOwnPermissions):
            await change_role(people, tenant_id, code, changes, by=by)
    with pytest.raises(BeyondOwnPermissions):
        await delete_role(people, tenant_id, "strong", by=by)
    await delete_role(people, tenant_id, "mine", by=by)


async def test_nobody_adds_to_a_role_of_his_own(people: People, tenant_id: int, user: MakeUser) -> None:
    """What he has until Friday would be his for good."""
    await a_role(people, tenant_id, "clerk", "roles:write")
    clerk = await user(Grant("clerk"), Grant("operator"))
    by = await actor_of(people, tenant_id, clerk.id, needs="roles:write")
    with pytest.raises(OwnAssignments):
        await change_role(
            people, tenant_id, "clerk", {"permissions": ["roles:write", "refunds:write"]}, by=by
        )
    less = await change_role(people, tenant_id, "clerk", {"permissions": []}, by=by)
    assert less.permissions == ()


async def test_a_role_in_use_is_not_deleted(people: People, tenant_id: int, user: MakeUser) -> None:
    await a_role(people, tenant_id, "desk", "refunds:read")
    await user(Grant("desk"))
    with pytest.raises(RoleInUse):
        await delete_role(people, tenant_id, "desk", by=OPERATOR)
    [held] = await list_assignments(people, tenant_id, by=OPERATOR, role="desk")
    await end_assignment(people, tenant_id, held.id, by=OPERATOR)
    await delete_role(people, tenant_id, "desk", by=OPERATOR)


async def test_a_role_that_is_deleted_while_it_is_given_is_given_to_nobody_or_not_deleted(
    people: People, tenant_id: int, user: MakeUser
) -> None:
    target = await user()

    async def race(number: int) -> None:
        code = f"desk{number}"
        await a_role(people, tenant_id, code, "refunds:read")
        given, deleted = await asyncio.gather(
            assign(people, tenant_id, target.id, Grant(code), by=OPERATOR),
            delete_role(people, tenant_id, code, by=OPERATOR),
            return_exceptions=True,
        )
        assert isinstance(given, Exception) != isinstance(deleted, Exception)

    for number in range(5):
        await race(number)


async def test_whoever_has_a_role_feels_its_change(people: People, tenant_id: int, user: MakeUser) -> None:
    await a_role(people, tenant_id, "desk", "refunds:read")
    made: UUID = (await user(Grant("desk"))).id
    assert (await principal_of(people, tenant_id, made)).scopes == {"refunds:read"}
    await change_role(people, tenant_id, "desk", {"permissions": ["payments:read"]}, by=OPERATOR)
    assert (await principal_of(people, tenant_id, made)).scopes == {"payments:read"}

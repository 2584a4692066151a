"""Users as the service makes, finds, changes and ends them."""

import asyncio
from datetime import timedelta
from uuid import UUID

import psycopg
import pytest

from florin.access.people.assignments import list_assignments
from florin.access.people.errors import (
    BeyondOwnPermissions,
    LastAdministrator,
    NothingToSignInWith,
    UserExists,
    UserNotFound,
    UserStateConflict,
)
from florin.access.people.model import MOVES, Grant, User, UserStatus
from florin.access.people.room import People
from florin.access.people.users import (
    change_user,
    create_user,
    delete_user,
    find_user,
    get_user,
    list_users,
    reactivate_user,
    suspend_user,
)
from florin.kernel.clock import now
from florin.kernel.errors import InvalidRequest
from florin.kernel.ids import new_id
from florin.tenancy.errors import UnknownReference
from florin.tenancy.model import Partner
from tests.access.people.conftest import OPERATOR, MakeUnit, MakeUser, actor_of


async def sql(people: People, tenant_id: int, statement: str, *values: object) -> list[tuple[object, ...]]:
    async with people.database.tenant(tenant_id) as connection:
        cursor = await connection.execute(statement.encode(), values)
        return [] if cursor.description is None else await cursor.fetchall()


async def become(people: People, tenant_id: int, user_id: UUID, status: str) -> None:
    await sql(
        people,
        tenant_id,
        "UPDATE access.users SET status = %s, deleted_at = CASE %s WHEN 'DELETED' THEN now() END"
        " WHERE id = %s",
        status,
        status,
        user_id,
    )


async def test_a_new_user_is_invited_and_his_names_are_normalised(people: People, tenant_id: int) -> None:
    made = await create_user(
        people,
        tenant_id,
        {
            "user_name": "Ann.Smith",
            "name": " Ann Smith ",
            "email": "Ann@SHOP.example",
            "phone": "011 555 0100",
        },
        by=OPERATOR,
    )
    found = await get_user(people, tenant_id, made.id, by=OPERATOR)
    assert found == made
    assert found.status is UserStatus.INVITED
    assert (found.names.user_name, found.names.name) == ("ann.smith", "Ann Smith")
    assert (found.names.email, found.names.phone) == ("ann@shop.example", "+27115550100")


async def test_nothing_personal_stands_readable_in_the_database_or_its_audit_log(
    people: People, tenant_id: int
) -> None:
    await create_user(
        people,
        tenant_id,
        {"name": "Zebulon Quist", "email": "zebulon.quist@shop.example", "phone": "+27825550123"},
        by=OPERATOR,
    )
    rows = await sql(people, tenant_id, "SELECT u::text FROM access.users u")
    log = await sql(people, tenant_id, "SELECT l::text FROM audit.log l")
    assert "user" in str(log)
    for hidden in ("ebulon", "uist", "825550123"):
        assert hidden not in str(rows) + str(log)
    for hidden in (text.encode().hex() for text in ("Zebulon", "quist@", "825550123")):
        assert hidden not in str(rows) + str(log)


async def test_a_user_without_anything_to_sign_in_with_is_refused(people: People, tenant_id: int) -> None:
    with pytest.raises(NothingToSignInWith):
        await create_user(people, tenant_id, {"name": "Ann"}, by=OPERATOR)


@pytest.mark.parametrize("field", ["user_name", "email", "phone"])
async def test_what_is_no_name_is_refused_with_its_field(people: People, tenant_id: int, field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await create_user(people, tenant_id, {"user_name": "ann.ok", field: "!"}, by=OPERATOR)
    assert refused.value.param == field


@pytest.mark.parametrize(
    ("field", "first", "second"),
    [
        ("user_name", "ann.smith", "ANN.Smith"),
        ("email", "ann@shop.example", "Ann@Shop.Example"),
        ("phone", "+27115550100", "(011) 555 0100"),
    ],
)
async def test_each_name_is_once_per_tenant_however_it_is_spelt(
    people: People, tenant_id: int, field: str, first: str, second: str
) -> None:
    made = await create_user(people, tenant_id, {field: first}, by=OPERATOR)
    with pytest.raises(UserExists) as refused:
        await create_user(people, tenant_id, {field: second}, by=OPERATOR)
    assert refused.value.param == field
    await delete_user(people, tenant_id, made.id, by=OPERATOR)
    assert await create_user(people, tenant_id, {field: second}, by=OPERATOR)


async def test_of_two_who_take_one_address_at_once_one_wins(people: People, tenant_id: int) -> None:
    outcomes = await asyncio.gather(
        *(create_user(people, tenant_id, {"email": "ann@shop.example"}, by=OPERATOR) for _ in range(5)),
        return_exceptions=True,
    )
    assert sum(isinstance(one, User) for one in outcomes) == 1
    assert sum(isinstance(one, UserExists) for one in outcomes) == 4
    [(made,)] = await sql(people, tenant_id, "SELECT count(*) FROM kernel.people")
    assert made == 1, "a refused user leaves no person behind"


async def test_a_user_with_a_role_that_is_refused_is_not_made(people: People, tenant_id: int) -> None:
    with pytest.raises(UnknownReference) as refused:
        await create_user(
            people,
            tenant_id,
            {"email": "ann@shop.example"},
            by=OPERATOR,
            grants=[Grant("viewer"), Grant("no_such_role")],
        )
    assert refused.value.param == "assignments[1].role"
    assert await find_user(people, tenant_id, {"email": "ann@shop.example"}, by=OPERATOR) is None


async def test_a_partners_user_is_found_by_his_partner_and_never_becomes_the_tenants(
    people: People, tenant_id: int, shop: Partner, user: MakeUser
) -> None:
    made = await user(partner_id=shop.id)
    other = await user()
    found = await list_users(people, tenant_id, by=OPERATOR, partner_id=shop.id)
    assert [one.id for one in found] == [made.id]
    assert other.id in [one.id for one in await list_users(people, tenant_id, by=OPERATOR)]
    with pytest.raises(psycopg.errors.RestrictViolation):
        await sql(people, tenant_id, "UPDATE access.users SET partner_id = NULL WHERE id = %s", made.id)
    with pytest.raises(UnknownReference):
        await user(partner_id=new_id())


async def test_users_are_listed_by_status_role_and_unit(
    people: People, tenant_id: int, user: MakeUser, unit: MakeUnit
) -> None:
    south = await unit()
    viewer, admin = await user(Grant("viewer")), await user(Grant("business_unit_admin", south))
    gone = await user(Grant("viewer"))
    await delete_user(people, tenant_id, gone.id, by=OPERATOR)

    async def ids(**filters: object) -> list[UUID]:
        return [one.id for one in await list_users(people, tenant_id, by=OPERATOR, **filters)]  # type: ignore[arg-type]

    assert await ids() == [admin.id, viewer.id]
    assert await ids(role="viewer") == [viewer.id]
    assert await ids(business_unit_id=south) == [admin.id]
    assert await ids(business_unit_id=south, role="viewer") == []
    assert await ids(status=UserStatus.DELETED) == [gone.id]
    assert await ids(after=admin.id) == [viewer.id]
    assert await ids(count=1) == [admin.id]


async def test_a_user_is_found_by_each_of_his_names_and_by_one_at_a_time(
    people: People, tenant_id: int
) -> None:
    made = await create_user(
        people,
        tenant_id,
        {"user_name": "ann.smith", "email": "ann@shop.example", "phone": "+27115550100"},
        by=OPERATOR,
    )
    for names in ({"user_name": "Ann.Smith"}, {"email": "ANN@shop.example"}, {"phone": "011 555 0100"}):
        found = await find_user(people, tenant_id, names, by=OPERATOR)
        assert found is not None
        assert found.id == made.id
    assert await find_user(people, tenant_id, {"user_name": "bob"}, by=OPERATOR) is None
    for wrong in ({}, {"user_name": "bob", "email": "ann@shop.example"}):
        with pytest.raises(InvalidRequest):
            await find_user(people, tenant_id, wrong, by=OPERATOR)


async def test_another_address_has_to_be_verified_anew_and_the_same_does_not(
    people: People, tenant_id: int, user: MakeUser
) -> None:
    made = await user(email="ann@shop.example", phone="+27115550100")
    await sql(
        people, tenant_id, "UPDATE access.users SET email_verified_at = now(), phone_verified_at = now()"
    )
    same = await change_user(
        people, tenant_id, made.id, {"email": "Ann@shop.example", "name": "Ann"}, by=OPERATOR
    )
    assert same.email_verified_at is not None
    assert same.names.name == "Ann"
    other = await change_user(people, tenant_id, made.id, {"email": "bob@shop.example"}, by=OPERATOR)
    assert other.email_verified_at is None
    assert other.phone_verified_at is not None
    emptied = await change_user(people, tenant_id, made.id, {"phone": None}, by=OPERATOR)
    assert (emptied.names.phone, emptied.phone_verified_at) == (None, None)
    with pytest.raises(NothingToSignInWith):
        await change_user(people, tenant_id, made.id, {"email": None}, by=OPERATOR)


async def test_suspending_ends_sessions_and_keeps_roles_and_deleting_ends_both(
    people: People, tenant_id: int, user: MakeUser
) -> None:
    made = await user(Grant("viewer"))
    await become(people, tenant_id, made.id, "ACTIVE")

    async def session() -> None:
        await sql(
            people,
            tenant_id,
            "INSERT INTO access.sessions"
            " (tenant_id, id, user_id, methods, created_at, last_used_at, expires_at)"
            " VALUES (%s, %s, %s, '{pwd}', now(), now(), now() + interval '1 day')",
            tenant_id,
            new_id(),
            made.id,
        )

    async def open_sessions() -> object:
        [(found,)] = await sql(
            people, tenant_id, "SELECT count(*) FROM access.sessions WHERE ended_at IS NULL"
        )
        return found

    await session()
    suspended = await suspend_user(people, tenant_id, made.id, by=OPERATOR)
    assert suspended.status is UserStatus.SUSPENDED
    assert await open_sessions() == 0
    assert suspended.homes == (None,)
    back = await reactivate_user(people, tenant_id, made.id, by=OPERATOR)
    assert back.status is UserStatus.ACTIVE
    await session()
    gone = await delete_user(people, tenant_id, made.id, by=OPERATOR)
    assert gone.deleted_at is not None
    assert (gone.homes, await open_sessions()) == ((), 0)
    assert await list_assignments(people, tenant_id, by=OPERATOR, user_id=made.id) == []
    with pytest.raises(UserStateConflict):
        await change_user(people, tenant_id, made.id, {"name": "Ann"}, by=OPERATOR)


async def test_an_invited_user_becomes_active_by_signing_in_only(
    people: People, tenant_id: int, user: MakeUser
) -> None:
    made = await user()
    for move in (suspend_user, reactivate_user):
        with pytest.raises(UserStateConflict):
            await move(people, tenant_id, made.id, by=OPERATOR)


@pytest.mark.parametrize("start", UserStatus)
async def test_the_database_knows_the_same_moves(
    people: People, tenant_id: int, user: MakeUser, start: UserStatus
) -> None:
    """Whoever comes past the service is held to the table in model.py."""
    ways = {
        UserStatus.INVITED: (),
        UserStatus.ACTIVE: ("ACTIVE",),
        UserStatus.SUSPENDED: ("ACTIVE", "SUSPENDED"),
        UserStatus.DELETED: ("DELETED",),
    }
    for to in UserStatus:
        made = await user()
        for step in ways[start]:
            await become(people, tenant_id, made.id, step)
        if to is start or to in MOVES[start]:
            await become(people, tenant_id, made.id, to)
        else:
            with pytest.raises(psycopg.errors.RestrictViolation):
                await become(people, tenant_id, made.id, to)


async def test_the_last_administrator_of_a_live_tenant_stays(
    people: People, tenant_id: int, user: MakeUser, unit: MakeUnit, shop: Partner
) -> None:
    last = await user(Grant("tenant_admin"))
    await user(Grant("tenant_admin", await unit()))
    await user(Grant("tenant_admin"), partner_id=shop.id)
    await user(Grant("tenant_admin", None, now() + timedelta(days=1)))
    await become(people, tenant_id, last.id, "ACTIVE")
    for move in (suspend_user, delete_user):
        with pytest.raises(LastAdministrator):
            await move(people, tenant_id, last.id, by=OPERATOR)
    await user(Grant("tenant_admin"))
    assert (await delete_user(people, tenant_id, last.id, by=OPERATOR)).status is UserStatus.DELETED


async def test_of_two_administrators_who_delete_each_other_at_once_one_stays(
    people: People, tenant_id: int, user: MakeUser
) -> None:
    two = [await user(Grant("tenant_admin")) for _ in range(2)]
    outcomes = await asyncio.gather(
        *(delete_user(people, tenant_id, one.id, by=OPERATOR) for one in two), return_exceptions=True
    )
    assert sum(isinstance(one, LastAdministrator) for one in outcomes) == 1
    assert sum(isinstance(one, User) for one in outcomes) == 1


async def test_nobody_changes_a_user_who_may_do_more(
    people: People, tenant_id: int, user: MakeUser, unit: MakeUnit
) -> None:
    south = await unit()
    admin, helper = await user(Grant("tenant_admin")), await user(Grant("business_unit_admin"))
    stronger = await user(Grant("finance", south))
    weaker = await user(Grant("auditor", south))
    by = await actor_of(people, tenant_id, helper.id)
    for target in (admin, stronger):
        with pytest.raises(BeyondOwnPermissions):
            await change_user(people, tenant_id, target.id, {"email": "mine@shop.example"}, by=by)
        with pytest.raises(BeyondOwnPermissions):
            await delete_user(people, tenant_id, target.id, by=by)
    with pytest.raises(BeyondOwnPermissions):  # an auditor reads the audit log; he does not
        await delete_user(people, tenant_id, weaker.id, by=by)
    nobody = await user()
    assert await delete_user(people, tenant_id, nobody.id, by=by)


async def test_an_administrator_of_units_sees_users_whose_roles_are_all_there(
    people: People, tenant_id: int, user: MakeUser, unit: MakeUnit
) -> None:
    south, north = await unit(), await unit()
    below = await unit(south)
    admin = await user(Grant("business_unit_admin", south))
    mine, deep = await user(Grant("retailer", south)), await user(Grant("retailer", below))
    hidden = [
        await user(Grant("retailer", north)),
        await user(Grant("retailer", south), Grant("retailer", north)),
        await user(Grant("retailer", south), Grant("retailer")),
        await user(),
    ]
    by = await actor_of(people, tenant_id, admin.id)
    assert by.within == frozenset({south, below})
    assert [one.id for one in await list_users(people, tenant_id, by=by)] == [deep.id, mine.id, admin.id]
    for one in hidden:
        with pytest.raises(UserNotFound):
            await get_user(people, tenant_id, one.id, by=by)
        with pytest.raises(UserNotFound):
            await change_user(people, tenant_id, one.id, {"name": "x"}, by=by)
        with pytest.raises(UserNotFound):
            await delete_user(people, tenant_id, one.id, by=by)
    assert (await change_user(people, tenant_id, mine.id, {"name": "x"}, by=by)).names.name == "x"


async def test_an_erased_person_has_no_names_left_and_gets_none(
    people: People, tenant_id: int, user: MakeUser
) -> None:
    made = await user(user_name="ann.smith", email="ann@shop.example")
    async with people.database.tenant(tenant_id) as connection:
        await people.vault.erase(connection, tenant_id, made.person_id, by="tests")
    found = await get_user(people, tenant_id, made.id, by=OPERATOR)
    assert (found.names.email, found.names.name) == (None, None)
    with pytest.raises(UserStateConflict):
        await change_user(people, tenant_id, made.id, {"name": "Ann"}, by=OPERATOR)


async def test_users_of_another_tenant_are_not_there(
    people: People, twins: tuple[object, object], tenant_id: int, user: MakeUser
) -> None:
    made = await user(email="ann@shop.example")
    other = twins[1].tenant_id  # type: ignore[attr-defined]
    with pytest.raises(UserNotFound):
        await get_user(people, other, made.id, by=OPERATOR)
    assert await find_user(people, other, {"email": "ann@shop.example"}, by=OPERATOR) is None
    assert await create_user(people, other, {"email": "ann@shop.example"}, by=OPERATOR)

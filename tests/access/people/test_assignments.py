"""Assignments: who gives what to whom, where and until when."""

import asyncio
from datetime import timedelta

import psycopg
import pytest

from florin.access.people.assignments import assign, end_assignment, get_assignment, list_assignments
from florin.access.people.errors import (
    AssignmentExists,
    AssignmentNotFound,
    BeyondOwnPermissions,
    LastAdministrator,
    OwnAssignments,
    UserStateConflict,
)
from florin.access.people.model import Assignment, Grant
from florin.access.people.roles import create_role
from florin.access.people.room import People
from florin.access.people.users import delete_user
from florin.kernel.clock import now
from florin.kernel.errors import Forbidden, InvalidRequest
from florin.kernel.ids import new_id
from florin.tenancy.errors import UnknownReference
from florin.tenancy.model import Partner
from tests.access.people.conftest import OPERATOR, MakeUnit, MakeUser, actor_of, principal_of


async def test_a_role_is_given_listed_and_ended_and_ending_twice_is_as_once(
    people: People, tenant_id: int, user: MakeUser
) -> None:
    made = await user()
    given = await assign(people, tenant_id, made.id, Grant("viewer"), by=OPERATOR)
    assert await get_assignment(people, tenant_id, given.id, by=OPERATOR) == given
    assert await list_assignments(people, tenant_id, by=OPERATOR, user_id=made.id) == [given]
    ended = await end_assignment(people, tenant_id, given.id, by=OPERATOR)
    assert ended.ended_by == OPERATOR.name
    assert await end_assignment(people, tenant_id, given.id, by=OPERATOR) == ended
    assert await list_assignments(people, tenant_id, by=OPERATOR, user_id=made.id) == []
    assert await list_assignments(people, tenant_id, by=OPERATOR, user_id=made.id, ended=True) == [ended]


async def test_the_same_role_twice_in_one_place_is_refused_and_in_another_is_not(
    people: People, tenant_id: int, user: MakeUser, unit: MakeUnit
) -> None:
    made = await user(Grant("viewer"))
    with pytest.raises(AssignmentExists):
        await assign(people, tenant_id, made.id, Grant("viewer"), by=OPERATOR)
    assert await assign(people, tenant_id, made.id, Grant("viewer", await unit()), by=OPERATOR)


async def test_a_role_that_has_expired_counts_no_more_and_can_be_given_anew(
    people: People, tenant_id: int, user: MakeUser
) -> None:
    made = await user(Grant("viewer", None, now() + timedelta(seconds=0.3)))
    assert (await principal_of(people, tenant_id, made.id)).scopes
    await asyncio.sleep(0.35)
    assert (await principal_of(people, tenant_id, made.id)).scopes == frozenset()
    [expired] = await list_assignments(people, tenant_id, by=OPERATOR, user_id=made.id, ended=True)
    again = await assign(people, tenant_id, made.id, Grant("viewer"), by=OPERATOR)
    assert await list_assignments(people, tenant_id, by=OPERATOR, user_id=made.id) == [again]
    closed = await get_assignment(people, tenant_id, expired.id, by=OPERATOR)
    assert (closed.ended_at, closed.ended_by) == (expired.expires_at, "expiry")


@pytest.mark.parametrize("days", [-1, 0, 36_501])
async def test_an_expiry_lies_ahead_and_not_too_far(
    people: People, tenant_id: int, user: MakeUser, days: int
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await user(Grant("viewer", None, now() + timedelta(days=days)))
    assert refused.value.param == "expires_at"


async def test_what_is_not_there_is_given_to_nobody(people: People, tenant_id: int, user: MakeUser) -> None:
    made = await user()
    for user_id, grant, param in (
        (made.id, Grant("nothing"), "role"),
        (made.id, Grant("platform_admin"), "role"),
        (made.id, Grant("viewer", new_id()), "business_unit_id"),
        (new_id(), Grant("viewer"), "user_id"),
    ):
        with pytest.raises(UnknownReference) as refused:
            await assign(people, tenant_id, user_id, grant, by=OPERATOR)
        assert refused.value.param == param
    await delete_user(people, tenant_id, made.id, by=OPERATOR)
    with pytest.raises(UserStateConflict):
        await assign(people, tenant_id, made.id, Grant("viewer"), by=OPERATOR)


async def test_nobody_gives_what_he_does_not_have_there(
    people: People, tenant_id: int, user: MakeUser, unit: MakeUnit
) -> None:
    south = await unit()
    target = await user()
    admin = await user(Grant("business_unit_admin"), Grant("finance", south))
    by = await actor_of(people, tenant_id, admin.id)
    for role in ("tenant_admin", "auditor", "finance"):
        with pytest.raises(BeyondOwnPermissions):
            await assign(people, tenant_id, target.id, Grant(role), by=by)
    assert await assign(people, tenant_id, target.id, Grant("finance", south), by=by)


async def test_the_administrator_of_a_unit_gives_operators_and_viewers_their_roles_there(
    people: People, tenant_id: int, user: MakeUser, unit: MakeUnit
) -> None:
    south = await unit()
    by = await actor_of(people, tenant_id, (await user(Grant("business_unit_admin", south))).id)
    new = await user(Grant("retailer", south))
    for role in ("operator", "viewer"):
        assert await assign(people, tenant_id, new.id, Grant(role, south), by=by)


async def test_whoever_changes_a_role_while_it_is_given_waits_for_nobody_who_waits_for_him(
    people: People, tenant_id: int, user: MakeUser
) -> None:
    """Both lock the role, and with what they write the end of the audit log: in this order."""
    await create_role(
        people, tenant_id, code="desk", name="x", description="", permissions=["refunds:read"], by=OPERATOR
    )
    target = await user()
    async with people.database.tenant(tenant_id) as connection:
        await connection.execute("SELECT FROM access.roles WHERE code = 'desk' FOR NO KEY UPDATE")
        waiting = [
            asyncio.ensure_future(user(Grant("desk"))),
            asyncio.ensure_future(assign(people, tenant_id, target.id, Grant("desk"), by=OPERATOR)),
        ]
        await asyncio.sleep(0.2)
        await connection.execute("UPDATE access.roles SET name = 'y' WHERE code = 'desk'")
    await asyncio.gather(*waiting)
    assert len(await list_assignments(people, tenant_id, by=OPERATOR, role="desk")) == 2


async def test_nobody_assigns_to_himself(people: People, tenant_id: int, user: MakeUser) -> None:
    admin = await user(Grant("tenant_admin", None, now() + timedelta(days=1)))
    by = await actor_of(people, tenant_id, admin.id)
    with pytest.raises(OwnAssignments):
        await assign(people, tenant_id, admin.id, Grant("viewer"), by=by)
    with pytest.raises(OwnAssignments):
        await assign(people, tenant_id, admin.id, Grant("tenant_admin"), by=by)


async def test_an_administrator_of_units_gives_roles_there_and_nowhere_else(
    people: People, tenant_id: int, user: MakeUser, unit: MakeUnit
) -> None:
    south, north = await unit(), await unit()
    below = await unit(south)
    by = await actor_of(people, tenant_id, (await user(Grant("business_unit_admin", south))).id)
    mine, other = await user(Grant("retailer", south)), await user(Grant("retailer", north))
    for place in (south, below):
        assert await assign(people, tenant_id, mine.id, Grant("business_unit_admin", place), by=by)
    with pytest.raises(Forbidden):
        await assign(people, tenant_id, mine.id, Grant("retailer"), by=by)
    with pytest.raises(UnknownReference):
        await assign(people, tenant_id, mine.id, Grant("retailer", north), by=by)
    with pytest.raises(UnknownReference):
        await assign(people, tenant_id, other.id, Grant("retailer", south), by=by)

    def places(found: list[Assignment]) -> set[object]:
        return {one.business_unit_id for one in found}

    assert places(await list_assignments(people, tenant_id, by=by)) == {south, below}
    [hidden] = await list_assignments(people, tenant_id, by=OPERATOR, user_id=other.id)
    for act in (get_assignment, end_assignment):
        with pytest.raises(AssignmentNotFound):
            await act(people, tenant_id, hidden.id, by=by)


async def test_a_partners_administrator_gives_roles_to_its_users_only(
    people: People, tenant_id: int, user: MakeUser, unit: MakeUnit, shop: Partner
) -> None:
    admin = await user(Grant("tenant_admin"), partner_id=shop.id)
    own, foreign = await user(Grant("viewer"), partner_id=shop.id), await user(Grant("viewer"))
    by = await actor_of(people, tenant_id, admin.id)
    assert await assign(people, tenant_id, own.id, Grant("operator"), by=by)
    with pytest.raises(UnknownReference):
        await assign(people, tenant_id, foreign.id, Grant("operator"), by=by)
    with pytest.raises(UnknownReference):
        await assign(people, tenant_id, own.id, Grant("operator", await unit()), by=by)
    seen = await list_assignments(people, tenant_id, by=by)
    assert {one.user_id for one in seen} == {admin.id, own.id}


async def test_the_last_administrator_keeps_the_role(people: People, tenant_id: int, user: MakeUser) -> None:
    first = await user(Grant("tenant_admin"))
    [held] = await list_assignments(people, tenant_id, by=OPERATOR, user_id=first.id)
    with pytest.raises(LastAdministrator):
        await end_assignment(people, tenant_id, held.id, by=OPERATOR)
    passing = await user(Grant("tenant_admin", None, now() + timedelta(days=1)))
    with pytest.raises(LastAdministrator):  # tomorrow nobody would be left
        await end_assignment(people, tenant_id, held.id, by=OPERATOR)
    [other] = await list_assignments(people, tenant_id, by=OPERATOR, user_id=passing.id)
    assert (await end_assignment(people, tenant_id, other.id, by=OPERATOR)).ended_at
    await user(Grant("tenant_admin"))
    assert (await end_assignment(people, tenant_id, held.id, by=OPERATOR)).ended_at


async def test_a_test_tenant_may_lose_its_last_administrator(
    people: People, twins: tuple[object, object]
) -> None:
    from florin.access.people.users import create_user

    test_twin = twins[1].tenant_id  # type: ignore[attr-defined]
    made = await create_user(
        people, test_twin, {"user_name": "ann"}, by=OPERATOR, grants=[Grant("tenant_admin")]
    )
    [held] = await list_assignments(people, test_twin, by=OPERATOR, user_id=made.id)
    assert (await end_assignment(people, test_twin, held.id, by=OPERATOR)).ended_at


async def test_the_database_lets_an_assignment_end_once_and_change_in_nothing_else(
    people: People, tenant_id: int, user: MakeUser
) -> None:
    made = await user(Grant("viewer"))
    [held] = await list_assignments(people, tenant_id, by=OPERATOR, user_id=made.id)
    await end_assignment(people, tenant_id, held.id, by=OPERATOR)
    for change, refusal in (
        ("ended_at = NULL, ended_by = NULL", psycopg.errors.RestrictViolation),
        ("built_in = 'tenant_admin'", psycopg.errors.InsufficientPrivilege),
    ):
        with pytest.raises(refusal):
            async with people.database.tenant(tenant_id) as connection:
                await connection.execute(f"UPDATE access.assignments SET {change}".encode())

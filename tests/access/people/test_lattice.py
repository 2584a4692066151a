"""Roles and assignments as a lattice: what is added up, compared with a small model of it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from florin.kernel.ids import new_id
from tests.tenancy.conftest import Urls

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
SOME = ("payments:read", "payments:*", "users:write", "ledger:read", "*")
BUILT_IN = {"viewer": {"payments:read", "refunds:read", "tenancy:read", "events:read"}}


@dataclass
class World:
    """A tenant's tree, roles and users, and who was given what."""

    parents: list[int | None]
    """Of each unit an earlier one; None: it stands on top."""

    roles: list[frozenset[str]]
    statuses: list[str]
    given: list["Given"]
    units: list[UUID] = field(default_factory=list)
    users: list[UUID] = field(default_factory=list)

    def below(self, unit: int) -> set[int]:
        """A unit and all below it."""
        found = {unit}
        for number, parent in enumerate(self.parents):
            if parent in found:
                found.add(number)
        return found

    def expected(self, user: int) -> tuple[set[str], dict[UUID, set[str]], datetime | None]:
        """What permissions_of has to say."""
        mine = [one for one in self.given if one.user == user and one.in_force()]
        ends = min((one.expires_at for one in mine if one.expires_at is not None), default=None)
        if self.statuses[user] not in ("INVITED", "ACTIVE"):
            return set(), {}, ends
        wide: set[str] = set()
        by_unit: dict[UUID, set[str]] = {}
        for one in mine:
            held = BUILT_IN["viewer"] if one.role is None else self.roles[one.role]
            if one.unit is None:
                wide |= held
            for unit in self.below(one.unit) if one.unit is not None and held else ():
                by_unit.setdefault(self.units[unit], set()).update(held)
        return wide, by_unit, ends


@dataclass(frozen=True)
class Given:
    """An assignment. `role` None: the built-in viewer; `unit` None: the whole tenant."""

    user: int
    role: int | None
    unit: int | None
    hours: int | None
    ended: bool

    @property
    def expires_at(self) -> datetime | None:
        return None if self.hours is None else AT + self.hours * HOUR

    def in_force(self) -> bool:
        return not self.ended and (self.hours is None or self.hours > 0)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    size = draw(st.integers(1, 8))
    parents = [draw(st.sampled_from([None, *range(number)])) for number in range(size)]
    roles = draw(st.lists(st.frozensets(st.sampled_from(SOME), max_size=3), min_size=1, max_size=3))
    statuses = draw(
        st.lists(
            st.sampled_from(["INVITED", "ACTIVE", "ACTIVE", "SUSPENDED", "DELETED"]), min_size=1, max_size=3
        )
    )
    given = draw(
        st.lists(
            st.builds(
                Given,
                user=st.integers(0, len(statuses) - 1),
                role=st.sampled_from([None, *range(len(roles))]),
                unit=st.sampled_from([None, *range(size)]),
                hours=st.sampled_from([None, None, -1, 0, 1, 2]),
                ended=st.sampled_from([False, False, True]),
            ),
            max_size=10,
            unique_by=lambda one: (one.user, one.role, one.unit),
        )
    )
    return World(parents, roles, statuses, given)


@pytest.fixture(scope="module")
def connection(database_urls: Urls) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_urls.app) as opened:
        yield opened
        opened.rollback()


def build(connection: psycopg.Connection, world: World) -> int:
    """Writes the world into a tenant that nobody will see: the caller rolls back."""
    row = connection.execute(
        "INSERT INTO tenancy.registry (code, live) VALUES ('LATTICE', true) RETURNING tenant_id"
    ).fetchone()
    assert row is not None
    tenant: int = row[0]
    connection.execute(f"SET LOCAL app.tenant_id = {tenant}".encode())
    world.units = [new_id() for _ in world.parents]
    world.users = [new_id() for _ in world.statuses]
    levels: list[int] = []
    for number, parent in enumerate(world.parents):
        levels.append(1 if parent is None else levels[parent] + 1)
        connection.execute(
            "INSERT INTO tenancy.business_units"
            " (tenant_id, id, name, type, status, parent_id, level, created_at, updated_at)"
            " VALUES (%s, %s, 'x', 'RETAIL', 'ACTIVE', %s, %s, now(), now())",
            (tenant, world.units[number], None if parent is None else world.units[parent], levels[number]),
        )
    roles = [new_id() for _ in world.roles]
    for number, (role, held) in enumerate(zip(roles, world.roles, strict=True)):
        connection.execute(
            "INSERT INTO access.roles (tenant_id, id, code, name, description, permissions, created_at,"
            " created_by, updated_at) VALUES (%s, %s, %s, 'x', '', %s, now(), 'x', now())",
            (tenant, role, f"r{number}", sorted(held)),
        )
    for number, (user, status) in enumerate(zip(world.users, world.statuses, strict=True)):
        connection.execute(
            "INSERT INTO kernel.people (tenant_id, id, kind, wrapped, created_at)"
            " VALUES (%s, %s, 'user', '', now())",
            (tenant, user),
        )
        connection.execute(
            "INSERT INTO access.users (tenant_id, id, person_id, status, user_name, created_at, created_by,"
            " updated_at, deleted_at) VALUES (%s, %s, %s, %s, %s, now(), 'x', now(), %s)",
            (tenant, user, user, status, f"user{number}", AT if status == "DELETED" else None),
        )
    for one in world.given:
        give(connection, tenant, world, roles, one)
    return tenant


def give(connection: psycopg.Connection, tenant: int, world: World, roles: list[UUID], one: Given) -> None:
    connection.execute(
        "INSERT INTO access.assignments (tenant_id, id, user_id, built_in, role_id, business_unit_id,"
        " expires_at, assigned_at, assigned_by, ended_at, ended_by)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, 'x', %s, %s)",
        (
            tenant,
            new_id(),
            world.users[one.user],
            "viewer" if one.role is None else None,
            None if one.role is None else roles[one.role],
            None if one.unit is None else world.units[one.unit],
            one.expires_at,
            AT - 3 * HOUR,
            AT - HOUR if one.ended else None,
            "x" if one.ended else None,
        ),
    )


def permissions_of(connection: psycopg.Connection, tenant: int, users: list[UUID]) -> list[Any]:
    return connection.execute(
        "SELECT user_id, permissions, unit_permissions, changes_at FROM access.permissions_of(%s, %s, %s)",
        (tenant, users, AT),
    ).fetchall()


@settings(max_examples=60, deadline=None)
@given(worlds())
def test_a_role_in_a_unit_holds_there_and_below_and_nowhere_else(
    connection: psycopg.Connection, world: World
) -> None:
    try:
        tenant = build(connection, world)
        stranger = new_id()
        *rows, unknown = permissions_of(connection, tenant, [*world.users, stranger])
        assert unknown == (None, None, None, None)
        for number, (user, held, by_unit, ends) in enumerate(rows):
            wide, in_units, expected_end = world.expected(number)
            assert user == world.users[number]
            assert held == sorted(wide)
            assert by_unit == {str(unit): sorted(found) for unit, found in in_units.items()}
            assert ends == expected_end
    finally:
        connection.rollback()


@settings(max_examples=30, deadline=None)
@given(worlds(), st.data())
def test_one_more_assignment_never_takes_anything_away(
    connection: psycopg.Connection, world: World, data: st.DataObject
) -> None:
    more = Given(
        data.draw(st.integers(0, len(world.users or world.statuses) - 1)),
        None,
        data.draw(st.sampled_from([None, *range(len(world.parents))])),
        data.draw(st.sampled_from([None, 1])),
        ended=False,
    )
    world.given = [
        one for one in world.given if (one.user, one.role, one.unit) != (more.user, more.role, more.unit)
    ]
    try:
        tenant = build(connection, world)
        before = permissions_of(connection, tenant, world.users)
        give(connection, tenant, world, [], more)
        after = permissions_of(connection, tenant, world.users)
        for (_, held, by_unit, _), (_, held_after, by_unit_after, _) in zip(before, after, strict=True):
            assert set(held) <= set(held_after)
            for unit, found in by_unit.items():
                assert set(found) <= set(by_unit_after[unit])
    finally:
        connection.rollback()


def test_suspended_users_and_platform_roles_elsewhere_give_nothing(connection: psycopg.Connection) -> None:
    world = World([None], [frozenset({"*"})], ["SUSPENDED"], [Given(0, 0, None, None, ended=False)])
    try:
        tenant = build(connection, world)
        [(_, held, by_unit, _)] = permissions_of(connection, tenant, world.users)
        assert (held, by_unit) == ([], {})
    finally:
        connection.rollback()

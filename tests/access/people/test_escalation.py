"""Nobody reaches what he was never given, by whatever sequence of things that he may do."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Protocol
from uuid import UUID

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from florin.access.people import assignments, roles, users
from florin.access.people.model import Grant, User
from florin.access.people.policy import Actor
from florin.access.people.room import People
from florin.kernel.crypto import KeyRing
from florin.kernel.db import Database
from florin.kernel.errors import Refusal
from florin.kernel.http.call import Call, Permission, Principal, Rooms
from florin.kernel.notify import Notifier
from florin.kernel.permissions import beyond
from florin.kernel.vault import Vault
from florin.tenancy.model import BusinessUnitType
from florin.tenancy.service import Tenancy, create_business_unit, create_tenant
from tests.access.people.conftest import OPERATOR, a_name, principal_of
from tests.tenancy.conftest import DETAILS, Urls

MANAGE = ("users:read", "users:write", "roles:read")
SOME = ("payments:read", "payments:*", "ledger:read", "personal:read", "tenancy:*", "*")
PERMISSIONS = st.lists(st.sampled_from(("roles:write", "users:write", *SOME)), max_size=4, unique=True)
BEGINS = st.lists(st.sampled_from(("roles:write", *SOME[:-1])), max_size=2, unique=True)
OWN = ("r0", "r1", "r2")
ROLES = ("viewer", "tenant_admin", "business_unit_admin", "retailer", "strong", "chief", "wide", *OWN)
ACTORS = st.sampled_from((0, 0, 0, 1, 2, 3, 4, 5, 6))


class Connected(Protocol):
    """A loop of its own, for a machine whose rules are plain functions."""

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """What the coroutine returns."""


class Escalation(RuleBasedStateMachine):
    """A unit's administrator and everybody whom he can act as, against the permissions that he began with.

    He acts as a user whom he has made, or whose address he could change: so he could sign in as that user.
    """

    def __init__(self, people: People, tenancy: Tenancy, runner: Connected) -> None:
        super().__init__()
        self.people, self.tenancy, self.runner = people, tenancy, runner
        self.tenant = 0
        self.units: list[UUID] = []
        self.others: list[UUID] = []
        self.his: list[UUID] = []
        self.ceiling: Principal | None = None

    @initialize(wide=BEGINS, there=BEGINS, manages_all=st.booleans())
    def begin(self, wide: list[str], there: list[str], manages_all: bool) -> None:
        self.runner.run(self._begin(wide, [*MANAGE, *there], manages_all))

    async def _begin(self, wide: list[str], there: list[str], manages_all: bool) -> None:
        twins = await create_tenant(self.tenancy, f"E{a_name()[1:10].upper()}", DETAILS)
        self.tenant = twins[0].tenant_id
        for parent in (None, 0, 1, None):
            made = await create_business_unit(
                self.tenancy,
                self.tenant,
                name="x",
                type=BusinessUnitType.RETAIL,
                parent_id=None if parent is None else self.units[parent],
            )
            self.units.append(made.id)
        for code, held in (("wide", wide), ("chief", there), ("strong", ["ledger:*", "users:*"])):
            await roles.create_role(
                self.people, self.tenant, code=code, name=code, description="", permissions=held, by=OPERATOR
            )
        top, below, _, other = self.units
        own = [Grant("chief", top), Grant("wide")]
        admin = await self._user(*own, *([Grant("business_unit_admin")] if manages_all else []))
        self.his = [admin.id]
        suspended = await self._user(Grant("strong", below))
        async with self.people.database.tenant(self.tenant) as connection:
            for status in ("ACTIVE", "SUSPENDED"):
                await connection.execute(
                    "UPDATE access.users SET status = %s WHERE id = %s", (status, suspended.id)
                )
        others = [
            suspended,
            await self._user(Grant("tenant_admin")),
            await self._user(Grant("tenant_admin", below)),
            await self._user(Grant("retailer", below)),
            await self._user(Grant("strong", other)),
            await self._user(Grant("chief", below), Grant("strong", other)),
            await self._user(),
        ]
        self.others = [one.id for one in others]
        self.ceiling = await principal_of(self.people, self.tenant, admin.id)

    async def _user(self, *grants: Grant) -> User:
        return await users.create_user(
            self.people, self.tenant, {"user_name": a_name()}, by=OPERATOR, grants=grants
        )

    async def _actor(self, who: int, permission: Permission) -> Actor:
        principal = await principal_of(self.people, self.tenant, self.his[who % len(self.his)])
        call = Call(principal, Rooms(), "req", "POST", {})
        call.require(permission)
        return Actor.of(call)

    def _try(self, *works: Coroutine[Any, Any, Any]) -> None:
        """One after the other, whatever is refused."""

        async def each() -> None:
            for work in works:
                with suppress(Refusal):
                    await work

        self.runner.run(each())

    @rule(who=ACTORS, role=st.sampled_from(ROLES))
    def make_users(self, who: int, role: str) -> None:
        """One in every place."""

        async def make(place: UUID | None) -> None:
            by = await self._actor(who, Permission("users:write", by_unit=True))
            grants = [Grant(role, place)]
            made = await users.create_user(
                self.people, self.tenant, {"user_name": a_name()}, by=by, grants=grants
            )
            self.his.append(made.id)

        self._try(*(make(place) for place in (None, *self.units)))

    @rule(who=ACTORS)
    def take_over(self, who: int) -> None:
        """Whoever's address he can write over."""

        async def write(target: UUID) -> None:
            by = await self._actor(who, Permission("users:write", by_unit=True))
            email = {"email": f"{a_name()}@shop.example"}
            await users.change_user(self.people, self.tenant, target, email, by=by)
            if target not in self.his:
                self.his.append(target)

        self._try(*(write(target) for target in self.others))

    @rule(who=ACTORS, role=st.sampled_from(ROLES), place=st.integers(0, 4))
    def assign(self, who: int, role: str, place: int) -> None:
        """One role to everybody."""

        async def give(target: UUID) -> None:
            by = await self._actor(who, Permission("users:write", by_unit=True))
            grant = Grant(role, [None, *self.units][place])
            await assignments.assign(self.people, self.tenant, target, grant, by=by)

        self._try(*(give(target) for target in (*self.his[:3], *self.others)))

    @rule(who=ACTORS, act=st.sampled_from((users.suspend_user, users.reactivate_user, users.delete_user)))
    def move(self, who: int, act: Any) -> None:
        """Whoever is in his way, or is of use."""

        async def take(target: UUID) -> None:
            by = await self._actor(who, Permission("users:write", by_unit=True))
            await act(self.people, self.tenant, target, by=by)

        self._try(*(take(target) for target in self.others))

    @rule(who=ACTORS)
    def end(self, who: int) -> None:
        """One role of everybody, so that who was too strong is not any more."""

        async def take(target: UUID) -> None:
            by = await self._actor(who, Permission("users:write", by_unit=True))
            for one in await assignments.list_assignments(
                self.people, self.tenant, by=by, user_id=target, count=1
            ):
                await assignments.end_assignment(self.people, self.tenant, one.id, by=by)

        self._try(*(take(target) for target in self.others))

    @rule(who=ACTORS, permissions=PERMISSIONS, code=st.sampled_from((*OWN, "strong", "chief", "wide")))
    def write_role(self, who: int, permissions: list[str], code: str) -> None:
        """Makes a role, or changes it."""

        async def make() -> None:
            by = await self._actor(who, Permission("roles:write", tenants_only=True))
            await roles.create_role(
                self.people,
                self.tenant,
                code=code,
                name=code,
                description="",
                permissions=permissions,
                by=by,
            )

        async def change() -> None:
            by = await self._actor(who, Permission("roles:write", tenants_only=True))
            await roles.change_role(self.people, self.tenant, code, {"permissions": permissions}, by=by)

        self._try(make(), change())

    @invariant()
    def nobody_of_his_may_what_he_might_not(self) -> None:
        if self.ceiling is not None:
            self.runner.run(self._check(self.ceiling))

    async def _check(self, ceiling: Principal) -> None:
        for one in self.his:
            now = await principal_of(self.people, self.tenant, one)
            for place in (None, *self.units):
                assert beyond(ceiling.held_at(place), now.held_at(place)) == []


def test_no_sequence_of_allowed_steps_reaches_what_was_never_given(database_urls: Urls) -> None:
    with asyncio.Runner() as runner:
        database = Database(database_urls.app, size=2)
        runner.run(database.open())
        keys = KeyRing({"k1": bytes(32)})
        people = People(database, Vault(database, keys), Notifier(database))
        tenancy = Tenancy(database, people.notifier, keys, people.vault)

        class Machine(Escalation):
            def __init__(self) -> None:
                super().__init__(people, tenancy, runner)

        try:
            run_state_machine_as_test(
                Machine,
                settings=settings(
                    max_examples=6,
                    stateful_step_count=15,
                    deadline=None,
                    phases=[Phase.generate],  # a step is many tries: to make it smaller takes minutes
                ),
            )
        finally:
            runner.run(database.close())

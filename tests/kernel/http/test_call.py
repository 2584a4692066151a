"""What a principal may ask for, and what he is confined to."""

from dataclasses import replace

import pytest

from florin.kernel.errors import Forbidden, PlatformOnly, TenantsOnly, UsersOnly
from florin.kernel.http.call import Call, Permission, Principal, PrincipalKind, Rooms
from florin.kernel.ids import new_id
from florin.kernel.permissions import SELF

SOUTH, NORTH = new_id(), new_id()
WHO = Principal(
    tenant_id=1,
    partner_id=None,
    id=new_id(),
    scopes=frozenset({"payments:read"}),
    live=True,
    unit_scopes={SOUTH: frozenset({"users:*"}), NORTH: frozenset({"users:read", "tenancy:read"})},
)


def call(**given: object) -> Call:
    return Call(replace(WHO, **given), Rooms(), "req", "GET", {})  # type: ignore[arg-type]


def test_who_may_in_the_whole_tenant_is_confined_to_nothing() -> None:
    asked = call()
    asked.require(Permission("payments:read", by_unit=True))
    assert asked.units is None
    assert asked.reaches(None)
    assert asked.reaches(new_id())


def test_who_may_in_some_units_is_confined_to_those() -> None:
    for scope, units in (("users:read", {SOUTH, NORTH}), ("users:write", {SOUTH}), ("tenancy:read", {NORTH})):
        asked = call()
        asked.require(Permission(scope, by_unit=True))
        assert asked.units == frozenset(units)
        assert [asked.reaches(one) for one in (SOUTH, NORTH, None)] == [SOUTH in units, NORTH in units, False]


def test_who_may_in_some_units_may_not_where_units_are_not_known() -> None:
    with pytest.raises(Forbidden, match="in the whole tenant"):
        call().require(Permission("users:read"))


def test_who_may_nowhere_may_not() -> None:
    for by_unit in (True, False):
        with pytest.raises(Forbidden, match=r"payments:write$"):
            call().require(Permission("payments:write", by_unit=by_unit))


def test_what_is_held_somewhere_is_what_is_held_there_and_everywhere() -> None:
    assert WHO.held_at(None) == {"payments:read"}
    assert WHO.held_at(SOUTH) == {"payments:read", "users:*"}
    assert WHO.held_at(new_id()) == {"payments:read"}


def test_a_partner_is_refused_what_is_the_tenants() -> None:
    asked = call(partner_id=new_id(), scopes=frozenset({"*"}))
    asked.require(Permission("payments:read"))
    with pytest.raises(TenantsOnly):
        asked.require(Permission("ledger:read", tenants_only=True))


def test_what_is_the_platforms_needs_the_platform_and_its_permission() -> None:
    wanted = Permission("platform:read", platform=True, tenants_only=True)
    with pytest.raises(PlatformOnly):
        call(scopes=frozenset({"*", "platform:*"})).require(wanted)
    with pytest.raises(Forbidden):
        call(scopes=frozenset({"*"}), platform=True).require(wanted)
    call(scopes=frozenset({"platform:read"}), platform=True).require(wanted)


def test_what_is_a_users_own_needs_a_user_and_no_permission() -> None:
    with pytest.raises(UsersOnly):
        call(scopes=frozenset({"*"})).require(Permission(SELF))
    call(scopes=frozenset(), kind=PrincipalKind.USER).require(Permission(SELF))


def test_what_is_held_in_the_whole_tenant_holds_in_every_unit_and_what_is_held_in_a_unit_there_only() -> None:
    asked = call()
    assert asked.may("payments:read")
    assert asked.may("payments:read", new_id())
    assert asked.may("users:write", SOUTH)
    assert not asked.may("users:write", NORTH)
    assert not asked.may("users:write")

"""Who may manage whom: facts in, a refusal or nothing out."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from florin.access.people.errors import (
    BeyondOwnPermissions,
    LastAdministrator,
    UnknownPermission,
    UserStateConflict,
)
from florin.access.people.model import MOVES, Names, User, UserStatus
from florin.access.people.policy import (
    Actor,
    check_administrators,
    check_expiry,
    check_gives,
    check_move,
    check_outranks,
    check_permissions,
    check_place,
    operator,
    sees,
)
from florin.kernel.errors import Forbidden, InvalidRequest
from florin.kernel.ids import new_id
from florin.kernel.permissions import PERMISSIONS, beyond
from florin.tenancy.errors import UnknownReference

AT = datetime(2026, 11, 20, tzinfo=UTC)
SOUTH, NORTH = new_id(), new_id()
HELD = st.frozensets(st.sampled_from([*sorted(PERMISSIONS), "payments:*", "*"]), max_size=5)


def a_user(*homes: object, status: UserStatus = UserStatus.ACTIVE, partner: object = None) -> User:
    return User(
        id=new_id(),
        person_id=new_id(),
        partner_id=partner,  # type: ignore[arg-type]
        status=status,
        names=Names("ann"),
        email_verified_at=None,
        phone_verified_at=None,
        created_at=AT,
        created_by="x",
        updated_at=AT,
        deleted_at=None,
        homes=homes,  # type: ignore[arg-type]
    )


def an_actor(*within: object, **given: object) -> Actor:
    units = frozenset(within) if within else None
    return Actor("key_x", frozenset(), within=units, **given)  # type: ignore[arg-type]


def test_an_actor_sees_users_whose_roles_are_all_within_his_units() -> None:
    assert sees(an_actor(), a_user())
    assert sees(an_actor(SOUTH, NORTH), a_user(SOUTH, NORTH))
    for homes in ((), (None,), (SOUTH, None), (SOUTH, NORTH)):
        assert not sees(an_actor(SOUTH), a_user(*homes))


def test_a_partner_sees_its_own_users_only() -> None:
    shop = new_id()
    actor = an_actor(partner_id=shop)
    assert sees(actor, a_user(partner=shop))
    assert not sees(actor, a_user(partner=new_id()))
    assert not sees(actor, a_user())


def test_a_place_is_ones_own_to_give_roles_in() -> None:
    check_place(an_actor(), None)
    check_place(an_actor(SOUTH), SOUTH)
    with pytest.raises(Forbidden):
        check_place(an_actor(SOUTH), None)
    for actor in (an_actor(SOUTH), an_actor(partner_id=new_id())):
        with pytest.raises(UnknownReference):
            check_place(actor, NORTH)


@given(HELD, HELD, HELD)
def test_who_gives_has_it_there(wide: frozenset[str], south: frozenset[str], wanted: frozenset[str]) -> None:
    actor = Actor("key_x", wide, {SOUTH: south})
    for place, held in ((None, wide), (SOUTH, wide | south), (NORTH, wide)):
        if beyond(held, wanted):
            with pytest.raises(BeyondOwnPermissions):
                check_gives(actor, wanted, place, param="role")
            with pytest.raises(BeyondOwnPermissions):
                check_outranks(actor, [(place, wanted)])
        else:
            check_gives(actor, wanted, place, param="role")
            check_outranks(actor, [(place, wanted)])


def test_an_operator_outranks_everybody() -> None:
    check_outranks(operator("cli:x"), [(None, PERMISSIONS | {"*"}), (SOUTH, frozenset({"*"}))])


@pytest.mark.parametrize("start", UserStatus)
def test_a_user_moves_as_the_table_says(start: UserStatus) -> None:
    for to in UserStatus:
        if to in MOVES[start]:
            check_move(a_user(status=start), to)
        else:
            with pytest.raises(UserStateConflict):
                check_move(a_user(status=start), to)


def test_permissions_of_a_role_are_known_sorted_and_each_once() -> None:
    assert check_permissions(["users:read", "*", "users:read"], platform=False) == ("*", "users:read")
    assert check_permissions(["platform:*"], platform=True) == ("platform:*",)
    for wrong in ("platform:read", "users:fly", "users", "**"):
        with pytest.raises(UnknownPermission):
            check_permissions([wrong], platform=False)


def test_an_expiry_lies_ahead() -> None:
    check_expiry(None, AT)
    check_expiry(AT + timedelta(seconds=1), AT)
    for wrong in (AT, AT - timedelta(days=1), AT + timedelta(days=36_501)):
        with pytest.raises(InvalidRequest):
            check_expiry(wrong, AT)


def test_an_administrator_is_left_and_one_for_good_if_there_was_one() -> None:
    later = AT + timedelta(days=1)
    check_administrators(None, [None])
    check_administrators(later, [later])
    for losing, others in ((None, []), (later, []), (None, [later])):
        with pytest.raises(LastAdministrator):
            check_administrators(losing, others)

"""What a principal may, as an endpoint asks for it."""

from florin.kernel.http.call import Call, Principal, PrincipalKind, Rooms
from florin.kernel.ids import new_id

UNIT, OTHER = new_id(), new_id()


def call_of(*scopes: str, units: tuple[str, ...] = ()) -> Call:
    who = Principal(
        1, None, new_id(), frozenset(scopes), True, PrincipalKind.USER, unit_scopes={UNIT: frozenset(units)}
    )
    return Call(who, Rooms(), "req_1", "GET", {})


def test_what_is_held_in_the_whole_tenant_holds_in_every_unit() -> None:
    for held in ("personal:read", "personal:*", "*"):
        assert call_of(held).may("personal:read")
        assert call_of(held).may("personal:read", OTHER)
    assert not call_of("tenancy:read").may("personal:read")


def test_what_is_held_in_a_unit_holds_there_only() -> None:
    call = call_of("tenancy:read", units=("personal:read",))
    assert call.may("personal:read", UNIT)
    assert not call.may("personal:read", OTHER)
    assert not call.may("personal:read")

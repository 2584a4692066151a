"""The lattice of permissions."""

from hypothesis import given
from hypothesis import strategies as st

from florin.kernel.permissions import PERMISSIONS, beyond, covers, unknown

AREAS = sorted({one.partition(":")[0] for one in PERMISSIONS})
ANY = st.sampled_from([*sorted(PERMISSIONS), *(f"{area}:*" for area in AREAS), "*"])
HELD = st.frozensets(ANY, max_size=6)


@given(HELD, ANY)
def test_who_holds_a_permission_is_covered_for_it(held: frozenset[str], one: str) -> None:
    assert covers(held | {one}, one)


@given(HELD, HELD, ANY)
def test_more_permissions_never_allow_less(held: frozenset[str], more: frozenset[str], wanted: str) -> None:
    assert not covers(held, wanted) or covers(held | more, wanted)


@given(HELD, ANY, ANY)
def test_what_covers_something_that_covers_a_third_covers_the_third(
    held: frozenset[str], middle: str, wanted: str
) -> None:
    if covers(held, middle) and covers({middle}, wanted):
        assert covers(held, wanted)


@given(HELD, HELD, ANY)
def test_two_holders_together_cover_what_either_covers_and_nothing_else(
    one: frozenset[str], other: frozenset[str], wanted: str
) -> None:
    assert covers(one | other, wanted) == (covers(one, wanted) or covers(other, wanted))


def test_everything_of_a_tenant_is_nothing_of_the_platform() -> None:
    assert [one for one in sorted(PERMISSIONS) if not covers({"*"}, one)] == [
        "platform:read",
        "platform:write",
    ]
    assert covers({"platform:*"}, "platform:write")
    assert not covers({"platform:*"}, "payments:read")


@given(HELD, st.frozensets(ANY, max_size=4))
def test_what_is_beyond_is_what_is_not_covered(held: frozenset[str], wanted: frozenset[str]) -> None:
    assert set(beyond(held, wanted)) == {one for one in wanted if not covers(held, one)}


def test_a_permission_that_does_not_exist_is_named() -> None:
    assert unknown(["payments:read", "payments:*", "*", "payments:reed", "money:*"]) == [
        "money:*",
        "payments:reed",
    ]

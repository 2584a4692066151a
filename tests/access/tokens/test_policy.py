"""What two lists of permissions have in common."""

from hypothesis import given
from hypothesis import strategies as st

from florin.access.tokens.policy import both
from florin.kernel.permissions import PERMISSIONS, covers

ONES = st.sampled_from([*sorted(PERMISSIONS), "*", "payments:*", "ledger:*", "platform:*"])
LISTS = st.lists(ONES, max_size=6)


def test_the_narrower_of_two_is_what_both_cover() -> None:
    assert both({"payments:*", "ledger:read"}, ["payments:read", "ledger:*"]) == [
        "ledger:read",
        "payments:read",
    ]
    assert both({"*"}, ["payments:*", "platform:write"]) == ["payments:*"]
    assert both({"payments:read"}, ["refunds:read"]) == []


@given(LISTS, LISTS)
def test_what_both_cover_is_covered_by_each_and_nothing_is_lost(one: list[str], other: list[str]) -> None:
    common = both(one, other)
    for permission in PERMISSIONS:
        assert covers(common, permission) == (covers(one, permission) and covers(other, permission))
    assert common == both(other, one)

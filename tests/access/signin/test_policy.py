"""Decisions of signing in."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from florin.access.signin.policy import (
    DEMANDING,
    FIRST_LOCK,
    FORGOTTEN_AFTER,
    LONGEST_LOCK,
    Quota,
    Tries,
    demands_second_factor,
    source,
    wait_for,
    within_day,
)

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
GAPS = st.lists(st.integers(0, 4000), max_size=60)


@given(st.integers(0, 2000))
def test_a_lock_is_never_shorter_than_the_one_before_nor_longer_than_an_hour(failures: int) -> None:
    tries = Tries(failures, AT).after_one_more(AT, allowed=5)
    more = tries.after_one_more(AT, allowed=5)
    assert tries.failures == failures + 1
    if tries.locked_until is None:
        assert failures + 1 < 5
    else:
        assert more.locked_until is not None
        assert FIRST_LOCK <= tries.locked_until - AT <= more.locked_until - AT <= LONGEST_LOCK


def test_failures_of_yesterday_count_no_more() -> None:
    assert Tries(4, AT).after_one_more(AT + FORGOTTEN_AFTER, allowed=5) == Tries(1, AT + FORGOTTEN_AFTER)


def test_a_success_gives_its_own_attempt_back() -> None:
    tries = Tries(3, AT)
    assert tries.after_one_more(AT, allowed=5).with_one_less() == tries
    assert Tries(0, AT).with_one_less().failures == 0


@given(GAPS)
def test_no_window_ever_holds_more_than_is_allowed(gaps: list[int]) -> None:
    at, sent = AT, list[datetime]()
    for gap in gaps:
        at += timedelta(seconds=gap)
        if not wait_for(Quota.DESTINATION, within_day(sent, at), at):
            sent.append(at)
    for window, most in ((timedelta(minutes=1), 1), (timedelta(hours=1), 5), (timedelta(days=1), 10)):
        assert all(sum(one - window < other <= one for other in sent) <= most for one in sent)


@given(GAPS)
def test_after_the_wait_that_is_told_it_is_sent(gaps: list[int]) -> None:
    at, sent = AT, list[datetime]()
    for gap in gaps:
        at += timedelta(seconds=gap)
        sent.append(at)
    later = at + wait_for(Quota.USER, within_day(sent, at), at)
    assert not wait_for(Quota.USER, within_day(sent, later), later)


def test_failures_of_an_ipv6_network_are_counted_together() -> None:
    assert source("2001:db8:1:2::7") == source("2001:db8:1:2:ffff::1") == "2001:db8:1:2::/64"
    assert source("192.0.2.7") == "192.0.2.7"
    assert source(None) is None


@pytest.mark.parametrize(
    ("held", "demands"),
    [
        (["*"], True),
        (["payments:write"], True),
        (["users:*"], True),
        (["personal:erase"], True),
        (["audit:export"], True),
        (["platform:write"], True),
        (["payments:read", "audit:read"], False),
        ([], False),
    ],
)
def test_who_may_change_something_needs_a_second_factor(held: list[str], demands: bool) -> None:
    assert demands_second_factor(held, DEMANDING) is demands


def test_a_tenant_may_demand_it_of_readers_too_or_of_nobody() -> None:
    assert demands_second_factor(["payments:read"], ["payments:*"])
    assert not demands_second_factor(["*"], [])
    assert not demands_second_factor(["*"], ["nonsense"])

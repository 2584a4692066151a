"""Window arithmetic: no window is ever overdrawn, and what is shown follows from what is known."""

from hypothesis import given
from hypothesis import strategies as st

from florin.access.model import DAY_S, HOUR_S, MAX_LIMIT, MINUTE_S, NO_LIMITS, Limits
from florin.access.windows import Subject, Window, subject

QUOTAS = st.none() | st.integers(1, MAX_LIMIT)


def made(limits: Limits) -> Subject:
    found = subject(limits, "")
    assert found is not None
    return found


def test_without_limits_there_is_nothing_to_count() -> None:
    assert subject(NO_LIMITS, "") is None


def test_windows_are_named_by_whose_they_are() -> None:
    found = subject(Limits(5, None, 50), "partner-")
    assert found is not None
    assert found.policy == '"partner-minute";q=5;w=60, "partner-day";q=50;w=86400'


@given(st.sampled_from([MINUTE_S, HOUR_S, DAY_S]), st.floats(0, 4e9))
def test_a_window_holds_the_instant_that_it_began_with(period_s: int, now: float) -> None:
    window = Window("w", period_s, 1)
    window.begin(now)
    assert window.ends_at - period_s <= now < window.ends_at
    assert window.ends_at % period_s == 0


@given(QUOTAS, QUOTAS, QUOTAS, st.lists(st.tuples(st.integers(0, 90_000), st.integers(0, 50)), max_size=20))
def test_no_store_is_overdrawn_and_every_call_is_counted_in_every_window(
    minute: int | None, hour: int | None, day: int | None, steps: list[tuple[int, int]]
) -> None:
    limits = Limits(minute, hour, day)
    if limits == NO_LIMITS:
        return
    found, now = made(limits), 1_900_000_000
    admitted = [0] * len(found.windows)
    ends = [0] * len(found.windows)
    for pause_s, leased in steps:
        now += pause_s
        found.settle(now)
        for n, window in enumerate(found.windows):
            if window.ends_at != ends[n]:
                ends[n], admitted[n] = window.ends_at, 0
            got = min(leased, window.quota - window.taken)
            window.held += got
            window.taken += got
        found.weigh()
        assert found.free == min(window.held for window in found.windows)
        while found.free and now < found.until:
            shown = found.take()
            admitted = [count + 1 for count in admitted]
            expected = min(
                window.quota - count for window, count in zip(found.windows, admitted, strict=True)
            )
            assert shown == expected, "one process alone knows exactly what remains"
        found.settle(now)
        for count, window in zip(admitted, found.windows, strict=True):
            assert window.held >= 0
            assert window.used == count <= window.quota


@given(st.integers(1, 10_000), st.integers(0, 20_000))
def test_nothing_remains_of_a_quota_that_was_lowered_below_what_is_taken(quota: int, taken: int) -> None:
    window = Window("w", MINUTE_S, quota, taken=taken)
    assert window.remaining() == max(quota - taken, 0)
    assert window.spent is (taken >= quota)

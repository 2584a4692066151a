from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from florin.webhooks.model import DisabledReason, Failure, Owed, Reply, Result
from florin.webhooks.policy import (
    JITTER,
    MAX_ATTEMPTS,
    RETRY_DELAYS_S,
    jitter,
    judge,
    retry_after,
    valid_filter,
)

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def owed(attempts: int = 0, failing_since: datetime | None = None) -> Owed:
    return Owed(
        uuid4(), uuid4(), uuid4(), attempts, "https://x.example/", failing_since, [], "thing.made", NOW, {}
    )


def reply(status: int | None, retry: str | None = None) -> Reply:
    ok = status is not None and 200 <= status < 300
    error = None if ok else Failure.TIMEOUT if status is None else Failure.NOT_2XX
    return Reply(status, error, None, 12, retry)


def test_the_schedule_spans_about_75_hours_in_ten_attempts() -> None:
    assert MAX_ATTEMPTS == 10
    assert timedelta(hours=75) < timedelta(seconds=sum(RETRY_DELAYS_S)) < timedelta(hours=76)


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_any_2xx_is_success(status: int) -> None:
    assert judge(owed(), reply(status), NOW).result is Result.DELIVERED


@pytest.mark.parametrize("status", [None, 199, 301, 400, 401, 404, 418, 500, 503])
def test_anything_else_is_tried_again(status: int | None) -> None:
    verdict = judge(owed(), reply(status), NOW, spread=lambda: 1)
    assert (verdict.result, verdict.next_attempt_at) == (Result.RETRY, NOW + timedelta(seconds=5))
    assert verdict.disable is None


def test_each_attempt_waits_for_its_place_in_the_schedule() -> None:
    waits = [judge(owed(n), reply(500), NOW, spread=lambda: 1).next_attempt_at for n in range(9)]
    assert [at - NOW for at in waits if at] == [timedelta(seconds=s) for s in RETRY_DELAYS_S]


def test_the_tenth_failure_gives_up() -> None:
    verdict = judge(owed(9), reply(500), NOW)
    assert (verdict.result, verdict.next_attempt_at) == (Result.FAILED, None)


def test_jitter_stays_within_a_tenth() -> None:
    factors = [jitter() for _ in range(1000)]
    assert 1 - JITTER <= min(factors) < 1 < max(factors) <= 1 + JITTER


def test_gone_ends_the_endpoint() -> None:
    verdict = judge(owed(), reply(410), NOW)
    assert (verdict.result, verdict.disable) == (Result.FAILED, DisabledReason.GONE)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_retry_after_rests_the_endpoint_and_delays_the_delivery(status: int) -> None:
    verdict = judge(owed(), reply(status, "600"), NOW, spread=lambda: 1)
    assert verdict.pause_until == verdict.next_attempt_at == NOW + timedelta(minutes=10)


def test_a_short_retry_after_does_not_shorten_the_schedule() -> None:
    verdict = judge(owed(3), reply(429, "1"), NOW, spread=lambda: 1)
    assert verdict.next_attempt_at == NOW + timedelta(hours=2)


def test_retry_after_of_other_answers_means_nothing() -> None:
    assert judge(owed(), reply(500, "600"), NOW).pause_until is None


@pytest.mark.parametrize(
    ("value", "wait_s"),
    [
        (None, None),
        ("120", 120),
        (" 0 ", 0),
        ("9" * 400, 86400),
        ("Fri, 20 Nov 2026 12:01:00 GMT", 60),
        ("Fri, 20 Nov 2026 11:00:00 GMT", 0),
        ("Fri, 20 Nov 2029 11:00:00 GMT", 86400),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("\u0661", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_at_most_a_day(value: str | None, wait_s: int | None) -> None:
    assert retry_after(value, NOW) == (None if wait_s is None else timedelta(seconds=wait_s))


def test_five_days_of_failures_disable_the_endpoint() -> None:
    before = judge(owed(2, NOW - timedelta(days=4, hours=23)), reply(500), NOW)
    after = judge(owed(2, NOW - timedelta(days=5)), reply(500), NOW)
    assert (before.disable, after.disable) == (None, DisabledReason.FAILING)


def test_a_fault_of_ours_never_disables_an_endpoint() -> None:
    ours = Reply(None, Failure.NOT_SENDABLE, "the secret does not open", 0)
    assert judge(owed(2, NOW - timedelta(days=9)), ours, NOW).disable is None


@pytest.mark.parametrize("text", ["*", "payment.completed", "payment.*", "a.b_c.*", "payment"])
def test_filters_name_types_or_begin_them(text: str) -> None:
    assert valid_filter(text)


@pytest.mark.parametrize(
    "text", ["", "Payment.*", "*.completed", "payment.", "pay*", ".x", "a..b", "a.*\n", "a b"]
)
def test_other_filters_are_refused(text: str) -> None:
    assert not valid_filter(text)

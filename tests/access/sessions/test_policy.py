"""How long sessions last."""

from datetime import UTC, datetime, timedelta

import pytest

from florin.access.sessions.policy import Lifetimes, is_privileged
from florin.kernel.settings import Settings

NOW = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    ("permissions", "privileged"),
    [
        ([], False),
        (["payments:read", "audit:read"], False),
        (["payments:read", "payments:write"], True),
        (["audit:export"], True),
        (["payments:*"], True),
        (["*"], True),
        (["personal:erase"], True),
    ],
)
def test_whoever_may_do_more_than_read_is_privileged(permissions: list[str], privileged: bool) -> None:
    assert is_privileged(permissions) is privileged
    idle = timedelta(minutes=15) if privileged else timedelta(days=7)
    assert Lifetimes().ends_at(NOW, NOW + timedelta(days=30), permissions) == NOW + idle


def test_no_session_lasts_longer_than_the_longest() -> None:
    soon = NOW + timedelta(minutes=5)
    assert Lifetimes().ends_at(NOW, soon, ["*"]) == Lifetimes().ends_at(NOW, soon, []) == soon


def test_the_operator_sets_them() -> None:
    settings = Settings(session_max_days=2, session_idle_days=1, session_idle_privileged_minutes=30)
    assert Lifetimes.of(settings) == Lifetimes(timedelta(days=2), timedelta(days=1), timedelta(minutes=30))
    assert Lifetimes.of(Settings()) == Lifetimes()

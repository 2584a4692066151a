from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from florin.kernel.errors import InvalidRequest
from florin.privacy.retention.policy import FIELDS, MOST_YEARS, Retention, check, of_settings, years_before

FLOOR = Retention(1, 5, 1, 0)


def test_the_defaults_are_the_seeds() -> None:
    assert of_settings({}, FLOOR) == Retention(7, 10, 3, 0)


NUMBERS = [Decimal(one) for one in ("-5", "0", "1", "4", "99", "1e30", "0.5", "NaN", "sNaN", "-Infinity")]


@given(st.dictionaries(st.sampled_from(FIELDS), st.sampled_from([*NUMBERS, None, True, "7"])))
def test_whatever_the_settings_say_nothing_goes_sooner_than_the_platform_allows(
    values: dict[str, Any],
) -> None:
    found = of_settings(values, FLOOR)
    for field in FIELDS:
        assert getattr(FLOOR, field) <= getattr(found, field) <= MOST_YEARS


def test_a_setting_of_whole_years_counts_and_half_a_year_does_not() -> None:
    found = of_settings({"personal_years": Decimal(9), "audit_years": Decimal("2.5")}, FLOOR)
    assert (found.personal_years, found.audit_years) == (9, 3)


@pytest.mark.parametrize(
    ("field", "years"), [("transactions_years", 4), ("audit_years", 0), ("personal_years", 101)]
)
def test_years_out_of_bounds_are_refused_by_their_field(field: str, years: int) -> None:
    with pytest.raises(InvalidRequest, match=f"{field} must be") as refused:
        check({field: years}, FLOOR)
    assert refused.value.param == field


def test_years_before_29_february_end_on_the_28th() -> None:
    day = datetime(2024, 2, 29, 12, tzinfo=UTC)
    assert years_before(day, 1) == datetime(2023, 2, 28, 12, tzinfo=UTC)
    assert years_before(day, 4) == datetime(2020, 2, 29, 12, tzinfo=UTC)

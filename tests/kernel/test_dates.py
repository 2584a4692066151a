"""Instants and days: text, and nothing that only looks like a number of seconds."""

from datetime import UTC, date, datetime

import pytest
from pydantic import TypeAdapter, ValidationError

from florin.kernel.dates import Day, Instant

INSTANT: TypeAdapter[datetime] = TypeAdapter(Instant)
DAY: TypeAdapter[date] = TypeAdapter(Day)


@pytest.mark.parametrize(
    "text", ["2026-11-20T13:07:41Z", "2026-11-20T15:07:41+02:00", "2026-11-20t13:07:41z"]
)
def test_an_instant_is_read_as_rfc_3339_has_it(text: str) -> None:
    expected = datetime(2026, 11, 20, 13, 7, 41, tzinfo=UTC)
    assert INSTANT.validate_python(text) == INSTANT.validate_json(f'"{text}"') == expected


@pytest.mark.parametrize(
    "given",
    [0, 1.5, True, "0.5", "1700000000", "17000000000", "2026", "", "2026-11-20T13:07:41", "2026-11-20"],
)
def test_a_number_or_an_instant_without_its_offset_is_refused(given: object) -> None:
    with pytest.raises(ValidationError):
        INSTANT.validate_python(given)


@pytest.mark.parametrize(
    "text", ["1899-12-31T23:59:59Z", "2200-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00"]
)
def test_an_instant_outside_three_centuries_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="between the years"):
        INSTANT.validate_python(text)


def test_a_day_is_read_and_a_number_is_not() -> None:
    assert DAY.validate_python("2026-11-20") == date(2026, 11, 20)
    for given in (0, "0", "1700000000"):
        with pytest.raises(ValidationError):
            DAY.validate_python(given)


@pytest.mark.parametrize("offset", ["-19:26", "+16:00", "+23:59"])
def test_an_offset_that_the_database_does_not_take_is_refused(offset: str) -> None:
    with pytest.raises(ValidationError, match="less than 16 hours"):
        INSTANT.validate_python(f"1914-01-28T00:10:32.8{offset}")

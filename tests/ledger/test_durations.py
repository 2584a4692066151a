"""Days and hours in the words of ISO 8601."""

from datetime import timedelta

import pytest

from florin.ledger.durations import duration_text, parse_duration


@pytest.mark.parametrize(
    ("text", "time"), [("P7D", timedelta(days=7)), ("PT36H", timedelta(hours=36)), ("P1D", timedelta(days=1))]
)
def test_days_and_hours_are_read_and_written_alike(text: str, time: timedelta) -> None:
    assert (parse_duration(text), duration_text(time)) == (time, text)


@pytest.mark.parametrize(
    "text", ["", "P", "P0D", "P1M", "P7", "7D", "P-1D", "P1DT1H", "P12345D", "p7d", 7, None]
)
def test_anything_else_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="days such as P7D"):
        parse_duration(text)


def test_what_is_neither_days_nor_hours_is_told_in_seconds() -> None:
    assert duration_text(timedelta(seconds=90)) == "PT90S"

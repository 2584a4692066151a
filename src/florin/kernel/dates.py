"""Instants and days as clients write them: text, as RFC 3339 has it.

Left to itself pydantic reads any number as seconds since 1970, in text too: `?created_to=2026` would be
half an hour past midnight of 1970-01-01, and nobody told.
"""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Final

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field

_EARLIEST: Final = datetime(1900, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)
_FARTHEST_OFFSET: Final = timedelta(hours=16)
"""PostgreSQL takes offsets below this one; the world's go to 14 hours."""

_SHORTEST: Final = len("2026-11-20")


def _text(value: object) -> object:
    if isinstance(value, datetime | date):
        return value
    if not isinstance(value, str) or len(value) < _SHORTEST or value[4] != "-" or value[7] != "-":
        raise ValueError("must be written as RFC 3339 has it, such as 2026-11-20T13:07:41Z, or 2026-11-20")
    return value


def _within_three_centuries(at: datetime) -> datetime:
    if not _EARLIEST <= at < _LATEST:
        raise ValueError("must lie between the years 1900 and 2200")
    if abs(at.utcoffset() or timedelta(0)) >= _FARTHEST_OFFSET:
        raise ValueError("must have an offset of less than 16 hours")
    return at


Instant = Annotated[
    AwareDatetime,
    BeforeValidator(_text),
    AfterValidator(_within_three_centuries),
    Field(description="RFC 3339, with an offset.", examples=["2026-11-20T13:07:41Z"]),
]
Day = Annotated[date, BeforeValidator(_text), Field(description="As 2026-11-20.", examples=["2026-11-20"])]

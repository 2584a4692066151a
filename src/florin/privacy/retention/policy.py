"""For how long a tenant keeps what. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from florin.kernel.errors import InvalidRequest

MOST_YEARS: Final = 100
_FEBRUARY_28: Final = 28


@dataclass(frozen=True, slots=True)
class Retention:
    """Years of each class of data. Defaults: seed 001."""

    personal_years: int = 7
    """People about whom nothing has happened for so long are erased."""

    transactions_years: int = 10
    """Payments as old as that lose their free text; the books keep their amounts."""

    audit_years: int = 3
    """So long the audit log keeps a row."""

    erasure_waits_years: int = 0
    """So long after the last payment or sign-in nobody is erased on request: some laws demand records."""


FIELDS: Final = tuple(Retention.__slots__)


def setting(field: str) -> str:
    """The key of the setting that holds this field: `retention.audit_years`."""
    return f"retention.{field}"


def of_settings(values: Mapping[str, Any], floor: Retention) -> Retention:
    """What the settings say, by field; where they say less than the platform's least, that."""
    found = Retention()
    for field in FIELDS:
        value = values.get(field)
        if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
            found = replace(found, **{field: int(value)})
    return Retention(
        **{field: min(max(getattr(found, field), getattr(floor, field)), MOST_YEARS) for field in FIELDS}
    )


def check(changes: Mapping[str, int], floor: Retention) -> None:
    """Refuses what is less than the platform's least or more than a hundred years; names the field.

    Raises:
        InvalidRequest: the first such field.
    """
    for field, years in changes.items():
        least = getattr(floor, field)
        if not least <= years <= MOST_YEARS:
            raise InvalidRequest(f"{field} must be {least} to {MOST_YEARS} years", param=field)


def years_before(at: datetime, years: int) -> datetime:
    """The same day so many years earlier; of 29 February the 28th where there is none."""
    try:
        return at.replace(year=at.year - years)
    except ValueError:
        return at.replace(year=at.year - years, day=_FEBRUARY_28)

"""Money is an integer of minor units with an ISO 4217 code. A float never touches it."""

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Annotated, Final

from pydantic import Field

MAX_AMOUNT_MINOR: Final = 1_000_000_000_000_000
"""The largest single amount, 10**15 minor units: sums of a whole batch still fit a bigint."""

AmountMinor = Annotated[
    int,
    Field(
        strict=True,
        ge=1,
        le=MAX_AMOUNT_MINOR,
        description="Minor units (cents, paise), a whole number.",
    ),
]
CurrencyCode = Annotated[str, Field(pattern="^[A-Z]{3}$", description="ISO 4217 code.", examples=["USD"])]


def round_minor(amount: Decimal, *, rounding: str = ROUND_HALF_EVEN) -> int:
    """The one rounding of fractions of a minor unit: half to even unless a rule says otherwise."""
    return int(amount.quantize(Decimal(1), rounding=rounding))


def to_minor(amount: Decimal, exponent: int) -> int:
    """Minor units of a decimal amount, exactly.

    Raises:
        ValueError: the amount has more digits than the currency.
    """
    scaled = amount.scaleb(exponent)
    if scaled != scaled.to_integral_value():
        raise ValueError(f"{amount} has more than {exponent} decimal places")
    return int(scaled)


def to_decimal(amount_minor: int, exponent: int) -> Decimal:
    """The amount in major units, with the currency's number of digits."""
    return Decimal(amount_minor).scaleb(-exponent)

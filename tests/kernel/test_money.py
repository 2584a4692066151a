from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from florin.kernel.money import MAX_AMOUNT_MINOR, AmountMinor, round_minor, to_decimal, to_minor


@given(st.integers(-(10**15), 10**15), st.integers(0, 4))
def test_minor_units_survive_the_round_trip(amount_minor: int, exponent: int) -> None:
    assert to_minor(to_decimal(amount_minor, exponent), exponent) == amount_minor


def test_rounds_half_to_even() -> None:
    rounded = [round_minor(Decimal(text)) for text in ("0.5", "1.5", "2.5", "-0.5", "2.51")]
    assert rounded == [0, 2, 2, 0, 3]


def test_more_digits_than_the_currency_has_are_refused() -> None:
    assert to_minor(Decimal("12.34"), 2) == 1234
    assert to_minor(Decimal("12"), 0) == 12
    with pytest.raises(ValueError, match="decimal places"):
        to_minor(Decimal("12.345"), 2)


@pytest.mark.parametrize("bad", [0, -1, 1.0, 1.5, "1", True, MAX_AMOUNT_MINOR + 1, 2**63, None])
def test_an_amount_is_a_positive_whole_number(bad: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(AmountMinor).validate_python(bad)


def test_the_largest_amount_is_allowed() -> None:
    assert TypeAdapter(AmountMinor).validate_python(MAX_AMOUNT_MINOR) == MAX_AMOUNT_MINOR

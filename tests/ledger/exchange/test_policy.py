"""What a rate makes of an amount."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from florin.kernel.ids import new_id
from florin.ledger.errors import AmountOutOfRange
from florin.ledger.exchange.errors import ExchangeTooSmall, RateMismatch
from florin.ledger.exchange.model import Exchanging, Rounding
from florin.ledger.exchange.policy import convert, legs_of
from florin.ledger.model import Direction


def exchanging(sell_minor: int, rate: str, **more: Any) -> Exchanging:
    return Exchanging(new_id(), None, new_id(), sell_minor, new_id(), Decimal(rate), "ECB", **more)


@pytest.mark.parametrize(
    ("rounding", "up", "down"),
    [
        (Rounding.HALF_EVEN, 2, 4),
        (Rounding.HALF_UP, 3, 4),
        (Rounding.DOWN, 2, 3),
        (Rounding.UP, 3, 4),
    ],
)
def test_a_fraction_is_rounded_as_asked_for(rounding: Rounding, up: int, down: int) -> None:
    assert convert(exchanging(5, "0.5", rounding=rounding), 2, 2).rounded_minor == up
    assert convert(exchanging(7, "0.5", rounding=rounding), 2, 2).rounded_minor == down


def test_the_largest_amount_and_the_longest_rate_stay_exact() -> None:
    found = convert(exchanging(10**15, "0.999999999999999999"), 2, 2)
    assert found.exact == Decimal("999999999999999.999")
    assert (found.rounded_minor, found.remainder) == (10**15, Decimal("-0.001"))
    with pytest.raises(AmountOutOfRange):
        convert(exchanging(10**15, "1.000000000000001"), 2, 2)
    with pytest.raises(ExchangeTooSmall):
        convert(exchanging(49, "1"), 2, 0)


@pytest.mark.parametrize(("agreed", "tolerance", "passes"), [(101, 1, True), (102, 1, False), (99, 0, False)])
def test_an_agreed_amount_lies_within_the_tolerance(agreed: int, tolerance: int, passes: bool) -> None:
    asked = exchanging(100, "1", buy_minor=agreed, tolerance_minor=tolerance)
    if passes:
        assert convert(asked, 2, 2).difference_minor == agreed - 100
    else:
        with pytest.raises(RateMismatch):
            convert(asked, 2, 2)


@given(
    sell=st.integers(1, 10**12),
    rate=st.decimals("0.0001", "500", places=6),
    exponents=st.tuples(st.sampled_from([0, 2, 3]), st.sampled_from([0, 2, 3])),
    rounding=st.sampled_from(Rounding),
    off=st.integers(-3, 3),
    side=st.sampled_from(Direction),
)
def test_each_currency_balances_and_rounding_is_within_a_unit(
    sell: int, rate: Decimal, exponents: tuple[int, int], rounding: Rounding, off: int, side: Direction
) -> None:
    try:
        plain = convert(exchanging(sell, f"{rate:f}", rounding=rounding), *exponents)
    except (ExchangeTooSmall, AmountOutOfRange):
        return
    assert abs(plain.remainder) < 1
    agreed = max(1, plain.rounded_minor + off)
    asked = exchanging(sell, f"{rate:f}", rounding=rounding, buy_minor=agreed, tolerance_minor=3)
    found = convert(asked, *exponents)
    legs = legs_of(asked, found, side, new_id(), new_id(), new_id() if found.difference_minor else None)
    assert sum(leg.amount_minor for leg in legs[:2]) == 0
    assert sum(leg.amount_minor for leg in legs[2:]) == 0
    rise = 1 if side is Direction.DEBIT else -1
    assert (legs[0].amount_minor * rise, legs[3].amount_minor * rise) == (-sell, agreed)
    assert all(leg.amount_minor for leg in legs)

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from florin.kernel.money import MAX_AMOUNT_MINOR
from florin.ledger.errors import AccountRepeated, AmountOutOfRange, TooFewLegs, Unbalanced
from florin.ledger.model import Leg
from florin.ledger.policy import check_legs

A, B, C = (UUID(int=number) for number in (1, 2, 3))


def test_two_balanced_legs_pass() -> None:
    check_legs([Leg(A, 5), Leg(B, -5)], "USD")


def test_one_leg_is_too_few() -> None:
    with pytest.raises(TooFewLegs) as refused:
        check_legs([Leg(A, 5)], "USD")
    assert refused.value.param == "legs"


def test_an_account_named_twice_is_refused_at_its_second_leg() -> None:
    with pytest.raises(AccountRepeated) as refused:
        check_legs([Leg(A, 5), Leg(B, -2), Leg(A, -3)], None)
    assert refused.value.param == "legs[2].account"


@pytest.mark.parametrize("amount", [0, MAX_AMOUNT_MINOR + 1, -MAX_AMOUNT_MINOR - 1])
def test_an_amount_out_of_range_is_refused_at_its_leg(amount: int) -> None:
    with pytest.raises(AmountOutOfRange) as refused:
        check_legs([Leg(A, 5), Leg(B, amount)], None)
    assert refused.value.param == "legs[1].amount"


@pytest.mark.parametrize("amount", [1, MAX_AMOUNT_MINOR])
def test_the_ends_of_the_range_are_inside(amount: int) -> None:
    check_legs([Leg(A, amount), Leg(B, -amount)], "JPY")


def test_legs_of_unclaimed_currency_may_sum_to_anything() -> None:
    check_legs([Leg(A, 5), Leg(B, -500)], None)


@given(st.lists(st.integers(-(10**15), 10**15).filter(bool), min_size=2, max_size=6))
def test_legs_in_one_currency_pass_exactly_when_they_sum_to_zero(amounts: list[int]) -> None:
    legs = [Leg(UUID(int=number), amount) for number, amount in enumerate(amounts)]
    if sum(amounts) == 0:
        check_legs(legs, "USD")
    else:
        with pytest.raises(Unbalanced):
            check_legs(legs, "USD")
    closing = sum(amounts)
    if 1 <= abs(closing) <= MAX_AMOUNT_MINOR:
        check_legs([*legs, Leg(UUID(int=len(legs)), -closing)], "USD")

"""The language of amounts."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from florin.ledger.recipes.expressions import BadExpression, OutOfBounds, compile_expression


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("amount", 1000),
        ("amount - fee", 970),
        ("amount-(fee-(1+2))", 973),
        ("  7 ", 7),
        ("fee * 15%", 4),  # 4.5, half to even
        ("fee * 18.5%", 6),  # 5.55
        ("(amount - fee) * rate%", 24),  # 24.25
        ("amount * 50% * 50%", 250),
        ("amount - fee - fee * rate%", 969),
        ("fee - amount", -970),
    ],
)
def test_an_amount_is_computed_in_whole_minor_units(text: str, value: int) -> None:
    assert compile_expression(text).evaluate({"amount": 1000, "fee": 30, "rate": Decimal("2.5")}) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "amount +",
        "+ 5",
        "-5",
        "1.5",
        "amount * 2",
        "amount * fee",
        "15%",
        "amount * 15",
        "(amount",
        "amount)",
        "amount fee",
        "amount / 2",
        "amount ** 2",
        "__import__('os')",
        "amount.real",
        "Amount",
        "1e9",
        "0x10",
        "\u0663",
        "(" * 11 + "1" + ")" * 11,
        "1+" * 100 + "1",
        "9" * 19,
    ],
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(BadExpression):
        compile_expression(text)


def test_the_names_are_known_by_what_they_are_used_for() -> None:
    found = compile_expression("amount - fee * tax%")
    assert found.amounts == {"amount", "fee"}
    assert found.percents == {"tax"}


def test_a_value_on_the_way_stays_within_bounds() -> None:
    with pytest.raises(OutOfBounds):
        compile_expression("a * 999999% - a * 999999%").evaluate({"a": 10**15})


@given(amount=st.integers(0, 10**15), percent=st.decimals(0, 100, places=4))
def test_what_one_leg_takes_off_another_puts_on(amount: int, percent: Decimal) -> None:
    values: dict[str, int | Decimal] = {"amount": amount, "p": percent}
    net = compile_expression("amount - amount * p%").evaluate(values)
    assert net + compile_expression("amount * p%").evaluate(values) == amount
    assert 0 <= net <= amount


@given(st.text(alphabet="amount fee+-*%()0123456789.", max_size=40))
def test_no_text_does_anything_but_compile_or_be_refused(text: str) -> None:
    try:
        found = compile_expression(text)
    except BadExpression:
        return
    names = found.amounts | found.percents
    assert isinstance(found.evaluate(dict.fromkeys(names, 1)), int)

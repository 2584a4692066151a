"""What people type, and the one spelling of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from florin.kernel.contacts import normal_email, normal_phone, normal_user_name


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("Ann.Smith@Shop.Example", "ann.smith@shop.example"),
        (" ann@shop.example ", "ann@shop.example"),
        ("ann+tag@shop.example", "ann+tag@shop.example"),
        ("ann@BÜCHER.example", "ann@xn--bcher-kva.example"),
        ("ann@xn--bcher-kva.example", "ann@xn--bcher-kva.example"),
    ],
)
def test_an_address_has_one_spelling(typed: str, kept: str) -> None:
    assert normal_email(typed) == kept


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "ann",
        "@shop.example",
        "ann@",
        "ann@shop",
        "a b@shop.example",
        "ann@shop..example",
        "änn@shop.example",
        "ann@shop.example\n@x",
        "ann@localhost",
        f"{'a' * 65}@shop.example",
        f"a@{'b' * 250}.example",
    ],
)
def test_what_is_no_address_is_refused(typed: str) -> None:
    with pytest.raises(ValueError, match="must be an e-mail address"):
        normal_email(typed)


@pytest.mark.parametrize(
    ("typed", "country", "kept"),
    [
        ("+27 11 555 0100", None, "+27115550100"),
        ("011 555 0100", "ZA", "+27115550100"),
        ("(011) 555-0100", "ZA", "+27115550100"),
        ("0027 11 555 0100", "ZA", "+27115550100"),
        ("+91 98765 43210", "ZA", "+919876543210"),
        ("+\uff19\uff11 98765 43210", "ZA", "+919876543210"),
    ],
)
def test_a_number_has_one_spelling(typed: str, country: str | None, kept: str) -> None:
    assert normal_phone(typed, country) == kept


def test_a_national_number_without_a_country_asks_for_the_countrys_code() -> None:
    with pytest.raises(ValueError, match="begin with \\+"):
        normal_phone("011 555 0100", None)


@pytest.mark.parametrize(
    "typed", ["", "hello", "0800 FLOWERS", "+27 11 555 0100 ext 5", "+27 11", "+27" + "1" * 20]
)
def test_what_is_no_number_is_refused(typed: str) -> None:
    with pytest.raises(ValueError, match="telephone number"):
        normal_phone(typed, "ZA")


@pytest.mark.parametrize(
    ("typed", "kept"),
    [("Ann.Smith", "ann.smith"), (" \uff21\uff2e\uff2e_1 ", "ann_1"), ("7eleven", "7eleven")],
)
def test_a_user_name_has_one_spelling(typed: str, kept: str) -> None:
    assert normal_user_name(typed) == kept


@pytest.mark.parametrize(
    "typed", ["", "ab", "-ann", "ann@shop.example", "27115550100", "27-11-555", "änn", "a" * 31]
)
def test_what_is_no_user_name_is_refused(typed: str) -> None:
    with pytest.raises(ValueError, match="3 to 30"):
        normal_user_name(typed)


@given(st.text(max_size=60))
def test_normal_is_normal_and_nothing_else_is_ever_raised(typed: str) -> None:
    for normal in (normal_email, normal_user_name, lambda text: normal_phone(text, "ZA")):
        try:
            kept = normal(typed)
        except ValueError:
            continue
        assert normal(kept) == kept

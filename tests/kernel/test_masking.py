"""What a masked value shows, and what it does not."""

from hypothesis import given
from hypothesis import strategies as st

from florin.kernel.masking import mask_account, mask_email, mask_name, mask_phone


def test_enough_is_shown_to_tell_one_from_another() -> None:
    assert mask_email("ann.smith@shop.example") == "a***@shop.example"
    assert mask_phone("+27115550100") == "+***0100"
    assert mask_name("Ann van der Smith") == "A*** v*** d*** S***"
    assert mask_account("GB29NWBK60161331926819") == "***6819"


def test_of_what_is_short_nothing_is_shown() -> None:
    assert mask_email("jo@shop.example") == "***@shop.example"
    assert mask_phone("+123456") == "+***"
    assert mask_account("1234567") == "***"
    assert mask_name("") == "***"


@given(st.text(alphabet="abcdefgh", min_size=3, max_size=30))
def test_neither_the_hidden_letters_nor_their_number_show(hidden: str) -> None:
    assert mask_email(f"x{hidden}@shop.example") == "x***@shop.example"
    assert mask_name(f"X{hidden}") == "X***"
    assert mask_account(f"{hidden}12345678") == "***5678"

import pytest

from florin.tenancy.customers.account_numbers import normal_account


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("de89 3704 0044 0532 0130 00", "DE89370400440532013000"),
        ("GB29-NWBK-6016-1331-9268-19", "GB29NWBK60161331926819"),
        ("62 0010 0123", "6200100123"),
    ],
)
def test_an_account_has_one_spelling(typed: str, kept: str) -> None:
    assert normal_account(typed) == kept


@pytest.mark.parametrize(
    ("typed", "why"),
    [("DE88370400440532013000", "check digits"), ("12", "4 to 34"), ("no account!", "4 to 34")],
)
def test_what_is_no_account_is_refused(typed: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        normal_account(typed)

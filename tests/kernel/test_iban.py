import pytest

from florin.kernel.iban import is_iban, looks_like_iban


@pytest.mark.parametrize("number", ["DE89370400440532013000", "GB29NWBK60161331926819", "NO9386011117947"])
def test_an_iban_is_one_until_a_digit_differs(number: str) -> None:
    assert is_iban(number)
    other = number[:-1] + str((int(number[-1]) + 1) % 10)
    assert looks_like_iban(other)
    assert not is_iban(other)


@pytest.mark.parametrize(
    "number", ["", "6200100123", "de89370400440532013000", "DE89 3704 0044 0532 0130 00"]
)
def test_other_numbers_are_none(number: str) -> None:
    assert not is_iban(number)

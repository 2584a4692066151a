"""Amounts, cells and file names."""

import pytest

from florin.ledger.reports.render.text import amount_text, file_name, signed_cells
from tests.ledger.reports.render.parts import PERIOD


@pytest.mark.parametrize(
    ("amount_minor", "exponent", "text"),
    [
        (1234, 2, "12.34"),
        (-5, 2, "-0.05"),
        (0, 2, "0.00"),
        (1234, 0, "1234"),
        (1234, 3, "1.234"),
        (-1, 4, "-0.0001"),
        (10**18, 2, "10000000000000000.00"),
    ],
)
def test_an_amount_has_the_digits_of_its_currency(amount_minor: int, exponent: int, text: str) -> None:
    assert amount_text(amount_minor, exponent) == text


def test_an_amount_stands_on_one_side() -> None:
    assert signed_cells(150, 2) == ("1.50", "")
    assert signed_cells(-150, 2) == ("", "1.50")


def test_a_file_name_has_nothing_that_a_file_system_minds() -> None:
    assert file_name("statement", "a:b/../c d", PERIOD, "csv") == (
        "statement_a-b-..-c-d_2026-11-01_2026-12-01.csv"
    )
    assert file_name("journal", None, PERIOD, "json") == "journal_2026-11-01_2026-12-01.json"

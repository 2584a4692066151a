"""What people write does not become a formula in somebody's spreadsheet."""

import pytest

from florin.kernel.cells import safe_cell


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"])
def test_what_looks_like_a_formula_gets_an_apostrophe(text: str) -> None:
    assert safe_cell(text) == f"'{text}"


def test_other_texts_stay_as_they_are() -> None:
    assert [safe_cell(text) for text in ("a=b", "", None, "Ünï")] == ["a=b", "", "", "Ünï"]

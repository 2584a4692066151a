"""Cells of CSV files that people open in spreadsheets."""

from typing import Final

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


def safe_cell(text: str | None) -> str:
    """A text that no spreadsheet takes for a formula: one that looks like it gets an apostrophe.

    Source: OWASP, CSV injection. Only for what people have written: amounts may begin with a minus.
    """
    if not text:
        return ""
    return f"'{text}" if text.startswith(_FORMULA) else text

"""Invoices of a British shop (UCI Online Retail), grouped from their lines.

`online_retail.csv` in ../shared/data/orders. One invoice's lines need not stand together. A number that
starts with C is a cancellation; quantities may be negative.
"""

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final

from florin.cli.replay import csv_file
from florin.cli.replay.errors import BadInput
from florin.kernel.money import MAX_AMOUNT_MINOR, round_minor

CURRENCY: Final = "GBP"
_EXPONENT: Final = 2
_COLUMNS: Final = ("InvoiceNo", "Quantity", "UnitPrice", "Country")


@dataclass(frozen=True, slots=True)
class _Line:
    invoice: str
    country: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Invoice:
    """One invoice: the sum of its lines in pence, rounded once."""

    number: str
    country: str
    lines: int
    total_minor: int

    @property
    def why_not_taken(self) -> str | None:
        """Why it is no payment; None where it is one."""
        if self.number.upper().startswith("C"):
            return "cancellation"
        if self.total_minor <= 0:
            return "total is zero or less"
        if self.total_minor > MAX_AMOUNT_MINOR:
            return "total beyond the largest amount"
        return None


def read(path: Path) -> list[Invoice]:
    """Every invoice, in order of first appearance.

    Raises:
        BadInput: not that file.
    """
    grouped: dict[str, list[_Line]] = {}
    for line in csv_file.read(path, _COLUMNS, _line):
        grouped.setdefault(line.invoice, []).append(line)
    if not grouped:
        raise BadInput(f"{path} has no invoices")
    return [
        Invoice(
            number=number,
            country=lines[0].country,
            lines=len(lines),
            total_minor=round_minor(sum((line.amount for line in lines), Decimal(0)).scaleb(_EXPONENT)),
        )
        for number, lines in grouped.items()
    ]


def _line(line: dict[str, str]) -> _Line:
    invoice = line["InvoiceNo"].strip()
    if not invoice:
        raise ValueError("InvoiceNo is empty")
    amount = csv_file.whole(line, "Quantity") * csv_file.decimal(line, "UnitPrice")
    return _Line(invoice=invoice, country=line["Country"].strip(), amount=amount)

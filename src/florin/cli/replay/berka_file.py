"""The transactions of a Czech bank, 1993-94 (PKDD'99 Discovery Challenge, "Berka"), as plain facts.

`trans.asc` in ../shared/data/berka: 49,102 rows of 1,229 accounts, in order of date. The file gives the
bank's own balance after each row, which is what a replay can be measured against.

Within one day the file's order is not the bank's: only 40,134 of the rows continue their predecessor's
balance. `in_bank_order` finds the bank's order, and then 49,074 do, each within 0.10 (the bank
rounds its balances to tenths). The other 28 are where the file is cut: it ends in the middle of its last
day, 31 March 1994, and for 28 accounts a credit of that day, the interest, is beyond the cut while the
balance of a row before the cut already has it. Hence 1,201 of 1,229 accounts can end where the bank
says, and do.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import Final

from florin.cli.replay import csv_file
from florin.cli.replay.errors import BadInput
from florin.kernel.money import MAX_AMOUNT_MINOR, to_minor

CURRENCY: Final = "CZK"
_EXPONENT: Final = 2
_COLUMNS: Final = (
    "trans_id",
    "account_id",
    "date",
    "type",
    "operation",
    "amount",
    "balance",
    "k_symbol",
    "bank",
    "account",
)
_SIGNS: Final = {"PRIJEM": 1, "VYDAJ": -1, "VYBER": -1}
"""Credit, withdrawal, withdrawal in cash: what each does to the customer's balance."""


@dataclass(frozen=True, slots=True)
class Counter:
    """The bank's own account on the other side of a customer's transaction."""

    code: str
    name: str
    type: str


CASH: Final = Counter("berka:cash", "Cash in the vault", "asset")
CARDS: Final = Counter("berka:cards", "Card withdrawals in clearing", "asset")
BANKS: Final = Counter("berka:banks", "Other banks, clearing", "asset")
LOANS: Final = Counter("berka:loans", "Loans to customers", "asset")
INTEREST: Final = Counter("berka:interest", "Interest paid to customers", "expense")
PENALTIES: Final = Counter("berka:penalties", "Interest on negative balances", "income")
FEES: Final = Counter("berka:fees", "Statement fees", "income")
OTHER: Final = Counter("berka:other", "Not explained by the file", "asset")

_BY_SYMBOL: Final = {"UROK": INTEREST, "SANKC. UROK": PENALTIES, "SLUZBY": FEES, "UVER": LOANS}
_BY_OPERATION: Final = {
    "VKLAD": CASH,
    "VYBER": CASH,
    "VYBER KARTOU": CARDS,
    "PREVOD Z UCTU": BANKS,
    "PREVOD NA UCET": BANKS,
}


@dataclass(frozen=True, slots=True)
class Row:
    """One transaction. `signed_minor` is positive where the customer's balance grows; heller."""

    trans_id: int
    account_id: int
    day: date
    type: str
    operation: str
    k_symbol: str
    counterparty: str
    signed_minor: int
    bank_balance_minor: int

    @property
    def counter(self) -> Counter:
        """What the money is for says more than how it moved: interest, fees and loans come first."""
        return _BY_SYMBOL.get(self.k_symbol) or _BY_OPERATION.get(self.operation, OTHER)


def read(path: Path) -> list[Row]:
    """All rows in file order, of `trans.asc` or of the folder that holds it.

    Raises:
        BadInput: not that file.
    """
    file = path / "trans.asc" if path.is_dir() else path
    rows = list(csv_file.read(file, _COLUMNS, _row, delimiter=";", encoding="latin-1"))
    if not rows:
        raise BadInput(f"{file} has no rows")
    if len({row.trans_id for row in rows}) != len(rows):
        raise BadInput(f"{file} has a trans_id twice; it is each transfer's idempotency key")
    return rows


def _row(line: dict[str, str]) -> Row:
    sign = _SIGNS.get(line["type"])
    if sign is None:
        raise ValueError(f"type {line['type']!r} is none of {', '.join(_SIGNS)}")
    amount_minor = to_minor(csv_file.decimal(line, "amount"), _EXPONENT)
    if not 1 <= amount_minor <= MAX_AMOUNT_MINOR:
        raise ValueError(f"amount {line['amount']} is not above zero and a possible amount")
    return Row(
        trans_id=csv_file.whole(line, "trans_id"),
        account_id=csv_file.whole(line, "account_id"),
        day=_day(line["date"]),
        type=line["type"],
        operation=line["operation"],
        k_symbol=line["k_symbol"].strip(),
        counterparty="/".join(filter(None, (line["account"].strip(), line["bank"].strip()))),
        signed_minor=sign * amount_minor,
        bank_balance_minor=to_minor(csv_file.decimal(line, "balance"), _EXPONENT),
    )


def _day(text: str) -> date:
    """930101 is 1 January 1993; the file has no other century."""
    try:
        return date(1900 + int(text[:2]), int(text[2:4]), int(text[4:]))
    except ValueError:
        raise ValueError(f"date {text!r} is not a day as YYMMDD") from None


def by_account(rows: Iterable[Row]) -> dict[int, list[Row]]:
    """Each account's rows in their order, accounts by first appearance."""
    accounts: dict[int, list[Row]] = {}
    for row in rows:
        accounts.setdefault(row.account_id, []).append(row)
    return accounts


def in_bank_order(rows: Sequence[Row]) -> list[Row]:
    """One account's rows as the bank booked them.

    Days in order; within a day, next is always the row whose own balance is nearest to the balance so
    far and its amount. No rule over types or ids does as well: the best puts 46,853 of 49,102 right.
    """
    ordered: list[Row] = []
    balance_minor = 0
    for _, day in groupby(rows, key=lambda row: row.day):
        left = list(day)
        while left:
            row = min(left, key=lambda row: abs(balance_minor + row.signed_minor - row.bank_balance_minor))
            left.remove(row)
            ordered.append(row)
            balance_minor = row.bank_balance_minor
    return ordered


def closing_balance_minor(rows: Sequence[Row]) -> int:
    """The balance that the bank recorded in the last row of one account."""
    return in_bank_order(rows)[-1].bank_balance_minor

"""Rows of accounts, made ready for COPY. No I/O."""

import re
from collections.abc import Collection
from typing import Final

import orjson

from florin.kernel.ids import new_id
from florin.ledger.bulk.fields import Misread, bound_minor, check_text, copied, metadata
from florin.ledger.bulk.files import Row, Rows
from florin.ledger.bulk.model import RowError
from florin.ledger.model import AccountType

_CODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._/@+-]{0,119}")
_SYSTEM: Final = re.compile(r"(provider|partner):[^:]+:(receivable|payable):([A-Z]{3})")
_SYSTEM_TYPES: Final = {("provider", "receivable"): "asset", ("partner", "payable"): "liability"}


def account_lines(rows: Rows, currencies: Collection[str]) -> tuple[list[str], list[RowError]]:
    """Lines for COPY into import_accounts, and what is wrong with the other rows."""
    lines: list[str] = []
    errors: list[RowError] = []
    for number, row in enumerate(rows.rows, rows.first):
        try:
            lines.append(_line(number, row, currencies))
        except Misread as error:
            errors.append(RowError(number, error.field, error.code, error.message))
    return lines, errors


def _line(number: int, row: Row, currencies: Collection[str]) -> str:
    if len(row) == 1:
        raise Misread(None, "row_malformed", "the row has another number of fields than the header")
    code, name, type_, currency, lowest, highest, notes = row
    if _CODE.fullmatch(code) is None:
        raise Misread("code", "field_malformed", f"{code[:120]!r} is not a code of up to 120 characters")
    check_text("code", code)
    check_text("name", name)
    if type_ not in frozenset(AccountType):
        raise Misread("type", "field_malformed", f"{type_[:40]!r} is none of {', '.join(AccountType)}")
    if currency not in currencies:
        raise Misread(
            "currency", "currency_unknown", f"{currency[:10]!r} is not a currency with a minor unit"
        )
    if code.startswith(("provider:", "partner:")):
        _check_system(code, type_, currency)
    low, high = bound_minor("min_balance", lowest), bound_minor("max_balance", highest)
    if low is not None and high is not None and low > high:
        raise Misread("min_balance", "bounds_out_of_order", "the lower bound lies above the upper one")
    details = copied(orjson.dumps(metadata(notes)).decode()) if notes else "{}"
    bounds = "\t".join("\\N" if bound is None else str(bound) for bound in (low, high))
    return f"{number}\t{new_id()}\t{code}\t{copied(name) or code}\t{type_}\t{currency}\t{bounds}\t{details}\n"


def _check_system(code: str, type_: str, currency: str) -> None:
    """What the system makes itself may come back in from an export, in the shape that it gave it."""
    shape = _SYSTEM.fullmatch(code)
    if shape is None or _SYSTEM_TYPES.get((shape[1], shape[2])) != type_ or shape[3] != currency:
        raise Misread(
            "code",
            "account_code_reserved",
            "codes that begin with provider: or partner: belong to the system",
        )

"""Files for imports, and short ways to import them and to look at the books afterwards."""

import csv
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any

from florin.ledger import service as ledger_service
from florin.ledger.bulk.files import File
from florin.ledger.bulk.model import FileFormat, Import, ImportKind, RowError
from florin.ledger.bulk.service import import_errors, import_file
from florin.ledger.model import AccountType, NewAccount
from florin.ledger.service import Ledger
from tests.ledger.books import Books


def csv_file(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None) -> File:
    """A CSV file of these rows."""
    names = columns or list(dict.fromkeys(name for row in rows for name in row))
    text = StringIO()
    writer = csv.DictWriter(text, names, restval="")
    writer.writeheader()
    writer.writerows(rows)
    return File(text.getvalue().encode(), FileFormat.CSV)


def row(debit: str, credit: str, amount: object, **more: object) -> dict[str, object]:
    """A transfer between two accounts."""
    return {"debit_account": debit, "credit_account": credit, "amount": amount, **more}


async def bring_in(books: Books, kind: ImportKind, file: File, *, chunk_rows: int = 50_000) -> Import:
    """Imports into a test's books."""
    return await import_file(books.ledger, books.tenant_id, kind, file, chunk_rows=chunk_rows)


async def errors_of(books: Books, done: Import) -> list[RowError]:
    """All that was wrong with its rows."""
    return await import_errors(books.ledger, books.tenant_id, done.id, limit=10_000)


async def open_as(
    books: Books,
    code: str,
    type_: AccountType = AccountType.LIABILITY,
    currency: str = "USD",
    **bounds: int | None,
) -> None:
    """An account with a code of the test's choice: `lowest`, `highest`."""
    new = NewAccount(code, code, type_, currency, bounds.get("lowest"), bounds.get("highest"))
    books.opened.append((await ledger_service.open_account(books.ledger, books.tenant_id, new)).id)


async def balances(ledger: Ledger, tenant_id: int) -> dict[str, int]:
    """What each account holds, by code."""
    found = await ledger_service.accounts(
        ledger,
        tenant_id,
        limit=10_000,
        starting_after=None,
        type=None,
        currency=None,
        status=None,
        code_prefix=None,
    )
    return {one.code: one.balance.balance_minor for one in found}

"""Exports: what comes out, and that it goes in again."""

import csv
from datetime import UTC, datetime, timedelta
from io import BytesIO, StringIO
from typing import Any

import pyarrow.parquet
import pytest

from florin.kernel.errors import InvalidRequest
from florin.ledger import service as ledger_service
from florin.ledger.bulk.export import export
from florin.ledger.bulk.files import File
from florin.ledger.bulk.model import ExportKind, FileFormat, ImportKind
from florin.ledger.model import AccountType
from tests.ledger.books import Books, posting, reversing
from tests.ledger.bulk.files import balances, bring_in, csv_file, errors_of, open_as, row


async def taken(
    books: Books, kind: ExportKind, format_: FileFormat = FileFormat.CSV, **filters: Any
) -> bytes:
    return b"".join([part async for part in export(books.ledger, books.tenant_id, kind, format_, **filters)])


def read(text: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(text.decode())))


@pytest.fixture
async def traded(books: Books) -> Books:
    """Books with two-leg and larger transfers, in two currencies, dated, described, and a reversal."""
    await open_as(books, "assets:bank:usd", AccountType.ASSET)
    await open_as(books, "assets:bank:eur", AccountType.ASSET, "EUR")
    await open_as(books, "shops:1", lowest=0)
    await open_as(books, "shops:2", currency="EUR")
    usd, eur, one, two = books.opened
    await bring_in(
        books,
        ImportKind.TRANSFERS,
        csv_file(
            [
                row(
                    "assets:bank:usd",
                    "shops:1",
                    900,
                    effective_at="2024-01-31T10:00:00Z",
                    description='1" "x"',
                )
            ]
        ),
    )
    exchange = posting((usd, 100), (one, -100), (eur, 90), (two, -90))
    await ledger_service.post_transfer(books.ledger, books.tenant_id, exchange)
    await ledger_service.reverse_transfer(books.ledger, books.tenant_id, reversing(exchange.id))
    last = posting((one, 50), (usd, -50))
    await ledger_service.post_transfer(books.ledger, books.tenant_id, last)
    return books


@pytest.mark.parametrize("format_", FileFormat)
async def test_what_was_exported_gives_the_same_balances_in_other_books(
    traded: Books, other_books: Books, format_: FileFormat
) -> None:
    for kind in (ImportKind.ACCOUNTS, ImportKind.TRANSFERS):
        file = File(await taken(traded, ExportKind(kind), format_), format_)
        done = await bring_in(other_books, kind, file)
        assert (done.status, await errors_of(other_books, done)) == ("completed", [])
    there = await balances(traded.ledger, traded.tenant_id)
    assert await balances(other_books.ledger, other_books.tenant_id) == there
    assert there["shops:1"] == 850
    found = await ledger_service.transfers(other_books.ledger, other_books.tenant_id, limit=10)
    assert [len(one.entries) for one in found] == [2, 4, 4, 2]
    assert (found[-1].effective_at.isoformat(), found[-1].description) == (
        "2024-01-31T10:00:00+00:00",
        '1" "x"',
    )


async def test_balances_go_in_again_as_opening_balances(traded: Books, other_books: Books) -> None:
    await bring_in(
        other_books, ImportKind.ACCOUNTS, File(await taken(traded, ExportKind.ACCOUNTS), FileFormat.CSV)
    )
    await bring_in(
        other_books, ImportKind.BALANCES, File(await taken(traded, ExportKind.BALANCES), FileFormat.CSV)
    )
    there = await balances(other_books.ledger, other_books.tenant_id)
    assert there == await balances(traded.ledger, traded.tenant_id) | {"opening:USD": 0, "opening:EUR": 0}


async def test_entries_come_with_number_and_balance_account_by_account(traded: Books) -> None:
    lines = read(await taken(traded, ExportKind.ENTRIES, subtree="assets:bank"))
    assert [(line["account"], line["seq"], line["amount"], line["balance_after"]) for line in lines] == [
        ("assets:bank:usd", "1", "900", "900"),
        ("assets:bank:usd", "2", "100", "1000"),
        ("assets:bank:usd", "3", "-100", "900"),
        ("assets:bank:usd", "4", "-50", "850"),
        ("assets:bank:eur", "1", "90", "90"),
        ("assets:bank:eur", "2", "-90", "0"),
    ]
    assert lines[0]["effective_at"] == "2024-01-31T10:00:00.000000Z"


async def test_a_subtree_is_whole_codes_and_a_period_is_when_it_was_recorded(traded: Books) -> None:
    assert [line["code"] for line in read(await taken(traded, ExportKind.ACCOUNTS, subtree="shops"))] == [
        "shops:1", "shops:2",
    ]  # fmt: skip
    assert read(await taken(traded, ExportKind.ACCOUNTS, subtree="shop")) == []
    now = datetime.now(UTC)
    for kind in (ExportKind.ENTRIES, ExportKind.TRANSFERS):
        everything = read(await taken(traded, kind))
        assert read(await taken(traded, kind, since=now - timedelta(hours=1))) == everything
        assert read(await taken(traded, kind, until=now - timedelta(hours=1))) == []
    with pytest.raises(InvalidRequest):
        await taken(traded, ExportKind.BALANCES, since=now)


async def test_parquet_has_numbers_and_times_and_is_whole_when_empty(
    traded: Books, other_books: Books
) -> None:
    table = pyarrow.parquet.read_table(BytesIO(await taken(traded, ExportKind.ENTRIES, FileFormat.PARQUET)))
    assert str(table.schema.field("amount").type) == "int64"
    assert str(table.schema.field("recorded_at").type) == "timestamp[us, tz=UTC]"
    assert table.num_rows == 12
    empty = pyarrow.parquet.read_table(
        BytesIO(await taken(other_books, ExportKind.ENTRIES, FileFormat.PARQUET))
    )
    assert (empty.num_rows, empty.schema.names) == (0, table.schema.names)

"""`florin ledger statement` and its siblings, as a user runs them."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest

from florin.kernel.embedded import EmbeddedServer
from tests.cli.conftest import Command

SCRIPT = """
import asyncio
from datetime import UTC, datetime
from florin.kernel.database_urls import open_database
from florin.kernel.db import Database
from florin.kernel.ids import new_id
from florin.kernel.settings import settings
from florin.ledger import service
from florin.ledger.model import AccountType, Leg, NewAccount, Posting

async def main():
    async with open_database(settings()) as urls, Database(urls.app) as database:
        ledger = service.Ledger(database)
        async with database.platform() as connection:
            rows = await connection.execute(
                "SELECT tenant_id FROM tenancy.registry WHERE code = 'ACME' AND NOT live"
            )
            (tenant_id,) = await rows.fetchone()
        bank, wallet = [
            (await service.open_account(ledger, tenant_id, NewAccount(code, "[red]" + code, kind, "KWD"))).id
            for code, kind in (("assets:bank", AccountType.ASSET), ("wallets:1", AccountType.LIABILITY))
        ]
        for amount in (5000, 1234):
            await service.post_transfer(
                ledger, tenant_id, Posting(new_id(), None, (Leg(bank, amount), Leg(wallet, -amount)))
            )

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def books(florin: Command) -> Iterator[Command]:
    """A tenant ACME whose test books hold two accounts and two transfers; its server stays up meanwhile."""
    assert florin("migrate").returncode == 0
    server = EmbeddedServer(florin.data_dir)
    server.start()
    try:
        made = florin("tenants", "create", "ACME", "--name", "Acme", "--email", "ops@acme.example")
        assert made.returncode == 0, made.stderr
        filled = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, "FLORIN_DATA_DIR": str(florin.data_dir)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert filled.returncode == 0, filled.stderr
        yield florin
    finally:
        server.stop()


def told(books: Command, *words: str) -> str:
    """What a report of ACME's test books says."""
    done = books("ledger", *words, "--tenant", "ACME", "--from", "2020-01-01")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_reports_are_shown_as_tables(books: Command) -> None:
    statement = told(books, "statement", "--account", "wallets:1")
    assert "[red]wallets:1, KWD" in statement
    for figure in ("5.000", "6.234", "Opening balance", "Closing balance"):
        assert figure in statement
    assert "assets:bank" not in statement
    assert "wallets:1" in told(books, "general-ledger", "--under", "assets")
    assert told(books, "journal").count("tr_") == 2
    balances = books("ledger", "trial-balance", "--tenant", "ACME", "--test", "--json")
    assert [row["debits"] + row["credits"] for row in json.loads(balances.stdout)] == [6234, 6234]
    trial = told(books, "trial-balance", "--depth", "1", "--by", "effective")
    assert trial.count("6.234") == 8


def test_reports_are_written_as_json_and_csv(books: Command) -> None:
    body = json.loads(told(books, "statement", "--json", "--to", "2199-01-01T00:00:00Z"))
    assert [account["closing"] for account in body["accounts"]] == [6234, 6234]
    assert body["period"]["to"] == "2199-01-01T00:00:00Z"
    rows = list(csv.DictReader(StringIO(told(books, "journal", "--format", "csv"))))
    assert [row["debit"] or row["credit"] for row in rows] == ["5.000", "5.000", "1.234", "1.234"]
    for report in ("general-ledger", "trial-balance"):
        assert json.loads(told(books, report, "--json"))["period"]["by"] == "recorded"


def test_reports_are_saved_whole_or_not_at_all(books: Command, tmp_path: Path) -> None:
    for report, format, begins in (
        ("statement", "pdf", b"%PDF"),
        ("statement", "camt053", b"<?xml"),
        ("trial-balance", "pdf", b"%PDF"),
    ):
        path = tmp_path / f"{report}.{format}"
        told(books, report, "--format", format, "--output", str(path))
        assert path.read_bytes().startswith(begins)
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("statement", "--account", "nobody"), "account"),
        (("statement", "--account", "wallets:1", "--under", "assets"), "under"),
        (("statement", "--to", "2019-01-01"), "from"),
        (("statement", "--to", "tomorrow"), "2026-11-20"),
        (("statement", "--format", "pdf"), "--output"),
        (("journal", "--format", "pdf", "--output", "x.pdf"), "table, json, csv"),
        (("journal", "--output", "x"), "--format"),
    ],
)
def test_what_cannot_be_is_a_usage_error(books: Command, words: tuple[str, ...], says: str) -> None:
    done = books("ledger", *words, "--tenant", "ACME", "--from", "2020-01-01")
    assert done.returncode == 2, done.stdout
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_cannot_be_written_is_said(books: Command, tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "x.csv"
    done = books(
        *("ledger", "statement", "--tenant", "ACME", "--from", "2020-01-01"),
        *("--format", "csv", "--output", str(path)),
    )
    assert done.returncode == 1
    assert "No such file" in done.stderr

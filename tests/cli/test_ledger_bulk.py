"""`florin ledger import`, `export` and `archive` as a user runs them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import Command

BOOKS = ("--tenant", "ACME")


@pytest.fixture(scope="module")
def acme(florin: Command) -> Command:
    """A tenant with two accounts in its test books."""
    florin("migrate")
    made = florin("tenants", "create", "ACME", "--name", "Acme", "--email", "ops@acme.example")
    assert made.returncode == 0, made.stderr
    accounts = florin.data_dir / "accounts.csv"
    accounts.write_text("code,name,type,currency\nbank,Bank,asset,USD\nwallet,Wallet,liability,USD\n")
    told = florin("ledger", "import", "accounts", str(accounts), *BOOKS)
    assert (told.returncode, told.stdout.strip()) == (0, "2 rows imported, 0 refused"), told.stderr
    return florin


def test_an_import_reports_its_errors_and_an_export_goes_in_again(acme: Command, tmp_path: Path) -> None:
    file, report = tmp_path / "history.csv", tmp_path / "errors.csv"
    file.write_text("debit_account,credit_account,amount\nbank,wallet,500\nbank,nobody,1\n")
    told = acme("ledger", "import", "transfers", str(file), *BOOKS, "--report", str(report))
    assert told.returncode == 0, told.stderr
    assert "account_not_found" in told.stdout
    assert (
        report.read_text().splitlines()[1]
        == "2,credit_account,account_not_found,there is no account 'nobody'"
    )
    again = json.loads(acme("ledger", "import", "transfers", str(file), *BOOKS, "--json").stdout)
    assert (again["rows_done"], again["rows_refused"], again["errors"][0]["row_number"]) == (2, 1, 2)

    exported = acme("ledger", "export", "transfers", *BOOKS)
    assert ",bank,wallet,500,USD," in exported.stdout
    for kind in ("accounts", "transfers"):
        path = tmp_path / f"{kind}.parquet"
        assert acme("ledger", "export", kind, *BOOKS, "-o", str(path)).returncode == 0
        done = acme("ledger", "import", kind, str(path), *BOOKS, "--live")
        assert "0 refused" in done.stdout, done.stderr
    balances = acme("ledger", "export", "balances", *BOOKS, "--live").stdout
    assert balances.splitlines() == ["code,amount,currency", "bank,500,USD", "wallet,500,USD"]


def test_a_file_that_cannot_be_read_and_a_wrong_time_are_usage_errors(acme: Command, tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text("colour\nred\n")
    for words in (
        ("import", "transfers", str(file), *BOOKS),
        ("import", "transfers", str(tmp_path / "none.csv"), *BOOKS),
        ("export", "entries", *BOOKS, "--from", "yesterday"),
        ("archive", "--month", "2024-13"),
        ("archive", "--month", "2990-01"),
    ):
        told = acme("ledger", *words)
        assert (told.returncode, "Traceback" in told.stderr) == (2, False), told.stderr


def test_nothing_is_due_for_the_archive_of_new_books(acme: Command) -> None:
    assert "nothing is due" in acme("ledger", "archive", "--dry-run").stdout
    assert "nothing is due" in acme("ledger", "archive", FLORIN_LEDGER_MONTHS_KEPT="0").stdout


@pytest.mark.slow
def test_killed_in_the_middle_and_run_again_posts_every_row_once(acme: Command, tmp_path: Path) -> None:
    file = tmp_path / "large.csv"
    count = 300_000
    file.write_text("debit_account,credit_account,amount,description\n" + "bank,wallet,1,killed\n" * count)
    command = [sys.executable, "-m", "florin", "ledger", "import", "transfers", str(file), *BOOKS, "--json"]
    environment = {**os.environ, "FLORIN_DATA_DIR": str(acme.data_dir), "FLORIN_PG_SHARED_BUFFERS": "64MB"}
    holding = subprocess.Popen(  # keeps the server up while importers die
        [sys.executable, "-m", "florin", "run", "--port", "0"],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        # The second has less to do: it must still be at it when Ctrl-C comes, not on its way out.
        for seconds, how in ((3.0, signal.SIGKILL), (2.2, signal.SIGINT)):
            process = subprocess.Popen(
                command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            time.sleep(seconds)
            process.send_signal(how)
            assert process.wait(30) in (-signal.SIGKILL, 130, 0)
        done = json.loads(acme("ledger", "import", "transfers", str(file), *BOOKS, "--json").stdout)
    finally:
        holding.send_signal(signal.SIGINT)
        holding.wait(30)
    assert (done["status"], done["rows_done"], done["rows_refused"]) == ("completed", count, 0)
    entries = acme("ledger", "export", "transfers", *BOOKS, "--subtree", "bank").stdout
    assert sum(",killed," in line for line in entries.splitlines()) == count

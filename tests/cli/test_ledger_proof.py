"""`florin ledger verify`, `rebuild` and `status`, as a user runs them."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from florin.cli.bench.full_books import fill
from florin.kernel.db import Database
from florin.kernel.ids import encode_id, new_id
from tests.cli.conftest import Command
from tests.conftest import AllDatabaseUrls

ROUNDS = 300
ACCOUNTS = 100


@dataclass
class Stage:
    """A tenant's test books with 60,000 entries."""

    florin: Command
    environment: dict[str, str]
    root: psycopg.Connection
    accounts: list[UUID]

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.florin("ledger", *arguments, "--tenant", "ACME", **self.environment)

    def kept(self) -> Path:
        """Where an interrupted verification is kept."""
        return self.florin.data_dir / "verify-ACME-test.json"


@pytest.fixture(scope="module")
def stage(florin: Command, database_urls: AllDatabaseUrls) -> Iterator[Stage]:
    environment = {"FLORIN_DATABASE_URL": database_urls.root, "FLORIN_APP_DATABASE_URL": database_urls.app}
    made = florin("tenants", "create", "ACME", "--name", "Acme", "--email", "ops@acme.example", **environment)
    assert made.returncode == 0, made.stderr
    accounts = [new_id() for _ in range(ACCOUNTS)]
    with psycopg.connect(database_urls.root, autocommit=True) as root:
        row = root.execute(
            "SELECT tenant_id FROM tenancy.registry WHERE code = 'ACME' AND NOT live"
        ).fetchone()
        assert row is not None
        root.execute(f"SET app.tenant_id = {row[0]}".encode())
        root.execute(
            "INSERT INTO ledger.accounts (tenant_id, id, code, type, currency)"
            " SELECT %s, u.id, u.id::text, 'liability', 'USD' FROM unnest(%s::uuid[]) u (id)",
            (row[0], accounts),
        )

        async def write() -> None:
            async with Database(database_urls.app) as database:
                await fill(database, row[0], accounts, ROUNDS)

        asyncio.run(write())
        root.execute("ANALYZE ledger.entries, ledger.transfers")
        root.execute("SET session_replication_role = replica")
        yield Stage(florin, environment, root, accounts)


def test_sound_books_end_with_zero(stage: Stage) -> None:
    told = stage("verify")
    assert told.returncode == 0, told.stderr
    assert "the books are as their log says" in told.stdout
    assert not stage.kept().exists()
    rebuilt = stage("rebuild", "--json")
    assert (rebuilt.returncode, json.loads(rebuilt.stdout)) == (0, {"fault_count": 0, "faults": []})


def test_the_standing_before_the_first_proof(stage: Stage) -> None:
    told = stage("status", "--json")
    assert told.returncode == 0, told.stderr
    shown = json.loads(told.stdout)
    assert (shown["status"], shown["transfers"]) == ("behind", 0)
    assert shown["behind_transfers"] == ROUNDS * ACCOUNTS
    assert "behind" in stage("status").stdout


def test_ctrl_c_says_how_to_go_on_and_going_on_ends_it(stage: Stage) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "florin", "ledger", "verify", "--tenant", "ACME"],
        env={**os.environ, "FLORIN_DATA_DIR": str(stage.florin.data_dir), **stage.environment},
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 30
    while not stage.kept().exists() and time.monotonic() < deadline:
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert f"--test --from {stage.kept()}" in said
    assert "Traceback" not in said
    told = stage("verify", "--from", str(stage.kept()))
    assert told.returncode == 0, told.stderr
    assert not stage.kept().exists()


def test_a_file_that_is_none_of_ours_is_a_usage_error(stage: Stage, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.json"
    wrong.write_text("{}")
    told = stage("verify", "--from", str(wrong))
    assert (told.returncode, "interrupted verification" in told.stderr) == (2, True)


def test_a_fault_is_named_and_ends_with_one(stage: Stage) -> None:
    account = stage.accounts[3]
    stage.root.execute("UPDATE ledger.accounts SET balance = balance + 1 WHERE id = %s", (account,))
    told = stage("verify")
    assert told.returncode == 1
    assert encode_id("acct", account) in told.stdout
    assert "accounts_at_last_entry" in told.stdout
    shown = json.loads(stage("verify", "--json", "--all").stdout)
    assert {one["rule"] for one in shown["faults"]} == {"accounts_at_last_entry", "trial_balance_is_zero"}
    differing = stage("rebuild")
    assert (differing.returncode, "accounts_rebuilt" in differing.stdout) == (1, True)
    assert "1 accounts put right" in stage("rebuild", "--write").stdout
    assert json.loads(stage("rebuild", "--write", "--json").stdout)["accounts"] == []
    assert stage("verify").returncode == 0

"""`florin ledger chart, accounts, limits` and `florin audit`, as a user runs them."""

import json
import subprocess
from typing import Any

import pytest

from tests.cli.conftest import Command
from tests.conftest import AllDatabaseUrls


class OnDatabase(Command):
    """The command on a database that is there: starting one for each command would take a second or two."""

    url: str

    def __call__(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return super().__call__(*arguments, **environment, FLORIN_DATABASE_URL=self.url)


@pytest.fixture(scope="module")
def books(florin: Command, database_urls: AllDatabaseUrls) -> Command:
    """A migrated database with a tenant ACME."""
    on_database = OnDatabase(florin.data_dir)
    on_database.url = database_urls.root
    made = on_database("tenants", "create", "ACME", "--name", "Acme", "--email", "ops@acme.example")
    assert made.returncode == 0, made.stderr
    return on_database


def told(florin: Command, *words: str) -> str:
    """What a command that has to succeed prints."""
    done = florin(*words, "--tenant", "ACME")
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    return done.stdout.strip()


def test_settings_are_made_changed_seen_and_audited(books: Command) -> None:
    def ledger(*words: str) -> str:
        return told(books, "ledger", *words)

    applied = json.loads(ledger("chart", "apply", "fintech", "--json"))
    assert "customer" in applied["made"]
    assert "0 made" in ledger("chart", "apply", "fintech")
    ledger("chart", "add", "customer:vip", "--name", "Best customers", "--type", "liability", "--max", "0")
    ledger("chart", "set", "customer:vip", "--unbounded", "--reason", "they may have more")
    account = ledger(
        *("accounts", "open", "customer:vip:1", "--name", "One", "--type", "liability"),
        *("--currency", "USD", "--metadata", "customer=1"),
    )
    assert account.startswith("acct_")
    shown = json.loads(ledger("accounts", "show", account))
    assert (shown["min_balance"], shown["effective_min_balance"], shown["effective_max_balance"]) == (
        None,
        0,
        None,
    )
    listed = json.loads(
        ledger("accounts", "list", "--metadata", "customer=1", "--under", "customer", "--json")
    )
    assert [one["id"] for one in listed] == [account]

    limit = ledger("limits", "create", "Family", "--side", "credit", "--currency", "USD", "--max", "500")
    assert json.loads(ledger("limits", "attach", limit, account))["balance"] == 0
    assert "Family" in ledger("limits", "list")
    assert "every limit" in ledger("limits", "verify")
    ledger("limits", "detach", account)
    ledger("accounts", "freeze", account, "--reason", "court order 7")
    ledger("accounts", "unfreeze", account)
    ledger("accounts", "set", account, "--min", "-5", "--name", "First")
    assert "closed" in ledger("accounts", "close", account)

    tree = json.loads(ledger("chart", "tree", "--under", "customer", "--json"))
    assert [(node["code"], node["depth"]) for node in tree] == [("customer", 0), ("customer:vip", 1)]
    assert "customer:vip" in ledger("chart", "balance", "customer")
    ledger("chart", "remove", "customer:vip")

    assert "court order 7" in ledger("accounts", "changes", account)
    entries: list[Any] = json.loads(told(books, "audit", "list", "--entity", account, "--json"))
    assert entries[0]["actor"].startswith("cli:")
    assert {"status", "limit_id"} <= {field for entry in entries for field in entry["changed"]}
    verdict = json.loads(told(books, "audit", "verify", "--json"))
    assert verdict["broken"] is None
    assert verdict["rows"] > len(entries)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("ledger", "accounts", "freeze", "acct_nonsense"), "acct_nonsense"),
        (("ledger", "chart", "remove", "nobody"), "nobody"),
        (("ledger", "chart", "apply", "bakery"), "bakery"),
        (("ledger", "chart", "set", "x", "--clears-within", "soon"), "P7D"),
        (("ledger", "accounts", "list", "--metadata", "x"), "key=value"),
    ],
)
def test_what_is_wrong_is_told_in_one_sentence(books: Command, words: tuple[str, ...], named: str) -> None:
    done = books(*words, "--tenant", "ACME")
    assert done.returncode == 2
    assert done.stderr.startswith("error:")
    assert named in done.stderr

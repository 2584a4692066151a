"""`florin ledger chart, accounts, limits` and `florin audit`, as a user says them."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from florin.cli.console import out
from florin.cli.main import app
from florin.kernel.errors import Refusal
from florin.kernel.settings import settings
from florin.ledger.chart.errors import ChartNodeNotFound, ChartTemplateNotFound
from tests.conftest import AllDatabaseUrls

Florin = Callable[..., Result]


@pytest.fixture(scope="module")
def books(database_urls: AllDatabaseUrls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Florin]:
    """The command in this process, on a database with a tenant ACME: processes would take seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLORIN_DATABASE_URL", database_urls.root)
        patch.setenv("FLORIN_DATA_DIR", str(tmp_path_factory.mktemp("data")))
        patch.setattr(out, "width", 200)
        settings.cache_clear()

        def florin(*words: str) -> Result:
            return CliRunner().invoke(app, words)

        made = florin("tenants", "create", "ACME", "--name", "Acme", "--email", "ops@acme.example")
        assert made.exit_code == 0, made.output
        yield florin
    settings.cache_clear()


def told(florin: Florin, *words: str) -> str:
    """What a command that has to succeed prints."""
    done = florin(*words, "--tenant", "ACME")
    assert done.exit_code == 0, (words, done.output, done.exception)
    return done.stdout.strip()


def test_settings_are_made_changed_seen_and_audited(books: Florin) -> None:
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
    [verdict] = json.loads(told(books, "audit", "verify", "--json"))
    assert verdict["broken"] is None
    assert verdict["rows"] > len(entries)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("ledger", "accounts", "freeze", "acct_nonsense"), "acct_nonsense"),
        (("ledger", "chart", "set", "x", "--clears-within", "soon"), "P7D"),
        (("ledger", "accounts", "list", "--metadata", "x"), "key=value"),
    ],
)
def test_a_word_that_cannot_be_read_is_told_in_one_sentence(
    books: Florin, words: tuple[str, ...], named: str
) -> None:
    done = books(*words, "--tenant", "ACME")
    assert done.exit_code == 2
    assert done.stderr.startswith("error:")
    assert named in done.stderr


@pytest.mark.parametrize(
    ("words", "refusal"),
    [
        (("ledger", "chart", "remove", "nobody"), ChartNodeNotFound),
        (("ledger", "chart", "apply", "bakery"), ChartTemplateNotFound),
    ],
)
def test_a_refusal_reaches_the_commands_own_end(
    books: Florin, words: tuple[str, ...], refusal: type[Refusal]
) -> None:
    assert isinstance(books(*words, "--tenant", "ACME").exception, refusal)

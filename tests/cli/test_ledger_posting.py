"""Moving money from the command line, on one data directory."""

import io
import json
import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from florin.cli.main import main
from florin.kernel.settings import settings
from tests.conftest import AllDatabaseUrls

T = ("--tenant", "ACME")


@dataclass(frozen=True)
class Told:
    returncode: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Acme:
    """The `florin` command in this process, on the run's own database server: nothing has to start."""

    environment: dict[str, str]

    def __call__(self, *words: str) -> Told:
        stdout, stderr, code = io.StringIO(), io.StringIO(), 0
        with (
            patch.dict(os.environ, self.environment),
            patch.object(sys, "argv", ["florin", *words]),
            patch("florin.cli.main.configure_logging"),  # the test run logs in its own way
            redirect_stdout(stdout),
            redirect_stderr(stderr),
        ):
            settings.cache_clear()
            try:
                main()
            except SystemExit as end:
                code = int(end.code or 0)
            finally:
                settings.cache_clear()
        return Told(code, stdout.getvalue(), stderr.getvalue())


@pytest.fixture(scope="module")
def acme(database_urls: AllDatabaseUrls, tmp_path_factory: pytest.TempPathFactory) -> Acme:
    acme = Acme(
        {
            "FLORIN_DATABASE_URL": database_urls.root,
            "FLORIN_APP_DATABASE_URL": database_urls.app,
            "FLORIN_DATA_DIR": str(tmp_path_factory.mktemp("data")),
            "COLUMNS": "200",
        }
    )
    made = acme("tenants", "create", "ACME", "--name", "Acme", "--email", "ops@acme.example")
    assert made.returncode == 0, made.stderr
    return acme


def written(path: Path, body: object) -> str:
    path.write_text(json.dumps(body))
    return str(path)


def posted(acme: Acme, name: str, *parameters: str) -> dict[str, Any]:
    done = acme("ledger", "templates", "post", *T, name, *parameters, "--json")
    assert done.returncode == 0, done.stderr
    [found] = json.loads(done.stdout)
    return dict(found)


def two_legs(debit: str, credit: str, amount: int) -> dict[str, Any]:
    return {
        "legs": [
            {"account": debit, "direction": "debit", "amount": amount},
            {"account": credit, "direction": "credit", "amount": amount},
        ]
    }


def test_transfers_are_tried_posted_corrected_and_reversed(acme: Acme, tmp_path: Path) -> None:
    first = posted(acme, "reserve.held", "amount=500", "currency=USD", "partner=p1")
    payable, reserve = [entry["account"] for entry in first["entries"]]
    body = {"transfers": [two_legs(reserve, payable, 100), two_legs(reserve, payable, 50)]}
    file = written(tmp_path / "set.json", body)

    tried = acme("ledger", "dry-run", *T, file, "--atomic", "--json")
    assert tried.returncode == 0, tried.stderr
    assert [one["balance"] for one in json.loads(tried.stdout)["balances"]] == [-350, 350]
    assert "Nothing was posted" in acme("ledger", "dry-run", *T, file).stdout

    for _ in range(2):  # the same file posts once
        done = acme("ledger", "post", *T, file, "--json")
        assert done.returncode == 0, done.stderr
    second = json.loads(done.stdout)[1]
    assert second["entries"][0]["balance_after"] == 350

    anew = written(tmp_path / "anew.json", two_legs(reserve, payable, 60))
    tried = acme("ledger", "correct", *T, second["id"], anew, "--dry-run")
    assert (tried.returncode, "340" in tried.stdout) == (0, True), tried.stderr
    corrected = acme("ledger", "correct", *T, second["id"], anew, "--json")
    assert json.loads(corrected.stdout)[0]["corrects"] == second["id"]
    reversal = acme("ledger", "reverse", *T, first["id"], "--amount", "40")
    assert (reversal.returncode, reversal.stdout.count("acct_")) == (0, 2), reversal.stderr
    too_much = acme("ledger", "reverse", *T, first["id"], "--amount", "461")
    assert (too_much.returncode, "460 is left" in too_much.stderr) == (2, True)
    tried = acme("ledger", "reverse", *T, first["id"], "--amount", "461", "--dry-run")
    assert (tried.returncode, "reversal_amount_exceeded" in tried.stdout) == (1, True)


def test_an_exchange_is_posted_and_its_positions_shown(acme: Acme, tmp_path: Path) -> None:
    dollars = posted(acme, "reserve.held", "amount=5000", "currency=USD", "partner=fx")
    euros = posted(acme, "reserve.held", "amount=5000", "currency=EUR", "partner=fx")
    body = {
        "sell": {"account": dollars["entries"][1]["account"], "amount": 1000},
        "buy": {"account": euros["entries"][1]["account"]},
        "rate": "0.92",
        "source": "ECB",
    }
    file = written(tmp_path / "exchange.json", body)
    assert "920" in acme("ledger", "exchange", *T, file, "--dry-run").stdout
    assert acme("ledger", "positions", *T, "--json").stdout.strip() == "[]"
    assert acme("ledger", "exchange", *T, file).returncode == 0
    assert json.loads(acme("ledger", "positions", *T, "--json").stdout) == [
        {"currency": "EUR", "position_minor": -920, "rounding_minor": 0},
        {"currency": "USD", "position_minor": 1000, "rounding_minor": 0},
    ]


def test_templates_are_listed_shown_and_put(acme: Acme, tmp_path: Path) -> None:
    listed = acme("ledger", "templates", "list", *T)
    assert "payment.captured" in listed.stdout
    shown = acme("ledger", "templates", "show", *T, "chargeback.lost").stdout
    file = written(tmp_path / "recipe.json", json.loads(shown) | {"description": "Ours"})
    refused = acme("ledger", "templates", "put", *T, "our.chargeback", file)
    assert (refused.returncode, "legs[0].account" in refused.stderr) == (2, True), refused.stderr
    recipe = json.loads(shown)
    for leg in recipe["legs"]:
        del leg["create"]
    file = written(tmp_path / "recipe.json", recipe)
    for _ in range(2):
        put = acme("ledger", "templates", "put", *T, "our.chargeback", file)
        assert (put.returncode, put.stdout.strip()) == (0, "our.chargeback version 1"), put.stderr


def test_bad_arguments_end_with_one_sentence(acme: Acme, tmp_path: Path) -> None:
    for words in (
        ("ledger", "post", *T, str(tmp_path / "none.json")),
        ("ledger", "post", *T, written(tmp_path / "bad.json", {"transfers": [{"legs": []}]})),
        ("ledger", "reverse", *T, "tr_1"),
        ("ledger", "templates", "post", *T, "payment.captured", "amount"),
        ("ledger", "templates", "post", *T, "payment.captured", "amount=x", "currency=USD", "provider=p"),
    ):
        told = acme(*words)
        assert told.returncode == 2, words
        assert "Traceback" not in told.stderr
        assert told.stderr.startswith("error: ")

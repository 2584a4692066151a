"""`florin ledger`: the past and the periods, as a user asks for them."""

import json

import pytest

from tests.cli.conftest import Command

BOOKS = ("--tenant", "PAST", "--test")


@pytest.fixture(scope="module")
def books(florin: Command) -> Command:
    """A tenant, and no accounts: the command line opens none."""
    assert florin("migrate").returncode == 0
    made = florin("tenants", "create", "PAST", "--name", "Past", "--email", "past@example.com")
    assert made.returncode == 0, made.stderr
    return florin


def test_periods_are_closed_and_listed(books: Command) -> None:
    closed = books("ledger", "periods", "close", "2026-04-01", "--name", "2026-03", *BOOKS)
    assert (closed.returncode, closed.stdout) == (0, "2026-03: closed before 2026-04-01T00:00:00Z\n")
    again = books("ledger", "periods", "close", "2026-03-01T00:00:00Z", "--name", "x", *BOOKS)
    assert again.returncode == 2
    assert "closed_before: the books are closed before 2026-04-01" in again.stderr
    (one,) = json.loads(books("ledger", "periods", "list", "--json", *BOOKS).stdout)
    assert (one["name"], one["closed_before"]) == ("2026-03", "2026-04-01T00:00:00Z")
    assert "2026-03" in books("ledger", "periods", "list", *BOOKS).stdout


def test_what_is_not_there_or_not_a_time_ends_in_one_sentence(books: Command) -> None:
    for arguments, said in (
        (("balance", "nobody"), "There is no such account"),
        (("balance", "acct_5"), "acct_5: expected acct_"),
        (("balance", "x", "--at", "yesterday"), "is not like 2026-11-20"),
        (("restatements", "x", "--at", "2026-03-01", "--known-at", "2026-03-02"), "no such account"),
    ):
        told = books("ledger", *arguments, *BOOKS)
        assert told.returncode == 2, told
        assert said in told.stderr, told.stderr
        assert "Traceback" not in told.stderr


def test_the_trial_balance_of_empty_books_is_empty(books: Command) -> None:
    for more in ((), ("--at", "2026-03-01")):
        told = books("ledger", "trial-balance", "--json", *more, *BOOKS)
        assert (told.returncode, json.loads(told.stdout)) == (0, [])

"""`florin ledger`: the past and the periods, as a user asks for them."""

from datetime import UTC, datetime

from florin.kernel.clock import rfc3339
from florin.kernel.ids import encode_id
from florin.ledger.model import AccountType
from tests.cli.ledger.conftest import LedgerCommand
from tests.ledger.times.conftest import post

MARCH = datetime(2026, 3, 15, tzinfo=UTC)


async def test_past_balances_and_what_restated_them_are_told(command: LedgerCommand) -> None:
    books = command.books
    cash, wallet = await books.open(AccountType.ASSET), await books.open()
    first = await post(books, cash, wallet, 500)
    await post(books, cash, wallet, 30, MARCH)
    account = encode_id("acct", wallet)
    assert command("balance", account) == "530 USD (minor units)\n"
    assert command.json("balance", account, "--at", "2026-04-01")["balance"] == 30
    known = ("--at", "2026-04-01", "--known-at", rfc3339(first.recorded_at))
    assert command.json("balance", account, *known)["balance"] == 0
    told = command.json("restatements", account, *known)
    assert (told["balance_then"], told["balance_now"], told["difference"]) == (0, 30, 30)
    assert [(one["direction"], one["amount"]) for one in told["entries"]] == [("credit", 30)]
    assert "known then 0, now 30 USD: +30" in command("restatements", account, *known)
    lines = command.json("trial-balance", "--at", "2026-04-01")
    assert [(line["type"], line["debits"], line["credits"]) for line in lines] == [
        ("asset", 30, 0),
        ("liability", 0, 30),
    ]
    assert "530" in command("trial-balance")


async def test_periods_are_closed_and_listed(command: LedgerCommand) -> None:
    closed = command("periods", "close", "2026-02-01", "--name", "2026-01", "--reason", "Audited")
    assert closed == "2026-01: closed before 2026-02-01T00:00:00Z\n"
    again = command("periods", "close", "2026-01-01T00:00:00Z", "--name", "x", code=2)
    assert "closed_before: the books are closed before 2026-02-01" in again
    (one,) = command.json("periods", "list")
    assert (one["name"], one["closed_before"]) == ("2026-01", "2026-02-01T00:00:00Z")
    assert "2026-01" in command("periods", "list")


async def test_what_is_not_there_or_no_time_ends_in_one_sentence(command: LedgerCommand) -> None:
    assert "There is no such account" in command("balance", "nobody", code=2)
    assert "'acct_5'" in command("balance", "acct_5", code=2)
    assert "is no instant such as" in command("balance", "x", "--at", "yesterday", code=2)
    assert "no such account" in command("restatements", "x", "--at", "2026-03-01", code=2)

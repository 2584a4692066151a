"""`florin ledger clearing`."""

from florin.kernel.ids import encode_id
from florin.ledger.model import AccountType
from tests.cli.ledger.conftest import LedgerCommand
from tests.ledger.clearing.lingering import clears, move


async def test_what_lingers_is_shown_by_account_by_item_and_by_trail(command: LedgerCommand) -> None:
    books = command.books
    clearing, other = await clears(books, await books.open(AccountType.ASSET)), await books.open()
    came = await move(books, clearing, other, 70, "order [7]")
    await move(books, other, clearing, 50)
    account, transfer = encode_id("acct", clearing), encode_id("tr", came.transfer_id)
    (told,) = command.json("clearing")
    assert (told["account"], told["open_amount"], told["overdue_amount"]) == (account, 20, 0)
    (aged,) = command.json("clearing", "--at", "2199-12-31")
    assert (aged["overdue_amount"], aged["aging"]["over_30_days"]) == (20, 20)
    (item,) = command.json("clearing", "--account", account)
    assert (item["transfer"], item["amount"]) == (transfer, 20)
    trail = command.json("clearing", "--account", account, "--transfer", transfer)
    assert [step["transfer"]["id"] for step in trail["data"]] == [transfer]
    assert account in command("clearing")
    shown = command("clearing", "--account", account, "--transfer", transfer)
    assert transfer in shown
    assert "order [7]" in shown
    assert "open still: 20" in shown


async def test_what_cannot_be_asked_ends_in_one_sentence(command: LedgerCommand) -> None:
    plain = encode_id("acct", await command.books.open())
    assert "not declared" in command("clearing", "--account", plain, code=2)
    assert "--account" in command("clearing", "--transfer", "tr_1", code=2)
    assert "no instant" in command("clearing", "--at", "soon", code=2)

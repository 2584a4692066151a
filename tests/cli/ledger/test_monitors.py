"""`florin ledger monitors`."""

from florin.kernel.ids import encode_id, new_id
from tests.cli.ledger.conftest import LedgerCommand


async def test_a_monitor_is_made_listed_paused_and_resumed(command: LedgerCommand) -> None:
    account = encode_id("acct", await command.books.open())
    (made,) = command.json(
        *("monitors", "create", "--account", account, "--name", "[low]", "--threshold", "100")
    )
    assert (made["comparison"], made["metric"], made["holds"]) == ("below", "balance", True)
    told = command("monitors", "list")
    assert made["id"] in told
    assert "[low]" in told
    assert "balance below 100" in told
    (paused,) = command.json("monitors", "change", made["id"], "--pause", "--threshold", "-5")
    assert (paused["active"], paused["threshold"], paused["holds"]) == (False, -5, False)
    command("monitors", "change", made["id"], "--resume")
    assert command.json("monitors", "list", "--account", account) == [paused | {"active": True}]


async def test_what_does_not_exist_or_is_no_id_ends_in_one_sentence(command: LedgerCommand) -> None:
    nobody = encode_id("mon", new_id())
    assert "no such monitor" in command("monitors", "change", nobody, "--pause", code=2)
    assert "'mon_1'" in command("monitors", "change", "mon_1", "--pause", code=2)

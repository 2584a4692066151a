"""`florin ledger holds`."""

import json
from pathlib import Path

from florin.kernel.ids import encode_id, new_id
from florin.ledger.model import AccountType
from tests.cli.ledger.conftest import LedgerCommand


async def test_a_hold_is_placed_posted_in_part_and_let_go(command: LedgerCommand, tmp_path: Path) -> None:
    cash, shop = [
        encode_id("acct", await command.books.open(kind)) for kind in (AccountType.ASSET, AccountType.INCOME)
    ]
    file = tmp_path / "hold.json"
    legs = [
        {"account": cash, "direction": "debit", "amount": 70},
        {"account": shop, "direction": "credit", "amount": 70},
    ]
    file.write_text(json.dumps({"legs": legs}))
    (placed,) = command.json("holds", "place", str(file))
    assert placed["status"] == "reserved"
    (again,) = command.json("holds", "place", str(file))
    assert again["id"] == placed["id"]

    (posted,) = command.json("holds", "post", placed["id"], "--amount", "30")
    assert posted["entries"][0]["balance_after"] == 30
    assert "more than the hold still reserves" in command(
        "holds", "post", placed["id"], "--amount", "41", code=2
    )
    told = command("holds", "list", "--account", cash)
    assert placed["id"] in told
    assert "partially_posted" in told
    (voided,) = command.json("holds", "void", placed["id"])
    assert voided["kind"] == "void"
    (left,) = command.json("holds", "list", "--account", cash, "--status", "voided")
    assert [leg["remaining"] for leg in left["legs"]] == [0, 0]


async def test_what_is_no_hold_ends_in_one_sentence(command: LedgerCommand) -> None:
    assert "no such hold" in command("holds", "void", encode_id("hold", new_id()), code=2)
    assert "'hold_1'" in command("holds", "post", "hold_1", code=2)

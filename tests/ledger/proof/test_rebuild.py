"""The books made anew from the log: compared, and put in place."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from florin.ledger.proof import rebuild, store
from florin.ledger.proof.service import complete_before
from florin.ledger.times.service import project
from tests.ledger.proof.conftest import History, Tamper, verified


def of(history: History) -> tuple[Any, int]:
    """The ledger and the tenant."""
    return history.books.ledger, history.tenant_id


async def test_sound_books_are_what_the_log_makes_of_them(history: History) -> None:
    assert await rebuild.compare(*of(history)) == []
    assert await rebuild.compare(*of(history), transfers_each=3) == []


async def test_what_differs_is_named_and_put_in_place(history: History, tamper: Tamper) -> None:
    for change in (
        "balance = balance + 1, entry_seq = entry_seq + 7",
        "pending_debits = pending_debits + 3",
        "last_entry_at = last_entry_at + interval '1 s'",
        "dated = false",
    ):
        tamper(f"UPDATE ledger.accounts SET {change} WHERE id = %s", history.accounts["wallet"])
        found = await rebuild.compare(*of(history), transfers_each=5)
        assert {(one.rule, one.account_id) for one in found if one.rule == "accounts_rebuilt"} == {
            ("accounts_rebuilt", history.accounts["wallet"])
        }
        done = await rebuild.write(*of(history), transfers_each=5)
        assert done.accounts == [history.accounts["wallet"]]
        assert await rebuild.compare(*of(history)) == []
    assert await verified(history.books) == []
    assert await rebuild.write(*of(history)) == ([], [], [])


async def test_a_limits_sums_are_put_in_place(history: History, tamper: Tamper) -> None:
    tamper("UPDATE ledger.limits SET balance = balance + 1 WHERE tenant_id = %s", history.tenant_id)
    assert [one.rule for one in await rebuild.compare(*of(history))] == ["limits_add_up"]
    assert len((await rebuild.write(*of(history))).limits) == 1
    assert await verified(history.books) == []


async def test_an_entry_is_compared_and_never_written(history: History, tamper: Tamper) -> None:
    tamper(
        "UPDATE ledger.entries SET amount = amount - 1 WHERE transfer_id = %s AND account_id = %s",
        history.transfers["fee"], history.accounts["fees"],
    )  # fmt: skip
    await rebuild.write(*of(history))
    found = await rebuild.compare(*of(history), transfers_each=2)
    assert [(one.rule, one.transfer_id) for one in found] == [("legs_have_entries", history.transfers["fee"])]


PROJECTED = [
    ("snapshots_match", "INSERT INTO ledger.snapshots VALUES (%(tenant)s, %(cash)s, now(), 2, 1, 0)"),
    ("snapshots_match",
     "INSERT INTO ledger.snapshots SELECT tenant_id, account_id, recorded_at, seq, balance_after, 1"
     " FROM ledger.entries WHERE tenant_id = %(tenant)s AND account_id = %(cash)s AND seq = 3"),
    ("dated_totals_match",
     "INSERT INTO ledger.dated_totals (tenant_id, account_id, span, stretch, grain, starts, amount)"
     " VALUES (%(tenant)s, %(cash)s, 0, 0, 'day', '2026-01-01', 5)"),
    ("open_items_match",
     "INSERT INTO ledger.open_items VALUES (%(tenant)s, %(cash)s, 'order-1', 71, now(), %(late)s, %(late)s)"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "statement"), PROJECTED, ids=[f"{one[0]}-{n}" for n, one in enumerate(PROJECTED)]
)
async def test_a_wrong_projection_is_named_and_made_anew(
    history: History, tamper: Tamper, rule: str, statement: str
) -> None:
    named = {"tenant": history.tenant_id, **history.accounts, **history.transfers}
    tamper(
        "INSERT INTO ledger.projections SELECT tenant_id, id, 0 FROM ledger.accounts"
        " WHERE tenant_id = %(tenant)s",
        named=named,
    )
    assert await rebuild.compare(*of(history)) == []
    tamper(statement, named=named)
    assert {one.rule for one in await verified(history.books)} == {rule}
    done = await rebuild.write(*of(history))
    assert done == ([], [], [history.accounts["cash"]])
    assert await verified(history.books) == []


async def test_right_projections_are_left_alone(history: History, tamper: Tamper) -> None:
    tamper(
        "UPDATE ledger.account_details SET clears_within = interval '1 day', match_by = 'correlation'"
        " WHERE tenant_id = %s AND account_id = %s",
        history.tenant_id,
        history.accounts["cash"],
    )
    assert await project(*of(history), list(history.accounts.values())) > 0
    kept = "SELECT account_id FROM ledger.{} WHERE tenant_id = %s"
    for table in ("dated_totals", "open_items"):
        assert tamper(kept.format(table), history.tenant_id) > 0
    assert await verified(history.books) == []
    assert await rebuild.write(*of(history)) == ([], [], [])


async def test_a_stopped_rebuild_goes_on_where_it_was(history: History) -> None:
    await asyncio.sleep(0.002)
    await complete_before(*of(history), timedelta(0))
    transfers: list[int] = []

    class Stopped(Exception):
        pass

    def stop(added: int) -> None:
        transfers.append(added)
        if len(transfers) == 2:
            raise Stopped

    with pytest.raises(Stopped):
        await rebuild.compare(*of(history), transfers_each=4, report=stop)
    async with history.books.ledger.database.tenant(history.tenant_id) as connection:
        assert await store.rebuilt_before(connection, history.tenant_id) is not None
    assert await rebuild.compare(*of(history), transfers_each=4, report=transfers.append) == []
    assert sum(transfers) == 15
    async with history.books.ledger.database.tenant(history.tenant_id) as connection:
        assert await store.rebuilt_before(connection, history.tenant_id) is None


async def test_what_is_posted_after_the_mark_is_added_up_too(history: History) -> None:
    await asyncio.sleep(0.002)
    await complete_before(*of(history), timedelta(0))
    await history.post("young", ("cash", 5), ("wallet", -5))
    assert await rebuild.compare(*of(history)) == []
    assert await rebuild.write(*of(history)) == ([], [], [])

"""The proof that never ends: what it verifies, what it finds, what a killed prover leaves."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from prometheus_client import REGISTRY

from florin.kernel.events import public_event, register
from florin.kernel.ids import encode_id
from florin.ledger.proof import store
from florin.ledger.proof.render import render_fault
from florin.ledger.proof.service import prove, standing
from tests.conftest import AllDatabaseUrls
from tests.ledger.books import Books
from tests.ledger.proof.conftest import History, Tamper

NOW = timedelta(0)


async def proved(books: Books, **options: Any) -> Any:
    """A tick of the job, with nothing too young for it."""
    await asyncio.sleep(0.002)  # an id of this very millisecond is not before the mark
    return await prove(books.ledger, books.tenant_id, grace=NOW, **options)


async def test_sound_books_are_proven_once(history: History) -> None:
    books = history.books
    before = await standing(books.ledger, books.tenant_id)
    assert (before.transfers, before.last_transfer_id) == (0, None)
    assert before.behind_transfers == 15
    assert before.behind_s > 0
    first = await proved(books)
    assert (first.transfers, first.faults) == (15, ())
    found = await standing(books.ledger, books.tenant_id)
    assert (found.transfers, found.entries) == (first.transfers, first.entries)
    assert (found.behind_transfers, found.behind_s, found.fault_count) == (0, 0, 0)
    assert found.last_transfer_id is not None
    assert found.last_transfer_id >= max(history.transfers.values())
    assert (await proved(books)).transfers == 0
    await history.post("one_more", ("cash", 5), ("wallet", -5))
    assert (await proved(books)).transfers == 1
    assert REGISTRY.get_sample_value("florin_ledger_faults", {"tenant": str(books.tenant_id)}) == 0


async def test_runs_of_any_length_come_to_the_same(history: History) -> None:
    done = await proved(history.books, run_transfers=2)
    found = await standing(history.books.ledger, history.tenant_id)
    assert (found.transfers, found.entries, done.faults) == (done.transfers, done.entries, ())
    assert found.behind_transfers == 0


async def test_a_long_past_is_proved_in_turns(history: History) -> None:
    done = [(await proved(history.books, run_transfers=6, lasting_s=0)).transfers for _ in range(4)]
    assert done == [5, 6, 4, 0]


async def test_a_transfer_that_is_still_young_waits(history: History) -> None:
    assert (await prove(history.books.ledger, history.tenant_id)).transfers == 0
    found = await standing(history.books.ledger, history.tenant_id, count_up_to=3)
    assert found.behind_transfers == 3


FEE = "transfer_id = %(fee)s AND account_id = %(fees)s"

BROKEN = [
    ("legs_balance", "ledger.transfers", "amounts = '{10001,-10000}'", "id = %(top_up)s"),
    ("legs_have_entries", "ledger.entries", "amount = -301", FEE),
    ("entries_numbered", "ledger.entries", "seq = 100", FEE),
    ("balances_chained", "ledger.entries", "balance_after = 1", FEE),
    ("recorded_in_order", "ledger.entries", "recorded_at = recorded_at + interval '1 day'",
     "transfer_id = %(fee)s AND account_id = %(wallet)s"),
    ("reversals_add_up", "ledger.reversals", "amounts = '{49,-49}'", "reversal_id = %(reversal_50)s"),
    ("related_is_there", "ledger.transfers", "related_id = %(top_up)s", "id = %(capture)s"),
]  # fmt: skip


@pytest.mark.parametrize("run_transfers", [2, 20_000])
@pytest.mark.parametrize(("rule", "table", "change", "row"), BROKEN, ids=[one[0] for one in BROKEN])
async def test_a_fault_is_found_in_the_next_run(
    history: History, tamper: Tamper, rule: str, table: str, change: str, row: str, run_transfers: int
) -> None:
    named = {**history.accounts, **history.transfers, "tenant": history.tenant_id}
    tamper(f"UPDATE {table} SET {change} WHERE tenant_id = %(tenant)s AND {row}", named=named)
    done = await proved(history.books, run_transfers=run_transfers)
    assert rule in {one.rule for one in done.faults}
    assert (await standing(history.books.ledger, history.tenant_id)).behind_transfers == 0


async def test_a_forged_entry_before_a_proven_one_is_found(history: History, tamper: Tamper) -> None:
    await proved(history.books)
    forged = (
        "INSERT INTO ledger.entries SELECT tenant_id, account_id, seq + 1, transfer_id, -7,"
        " balance_after + 7, recorded_at, NULL FROM ledger.entries"
        " WHERE tenant_id = %(tenant)s AND account_id = %(fees)s ORDER BY seq DESC LIMIT 1"
    )
    named = {**history.accounts, "tenant": history.tenant_id}
    assert tamper(forged, named=named) == 1
    tamper(
        "UPDATE ledger.accounts SET entry_seq = entry_seq + 1, balance = balance + 7"
        " WHERE tenant_id = %(tenant)s AND id = %(fees)s",
        named=named,
    )
    await history.post("after", ("wallet", 1), ("fees", -1))
    done = await proved(history.books)
    assert [one.rule for one in done.faults] == ["entries_have_legs"]
    assert done.faults[0].account_id == history.accounts["fees"]


async def test_each_fault_is_told_once(
    history: History, tamper: Tamper, database_urls: AllDatabaseUrls, logged: Callable[[], str]
) -> None:
    register("ledger_fault", render_fault)
    logged_before = len(logged())
    top_up = history.transfers["top_up"]
    tamper("UPDATE ledger.transfers SET amounts = '{10001,-10000}' WHERE id = %s", top_up)
    first = await proved(history.books)
    assert {one.rule for one in first.faults} == {"legs_balance", "legs_have_entries"}
    # Proved again from the start, as after a restore of the row that says how far it came.
    tamper("DELETE FROM ledger.proofs WHERE tenant_id = %s", history.tenant_id)
    assert (await proved(history.books)).faults == ()
    with psycopg.connect(database_urls.root) as root:
        events = root.execute(
            "SELECT e.id, e.type, e.occurred_at, e.data FROM kernel.events e"
            " JOIN kernel.outbox o ON o.tenant_id = e.tenant_id AND o.event_id = e.id"
            " WHERE e.tenant_id = %s ORDER BY e.data ->> 'rule'",
            (history.tenant_id,),
        ).fetchall()
    assert [one[1] for one in events] == ["ledger_fault.found"] * 2
    shown = public_event(dict(zip(("id", "type", "occurred_at", "data"), events[0], strict=True)))
    fault = shown["data"]["object"]
    assert (fault["object"], fault["rule"]) == ("ledger_fault", "legs_balance")
    assert fault["transfer"] == encode_id("tr", top_up)
    found = await standing(history.books.ledger, history.tenant_id)
    assert (found.fault_count, found.faults[0].transfer_id) == (2, top_up)
    value = REGISTRY.get_sample_value("florin_ledger_faults", {"tenant": str(history.tenant_id)})
    assert value == 2
    assert logged()[logged_before:].count("ledger_fault_found") == 2


async def test_the_mark_does_not_wait_for_a_stuck_posting(
    history: History, database_urls: AllDatabaseUrls
) -> None:
    with psycopg.connect(database_urls.root) as stuck:
        stuck.execute("SELECT pg_advisory_xact_lock_shared(1279607879, %s)", (history.tenant_id,))
        assert (await proved(history.books)).transfers == 0
    assert (await proved(history.books)).transfers == 15


KILLED = """
import asyncio, sys
from datetime import timedelta
from florin.kernel.db import Database
from florin.ledger.proof import service, store
from florin.ledger.service import Ledger

async def main(url, tenant_id):
    real, runs = store.move_proof, 0

    async def stop_in_the_third(*arguments):
        nonlocal runs
        runs += 1
        await real(*arguments)
        if runs == 3:
            print("here", flush=True)
            await asyncio.sleep(60)

    store.move_proof = stop_in_the_third
    async with Database(url) as database:
        await service.prove(Ledger(database), tenant_id, grace=timedelta(0), run_transfers=3)

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


async def test_a_prover_killed_in_the_middle_of_a_run_has_done_the_runs_before(
    history: History, database_urls: AllDatabaseUrls
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED, database_urls.app, str(history.tenant_id),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert (await process.stdout.readline()).strip() == b"here"
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()
    async with history.books.ledger.database.tenant(history.tenant_id) as connection:
        before = await store.standing(connection, history.tenant_id, count_up_to=100)
    assert (before.transfers, before.behind_transfers) == (5, 10)
    done = await proved(history.books)
    assert (done.transfers, done.faults) == (10, ())
    assert (await standing(history.books.ledger, history.tenant_id)).transfers == 15

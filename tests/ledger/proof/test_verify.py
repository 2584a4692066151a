"""Verification in pieces: while others post, stopped and resumed, and what else it asks."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from florin.ledger.proof.model import Fault
from florin.ledger.proof.plan import Plan
from florin.ledger.proof.verify import plan_verification, verify
from florin.ledger.service import Ledger
from tests.conftest import AllDatabaseUrls
from tests.ledger.proof.conftest import History, Tamper, verified

NOW = timedelta(0)


async def test_books_that_are_posted_to_meanwhile_are_sound(history: History) -> None:
    posting = True

    async def post() -> None:
        n = 0
        while posting:
            n += 1
            await history.post(f"busy_{n}", ("cash", n), ("wallet", -n))
            await history.hold(f"held_{n}", ("wallet", n), ("fees", -n))

    busy = asyncio.create_task(post())
    try:
        for _ in range(5):
            assert await verified(history.books, grace=NOW, transfers_each=7, entries_each=9) == []
    finally:
        posting = False
        await busy


async def test_a_stopped_verification_goes_on_and_forgets_no_fault(
    history: History, tamper: Tamper, tmp_path: Path
) -> None:
    tamper(
        "UPDATE ledger.transfers SET amounts = '{10001,-10000}' WHERE id = %s", history.transfers["top_up"]
    )
    await asyncio.sleep(0.002)
    plan = await plan_verification(
        history.books.ledger, history.tenant_id, grace=NOW, transfers_each=4, entries_each=6
    )
    kept, pieces = tmp_path / "plan.json", 0

    class Stopped(Exception):
        pass

    def stop(plan: Plan, _: str) -> None:
        nonlocal pieces
        pieces += 1
        if pieces == 3:
            raise Stopped

    with pytest.raises(Stopped):
        await verify(history.books.ledger, plan, report=stop, keep=kept)
    resumed = Plan.load(kept, history.tenant_id)
    assert 0 < resumed.done < resumed.total
    done = []
    faults = await verify(
        history.books.ledger, resumed, report=lambda plan, _: done.append(plan.done), keep=kept
    )
    assert {one.rule for one in faults} == {"legs_balance", "legs_have_entries"}
    assert done[0] > 0
    assert Plan.load(kept, history.tenant_id).done == resumed.done


async def test_what_else_verifies_the_books_is_asked_too(history: History) -> None:
    async def verifier(ledger: Ledger, tenant_id: int) -> AsyncIterator[object]:
        yield 1
        yield Fault("sealed", f"tenant {tenant_id}")

    plan = await plan_verification(history.books.ledger, history.tenant_id)
    faults = await verify(history.books.ledger, plan, also=[verifier])
    assert faults == [Fault("sealed", f"tenant {history.tenant_id}")]


async def test_empty_books_are_sound(history: History, other_books: object) -> None:
    plan = await plan_verification(history.books.ledger, other_books.tenant_id)  # type: ignore[attr-defined]
    assert await verify(history.books.ledger, plan) == []


KILLED = """
import asyncio, sys
from datetime import timedelta
from pathlib import Path
from florin.kernel.db import Database
from florin.ledger.proof.verify import plan_verification, verify
from florin.ledger.service import Ledger

async def main(url, tenant_id, kept):
    def report(plan, what):
        print("piece", flush=True)

    async with Database(url) as database:
        ledger = Ledger(database)
        now, each = timedelta(0), 1
        plan = await plan_verification(
            ledger, tenant_id, grace=now, transfers_each=each, entries_each=each
        )
        await verify(ledger, plan, report=report, keep=kept)

asyncio.run(main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])))
"""


async def test_a_verification_that_was_killed_goes_on_from_its_file(
    history: History, database_urls: AllDatabaseUrls, tmp_path: Path
) -> None:
    kept = tmp_path / "plan.json"
    await asyncio.sleep(0.002)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED, database_urls.app, str(history.tenant_id), str(kept),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    for _ in range(4):
        assert (await process.stdout.readline()).strip() == b"piece"
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()
    plan = Plan.load(kept, history.tenant_id)
    assert len(plan.legs_done) + len(plan.entries_done) >= 4
    assert await verify(history.books.ledger, plan) == []

"""What millions of entries cost: posting and reading beside them, and verifying them all."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING, Final

import psutil

from florin.cli.bench.full_books import fill
from florin.cli.bench.load import LoadFailed
from florin.cli.bench.stage import Books, analyse, lay_books
from florin.cli.platform import platform_on
from florin.kernel.db import Database
from florin.kernel.idempotency import Idempotency
from florin.kernel.ids import new_id
from florin.kernel.settings import settings
from florin.ledger.model import Leg, Posting
from florin.ledger.service import Ledger

if TYPE_CHECKING:
    from florin.cli.bench.run import Bench

TENANT: Final = "BENCH-FULL"
_ACCOUNTS: Final = 10_000
_FEW: Final = 100_000
_MANY: Final = 10_000_000
_MANY_QUICKLY: Final = 1_000_000
_COMPLETE_AFTER_S: Final = 31
_CALLERS: Final = 128
_SAMPLE_S: Final = 0.1


async def growth(bench: Bench) -> None:
    """Postings and balance reads in process, in the same books at 100 thousand and at 10 million entries."""
    posts: dict[bool, float] = {}
    reads: dict[bool, float] = {}
    async with Database(bench.urls.app, size=4) as database:
        ledger = Ledger(database)
        books = await _books(bench, database)
        for many in (False, True):
            await _fill(bench, database, books, _many(bench) if many else _FEW)
            await _settle(bench)
            chance = Random(1)  # noqa: S311 - a load, not a secret
            bench.say(f"posting beside {_many(bench) if many else _FEW:,} entries")

            async def post() -> None:
                await ledger.posting.call(books.tenant_id, _transfer(books, chance))  # noqa: B023

            async def read() -> None:
                await ledger.balances.call(books.tenant_id, chance.choice(books.accounts))  # noqa: B023

            posts[many] = await _rate(post, bench.seconds)
            bench.say(f"reading balances beside {_many(bench) if many else _FEW:,} entries")
            reads[many] = await _rate(read, bench.seconds)
    for name, label, rates in (("post", "postings", posts), ("balance", "balance reads", reads)):
        bench.add(f"growth_{name}_few_per_s", f"{label} beside {_FEW:,} entries", rates[False], "/s")
        bench.add(f"growth_{name}_many_per_s", f"{label} beside {_many(bench):,} entries", rates[True], "/s")
        bench.add(f"growth_{name}_ratio", "  many against few", rates[True] / rates[False], "x", 0.9)


async def verify(bench: Bench) -> None:
    """`florin ledger verify` of 10 million entries: how long, and in how much memory."""
    async with Database(bench.urls.app, size=4) as database:
        books = await _books(bench, database)
        await _fill(bench, database, books, _many(bench))
        await _settle(bench)
        entries = await _count(database, books)
        bench.say("waiting until the log is complete")
        await asyncio.sleep(_COMPLETE_AFTER_S)  # what is younger is compared row by row
        bench.say(f"verifying {entries:,} entries")
        started = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "florin", "ledger", "verify", "--tenant", TENANT, "--test",
            env={**os.environ, "FLORIN_DATA_DIR": str(bench.directory)},
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        sampling = asyncio.create_task(_most_memory_mb(database, process.pid))
        _, said = await process.communicate()
        spent_s = time.perf_counter() - started
        sampling.cancel()
        memory_mb = await sampling
    if process.returncode != 0:
        raise LoadFailed(f"verification of the bench's own books failed: {said.decode()[-500:]}")
    limit_s = 60 * entries / _MANY
    bench.add("verify_s", f"verify {entries:,} entries", spent_s, "s", limit_s)
    bench.add("verify_us_per_entry", "  for one entry, in microseconds", spent_s * 1e6 / entries, "us")
    bench.add("verify_memory_mb", "  memory: the command and its database sessions", memory_mb, "MB", 300)


def _many(bench: Bench) -> int:
    return _MANY if bench.rounds > 1 else _MANY_QUICKLY


async def _books(bench: Bench, database: Database) -> Books:
    """The tenant whose books grow; made by whichever part comes first."""
    if bench.full is None:
        chosen = settings().model_copy(update={"data_dir": bench.directory})
        bench.full = await lay_books(
            platform_on(chosen, database), TENANT, [new_id() for _ in range(_ACCOUNTS)]
        )
    return bench.full


async def _fill(bench: Bench, database: Database, books: Books, entries: int) -> None:
    """Brings the books to so many entries, more or less: whole rounds of them."""
    present = await _count(database, books)
    rounds = round((entries - present) / (2 * len(books.accounts)))
    if rounds > 0:
        await fill(
            database,
            books.tenant_id,
            books.accounts,
            rounds,
            lambda written: bench.say(f"writing entries: {present + written:,} of {entries:,}"),
        )


async def _count(database: Database, books: Books) -> int:
    async with database.tenant(books.tenant_id) as connection:
        cursor = await connection.execute(
            "SELECT sum(entry_seq)::bigint FROM ledger.accounts WHERE tenant_id = %s", (books.tenant_id,)
        )
        row = await cursor.fetchone()
    return int(row[0]) if row else 0


async def _settle(bench: Bench) -> None:
    """What autovacuum and the checkpointer would have done a few minutes later."""
    async with Database(bench.urls.owner, size=2) as database, database.connection() as connection:
        await connection.execute("VACUUM ledger.entries, ledger.transfers, ledger.accounts")
    await analyse(bench.urls)


def _transfer(books: Books, chance: Random) -> Posting:
    debit, credit = chance.sample(books.accounts, 2)
    transfer_id = new_id()
    return Posting(transfer_id, Idempotency(transfer_id, transfer_id), (Leg(debit, 100), Leg(credit, -100)))


async def _rate(one: Callable[[], Awaitable[None]], seconds: float) -> float:
    """How many a second, by callers that each wait for the answer; after a second of warming up."""
    done = 0

    async def caller(until: float) -> None:
        nonlocal done
        while time.perf_counter() < until:
            await one()
            done += 1

    for lasting_s in (1.0, seconds):
        done = 0
        until = time.perf_counter() + lasting_s
        await asyncio.gather(*(caller(until) for _ in range(_CALLERS)))
    return done / seconds


async def _most_memory_mb(database: Database, pid: int) -> float:
    """The most that the process and its sessions held at once of their own, until cancelled."""
    most = 0.0
    with suppress(asyncio.CancelledError, psutil.NoSuchProcess):
        while True:
            async with database.platform() as connection:
                cursor = await connection.execute(
                    "SELECT pid FROM pg_stat_activity WHERE application_name = 'florin'"
                    " AND pid <> pg_backend_pid() AND state <> 'idle'"
                )
                sessions = [row[0] for row in await cursor.fetchall()]
            held = psutil.Process(pid).memory_info().rss
            for session in sessions:
                with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                    session_holds = psutil.Process(session).memory_info()
                    # The server's cache is everybody's, though its pages count in whoever touched them.
                    held += session_holds.rss - getattr(session_holds, "shared", 0)
            most = max(most, held / 1e6)
            await asyncio.sleep(_SAMPLE_S)
    return most

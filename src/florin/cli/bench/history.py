"""Part of the benchmark: balances and statements of the past, on an account with a million entries."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import TYPE_CHECKING
from uuid import UUID

from florin.cli.bench.load import LoadFailed
from florin.kernel.db import Database, set_tenant
from florin.ledger.service import Ledger, balance
from florin.ledger.times import service
from florin.ledger.times.model import TimeAxis

if TYPE_CHECKING:
    from florin.cli.bench.run import Bench

ENTRIES = 1_000_000
CALLERS = 50
STATEMENT_LINES = 1000
_EVERY = timedelta(seconds=2)

_ACCOUNTS = """
WITH made AS (
    INSERT INTO ledger.accounts (tenant_id, id, code, type, currency)
    SELECT %(tenant)s, kernel.uuidv7(), 'history:' || n, 'asset', 'USD' FROM generate_series(0, 1000) n
    RETURNING id, code
), described AS (
    INSERT INTO ledger.account_details (tenant_id, account_id, name, created_at)
    SELECT %(tenant)s, m.id, 'bench', now() FROM made m
    RETURNING account_id
)
SELECT array_agg(m.id ORDER BY length(m.code), m.code), now() FROM made m
"""

_TRANSFERS = """
INSERT INTO ledger.transfers (tenant_id, id, kind, recorded_at, account_ids, amounts, entry_seqs)
SELECT %(tenant)s, kernel.uuid_floor(r.at), 'transfer', r.at,
       ARRAY[(%(accounts)s::uuid[])[1], (%(accounts)s::uuid[])[2 + n * 7919 %% 1000]],
       ARRAY[n %% 9 + 1, -(n %% 9 + 1)], ARRAY[n, (n - 1) / 1000 + 1]
FROM generate_series(1::bigint, %(entries)s) n,
     LATERAL (SELECT %(start)s::timestamptz + n * %(every)s AS at) r
"""

_ENTRIES = """
INSERT INTO ledger.entries (tenant_id, account_id, seq, transfer_id, amount, balance_after, recorded_at)
SELECT %(tenant)s, l.account, l.seq, t.id, l.amount,
       sum(l.amount) OVER (PARTITION BY l.account ORDER BY l.seq),
       t.recorded_at
FROM ledger.transfers t, LATERAL unnest(t.account_ids, t.amounts, t.entry_seqs) AS l (account, amount, seq)
WHERE t.tenant_id = %(tenant)s AND t.account_ids[1] = (%(accounts)s::uuid[])[1]
"""

_BALANCES = """
UPDATE ledger.accounts a SET entry_seq = e.seq, balance = e.balance_after, last_entry_at = e.recorded_at
FROM (SELECT DISTINCT ON (account_id) account_id, seq, balance_after, recorded_at FROM ledger.entries
      WHERE tenant_id = %(tenant)s AND account_id = ANY (%(accounts)s) ORDER BY account_id, seq DESC) e
WHERE a.tenant_id = %(tenant)s AND a.id = e.account_id
"""


async def history(bench: "Bench") -> None:
    """Past balances and statements, in process through the coalescers, against reads of a current balance."""
    bench.say(f"history: an account with {ENTRIES:,} entries")
    tenant_id = bench.one.tenant_id
    accounts, start = await _write_history(bench)
    account_id = accounts[0]
    async with Database(bench.urls.app, size=4) as database:
        ledger = Ledger(database)
        began = time.perf_counter()
        taken = await service.project(ledger, tenant_id, accounts)
        spent_s = time.perf_counter() - began
        async with Database(bench.urls.owner, size=1) as owner, owner.connection() as connection:
            await connection.execute("ANALYZE ledger.snapshots, ledger.projections")
        bench.add("history_projected_per_s", "entries projected (snapshots)", taken / spent_s, "/s")
        chance = Random(1)  # noqa: S311 - a load, not a secret

        # Many callers ask for many accounts: of one they would share the answer.
        async def now(some: Sequence[UUID]) -> None:
            await balance(ledger, tenant_id, chance.choice(some))

        async def then(some: Sequence[UUID]) -> None:
            at = start + chance.random() * ENTRIES * _EVERY
            await service.balance_at(ledger, tenant_id, chance.choice(some), at=at)

        def statement(axis: TimeAxis) -> Callable[[], Awaitable[None]]:
            async def read() -> None:
                since = start + chance.randrange(ENTRIES - STATEMENT_LINES) * _EVERY
                until = since + STATEMENT_LINES * _EVERY
                told = await service.statement(
                    ledger, tenant_id, account_id, since=since, until=until, by=axis
                )
                lines = sum([len(page) async for page in service.pages(ledger, tenant_id, told)])
                if abs(lines - STATEMENT_LINES) > 1:
                    raise LoadFailed(f"the statement has {lines} lines")

            return read

        for callers, some in ((1, accounts[:1]), (CALLERS, accounts)):
            bench.say(f"history: past balances, {callers} callers")
            current, past = (
                await _rate(partial(now, some), callers, bench.seconds),
                await _rate(partial(then, some), callers, bench.seconds),
            )
            bench.add(f"history_now_{callers}_per_s", f"balance now, {callers} callers", current, "/s")
            bench.add(f"history_then_{callers}_per_s", "  as of a past instant", past, "/s")
            bench.add(f"history_then_{callers}_ratio", "  past against now", past / current, "x", 1 / 3)
        current = await _rate(partial(now, accounts[:1]), 1, bench.seconds)
        for axis in TimeAxis:
            bench.say(f"history: statements of {STATEMENT_LINES} entries, {axis} time")
            rate = await _rate(statement(axis), 1, bench.seconds)
            bench.add(f"history_statement_{axis}_per_s", f"statements of 1,000, {axis} time", rate, "/s")
            bench.add(
                f"history_statement_{axis}_ratio", "  against a balance now", rate / current, "x", 1 / 20
            )


async def _write_history(bench: "Bench") -> tuple[Sequence[UUID], datetime]:
    """The accounts, the large one first, and when their history begins."""
    tenant_id = bench.one.tenant_id
    async with Database(bench.urls.owner, size=1, timeout_s=60) as owner:
        async with owner.connection() as connection, connection.transaction():
            await connection.execute(set_tenant(tenant_id))
            cursor = await connection.execute(_ACCOUNTS, {"tenant": tenant_id})
            ((accounts, now),) = await cursor.fetchall()
            start = now - ENTRIES * _EVERY - timedelta(hours=1)
            values = {
                "tenant": tenant_id,
                "accounts": accounts,
                "start": start,
                "every": _EVERY,
                "entries": ENTRIES,
            }
            for statement in (_TRANSFERS, _ENTRIES, _BALANCES):
                await connection.execute(statement, values)
        async with owner.connection() as connection:
            for table in ("accounts", "entries", "transfers"):
                await connection.execute(f"VACUUM ANALYZE ledger.{table}".encode())
    return accounts, start


async def _rate(call: Callable[[], Awaitable[None]], callers: int, seconds: float) -> float:
    """Calls a second of so many callers, each asking again when it is answered."""
    for _ in range(10):
        await call()
    done = 0
    began = time.perf_counter()

    async def caller() -> None:
        nonlocal done
        while time.perf_counter() < began + seconds:
            await call()
            done += 1

    await asyncio.gather(*(caller() for _ in range(callers)))
    return done / (time.perf_counter() - began)

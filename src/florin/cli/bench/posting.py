"""The ledger's array function behind the coalescer, in process: what grouping is worth, what spoils it."""

import asyncio
import re
import time
from collections.abc import Callable
from contextlib import suppress
from random import Random
from uuid import UUID

from florin.cli.bench.load import LoadFailed
from florin.cli.bench.stage import Books
from florin.kernel.coalescer import Coalescer
from florin.kernel.db import Database
from florin.kernel.embedded.cluster import Cluster
from florin.kernel.idempotency import Idempotency
from florin.kernel.ids import new_id
from florin.ledger.errors import InsufficientFunds
from florin.ledger.model import Leg, Posting
from florin.ledger.posting import POST

CALLERS = (50, 1000)
FIRST_SCHEMA_WAL = 1532
"""Bytes of WAL per transfer at 100 items a call with the schema of migration 0005, full pages left out."""

_WAL_TRANSFERS = 20_000
_NOT_OURS = "VACUUM|VISIBLE|FREEZE|^XLOG|^Standby|^CommitTs|^CLOG"

Draw = Callable[[], Posting]


class Deck:
    """Draws transfers of 1.00 in USD as the HTTP load does, now and then from an account that has nothing."""

    def __init__(self, books: Books, *, empty: UUID | None = None) -> None:
        self._books, self._empty = books, empty
        self._chance = Random(1)  # noqa: S311 - a load, not a secret

    def transfer(self, *, hot: bool = False, refused: float = 0) -> Posting:
        """One transfer; `refused`: how many of all are drawn on the empty account."""
        accounts = self._books.accounts
        debit, credit = self._chance.sample(range(1, len(accounts)), 2)
        payer = accounts[0 if hot else debit]
        if self._empty is not None and self._chance.random() < refused:
            payer = self._empty
        transfer_id = new_id()
        return Posting(
            id=transfer_id,
            idempotency=Idempotency(slot=transfer_id, digest=transfer_id),
            legs=(Leg(payer, 100), Leg(accounts[credit], -100)),
            currency="USD",
        )


async def open_empty_account(database: Database, books: Books) -> UUID:
    """An account that may not fall below zero and has nothing: whatever is drawn on it is refused."""
    account_id = new_id()
    async with database.tenant(books.tenant_id) as connection:
        await connection.execute(
            "INSERT INTO ledger.accounts (tenant_id, id, code, type, currency, min_balance)"
            " VALUES (%s, %s, %s, 'liability', 'USD', 0)",
            (books.tenant_id, account_id, f"bench:empty:{account_id}"),
        )
        await connection.execute(
            "INSERT INTO ledger.account_details (tenant_id, account_id, name, min_balance, created_at)"
            " VALUES (%s, %s, 'empty', 0, now())",
            (books.tenant_id, account_id),
        )
    return account_id


async def coalesced(database: Database, books: Books, draw: Draw, *, callers: int, seconds: float) -> float:
    """Answers a second, refusals included, that so many callers in this process get.

    Raises:
        LoadFailed: something else than a lack of funds was answered.
    """
    coalescer = Coalescer(database, POST)
    answered = 0
    until = time.perf_counter() + seconds

    async def caller() -> None:
        nonlocal answered
        while time.perf_counter() < until:
            with suppress(InsufficientFunds):
                await coalescer.call(books.tenant_id, draw())
            answered += 1

    started = time.perf_counter()
    told = await asyncio.gather(*(caller() for _ in range(callers)), return_exceptions=True)
    errors = [one for one in told if one is not None]
    if errors:
        raise LoadFailed(f"ledger.post: {errors[0]!r}")
    return answered / (time.perf_counter() - started)


async def wal_per_transfer(database: Database, cluster: Cluster, books: Books, draw: Draw) -> float:
    """Bytes of WAL per transfer at 100 items a call, by what pg_waldump reads in the log.

    Pages that are written in full after a checkpoint, and what vacuum does meanwhile, are left out: how much
    that is depends on the moment.

    Raises:
        LoadFailed: pg_waldump did not understand the log.
    """
    before = await _wal_position(database)
    for _ in range(_WAL_TRANSFERS // 100):
        items = [draw() for _ in range(100)]
        async with database.tenant(books.tenant_id) as connection:
            await connection.execute(
                POST.statement.encode(), (books.tenant_id, *POST.encode(items)), prepare=True
            )
    after = await _wal_position(database)
    process = await asyncio.create_subprocess_exec(
        *(str(cluster.bin_dir / "pg_waldump"), "--stats=record", "-s", before, "-e", after),
        *("-p", str(cluster.pgdata / "pg_wal")),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, trouble = await process.communicate()
    records = re.findall(r"^(\w+)/(\S+)\s+\d+ \([ .\d]+\)\s+(\d+)", said.decode(), re.MULTILINE)
    ours = [int(size) for kind, name, size in records if not re.search(_NOT_OURS, f"{kind}/{name}")]
    if not sum(ours):
        raise LoadFailed(f"pg_waldump: {trouble.decode()[-300:]}")
    return sum(ours) / _WAL_TRANSFERS


async def _wal_position(database: Database) -> str:
    async with database.platform() as connection:
        cursor = await connection.execute("SELECT pg_current_wal_insert_lsn()::text")
        row = await cursor.fetchone()
    assert row is not None
    return str(row[0])

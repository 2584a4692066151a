"""Imports, chunk by chunk: what it posts, what was wrong with it and how far it has come commit together.

Two chunks are on their way at a time, each on a connection of its own. A chunk is written upon the balances
that those before it will leave, while they are still on their way. When its turn comes it takes its locks
(accounts by id, in `ledger.count_import`); where somebody else has posted meanwhile, it is rolled back and
written anew under them. Killed at any moment, the same file goes on after the last chunk that committed.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from psycopg import Rollback
from psycopg.errors import InvalidParameterValue

from florin.kernel import clock
from florin.kernel.db import Connection, Database
from florin.kernel.errors import Refusal
from florin.kernel.ids import new_id
from florin.kernel.provenance import Provenance
from florin.ledger import service as ledger_service
from florin.ledger.bulk import store
from florin.ledger.bulk.accounts import account_lines
from florin.ledger.bulk.errors import FileUnreadable, ImportInProgress, ImportNotFound
from florin.ledger.bulk.files import File, Rows
from florin.ledger.bulk.model import (
    COLUMNS,
    Import,
    ImportKind,
    ImportStatus,
    KnownAccount,
    RowError,
    Standing,
)
from florin.ledger.bulk.planning import OPENING_PREFIX, Plan, Planner, SlowRow, Staged, staged
from florin.ledger.model import AccountType, SystemAccount
from florin.ledger.service import Ledger

CHUNK_ROWS: Final = 50_000
_SLOW_AT_A_TIME: Final = 1000
_MISSES: Final = 3
_TAKEN: Final = "another account has this code"
_FORBIDDEN: Final = "a node of the chart above it has another type, another currency or contradicting bounds"

Progress = Callable[[Import], None]


async def import_file(
    ledger: Ledger,
    tenant_id: int,
    kind: ImportKind,
    file: File,
    *,
    by: Provenance | None = None,
    chunk_rows: int = CHUNK_ROWS,
    on_progress: Progress | None = None,
) -> Import:
    """Imports a file to its end, or what is left of it; returns how it went.

    A file that has been imported is not imported again. Bad rows are refused one by one, with a reason
    each (`import_errors`); good ones are in the books as if they had been posted one by one.
    `by`: to whom the audit log puts down the accounts; `on_progress` hears of every chunk.

    Raises:
        FileUnreadable, ColumnMissing, ColumnUnknown, ParquetUnsupported
        ImportInProgress: another process is at the same file.
    """
    async with ledger.database.tenant(tenant_id) as connection:
        begun = await store.begin_import(connection, tenant_id, new_id(), kind, file.digest, clock.now())
        run = _Run(ledger, tenant_id, begun, by, await store.currencies(connection), on_progress)
        run.closed_before = await store.closed_before(connection, tenant_id)
    if begun.status is ImportStatus.COMPLETED:
        return begun
    try:
        await _through(run, file, chunk_rows)
    except FileUnreadable:
        await _end(run, ImportStatus.FAILED)
        raise
    return await _end(run, ImportStatus.COMPLETED)


@dataclass(slots=True)
class _Run:
    """One call of `import_file`."""

    ledger: Ledger
    tenant_id: int
    state: Import
    by: Provenance | None
    currencies: frozenset[str]
    on_progress: Progress | None
    closed_before: datetime | None = None
    book: dict[str, KnownAccount] = field(default_factory=dict)
    delicate: set[UUID] = field(default_factory=set)
    """Accounts that were in the way."""

    astray: bool = False
    """Whether the book no longer says how accounts will stand."""

    misses: int = 0

    @property
    def database(self) -> Database:
        return self.ledger.database

    @property
    def foresight(self) -> bool:
        """Whether it is still worth while to write ahead: not where others keep posting."""
        return not self.astray and self.misses < _MISSES


async def _through(run: _Run, file: File, chunk_rows: int) -> None:
    """All chunks, two of them on the way at any time."""
    chunks = file.chunks(COLUMNS[run.state.kind], chunk_rows, skip=run.state.rows_done)
    flying: deque[asyncio.Task[None]] = deque()

    async def land(most: int) -> None:
        while len(flying) > most:
            await flying[0]
            flying.popleft()

    try:
        while (rows := await asyncio.to_thread(next, chunks, None)) is not None:
            if run.astray:
                await land(0)
                run.book.clear()
                run.astray = False
            if run.state.kind is ImportKind.ACCOUNTS:
                await land(1)
                work = _accounts(run, rows, flying[-1] if flying else None)
            else:
                await _look_up(run, rows)
                plan, legs = await _plan(run, rows)
                await land(1)
                work = _transfers(run, rows, plan, legs, flying[-1] if flying else None)
            flying.append(asyncio.create_task(work))
        await land(0)
    finally:
        for task in flying:
            task.cancel()
        await asyncio.gather(*flying, return_exceptions=True)


async def _turn(before: "asyncio.Task[None] | None") -> None:
    """Waits until the chunk before has committed. Raises what stopped it."""
    if before is not None:
        await asyncio.wait({before})
        before.result()


async def _end(run: _Run, status: ImportStatus) -> Import:
    total = run.state.rows_done if status is ImportStatus.COMPLETED else None
    async with run.database.tenant(run.tenant_id) as connection:
        await store.end_import(connection, run.tenant_id, run.state.id, status, total, clock.now())
        ended = await store.import_by_id(connection, run.tenant_id, run.state.id)
    assert ended is not None
    return ended


async def _advance(run: _Run, connection: Connection, rows: range, errors: Sequence[RowError]) -> None:
    counted = await store.advance_import(connection, run.tenant_id, run.state.id, rows, errors, clock.now())
    if not counted:
        raise ImportInProgress


def _tell(run: _Run, rows: range, errors: Sequence[RowError]) -> None:
    run.state = replace(run.state, rows_done=rows.stop - 1, rows_refused=run.state.rows_refused + len(errors))
    if run.on_progress is not None:
        run.on_progress(run.state)


async def _accounts(run: _Run, rows: Rows, before: "asyncio.Task[None] | None") -> None:
    lines, errors = await asyncio.to_thread(account_lines, rows, run.currencies)
    span = range(rows.first, rows.first + len(rows.rows))
    async with run.database.tenant(run.tenant_id, by=run.by) as connection:
        await store.stage_accounts(connection, lines)
        await _turn(before)
        taken, forbidden = await store.import_accounts(connection, run.tenant_id, clock.now())
        errors += [
            *(RowError(number, "code", "account_code_taken", _TAKEN) for number in taken),
            *(RowError(number, "code", "chart_conflict", _FORBIDDEN) for number in forbidden),
        ]
        await _advance(run, connection, span, errors)
    _tell(run, span, errors)


async def _look_up(run: _Run, rows: Rows) -> None:
    """Puts the accounts of these rows into the book, and the opening accounts that they need."""
    columns = (0,) if run.state.kind is ImportKind.BALANCES else (1, 2)
    codes = {row[column] for column in columns for row in rows.rows if len(row) > 1}
    wanted = [code for code in codes - run.book.keys() if "\x00" not in code]
    if wanted:
        await _fetch(run, wanted)
    if run.state.kind is not ImportKind.BALANCES:
        return
    currencies = {run.book[code].currency for code in codes if code in run.book}
    opening = [
        SystemAccount(OPENING_PREFIX + one, f"Opening {one}", AccountType.EQUITY, one)
        for one in sorted(currencies)
    ]
    missing = [one for one in opening if one.code not in run.book]
    if missing:
        try:
            await ledger_service.account_ids(run.ledger, run.tenant_id, missing)
        except InvalidParameterValue as error:
            raise FileUnreadable(f"opening balances: {error.diag.message_primary}", param="file") from None
        await _fetch(run, [one.code for one in missing])


async def _fetch(run: _Run, codes: Iterable[str]) -> None:
    async with run.database.tenant(run.tenant_id) as connection:
        found = await store.accounts_by_code(connection, run.tenant_id, codes)
    run.book.update({one.code: one for one in found})
    for one in found:
        one.delicate |= one.id in run.delicate


async def _plan(run: _Run, rows: Rows, *, careful: bool = False) -> tuple[Plan, Staged]:
    planner = Planner(run.state.kind, run.book, run.closed_before)
    plan = await asyncio.to_thread(planner.plan, rows, careful=careful)
    if not careful and any(gain.account.delicate for gain in plan.gains.values()):
        return await _plan(run, rows, careful=True)
    legs = await asyncio.to_thread(staged, plan)
    if legs.beyond:
        _mark_delicate(run, plan, legs.beyond)
        return await _plan(run, rows, careful=True)
    return plan, legs


def _expected(plan: Plan, legs: Staged) -> Standing:
    """How the accounts will stand before the chunk, if nobody else posts; notes how they will after it."""
    known = [gain.account for gain in plan.gains.values()]
    times = [one.last_at for one in known if one.last_at is not None]
    standing = Standing(
        [one.seq for one in known], [one.balance_minor for one in known], max(times, default=None)
    )
    for one, count, total in zip(known, legs.counts, legs.totals, strict=True):
        one.seq += count
        one.balance_minor += total
    return standing


async def _transfers(
    run: _Run, rows: Rows, plan: Plan, legs: Staged, before: "asyncio.Task[None] | None"
) -> None:
    standing = _expected(plan, legs)
    async with run.database.tenant(run.tenant_id, by=run.by) as connection:
        await store.stage_transfers(connection, plan, legs)
        if not (
            run.foresight
            and not plan.slow
            and await _written_ahead(run, connection, plan, legs, standing, before)
        ):
            await _turn(before)
            plan = await _written_under_locks(run, connection, rows, plan, legs)
        errors = plan.errors + await _one_by_one(run, connection, plan.slow)
        await _advance(run, connection, plan.rows, errors)
    _tell(run, plan.rows, errors)


async def _written_ahead(
    run: _Run,
    connection: Connection,
    plan: Plan,
    legs: Staged,
    standing: Standing,
    before: "asyncio.Task[None] | None",
) -> bool:
    """Writes before the turn comes; False where it turns out that the accounts stand otherwise."""
    counted = False
    async with connection.transaction() as savepoint:
        recorded_at, _ = await store.write_import(connection, run.tenant_id, legs, standing, plan.earliest)
        await _turn(before)
        if recorded_at is not None:
            seen = await store.count_import(connection, run.tenant_id, legs, standing, recorded_at)
            counted = seen.counted
        if not counted:
            raise Rollback(savepoint)
    return counted


async def _written_under_locks(
    run: _Run, connection: Connection, rows: Rows, plan: Plan, legs: Staged
) -> Plan:
    """Writes the plan's fast part; plans again, more carefully, where the locks show that it must.

    From the first look on, all accounts of the chunk are locked: what the second plan sees stays so.
    """
    if run.foresight:
        run.astray = True  # what later chunks expect is wrong: their accounts are looked up anew
        run.misses += 1
    while True:
        looked = await store.count_import(connection, run.tenant_id, legs, None, None)
        if looked.in_the_way:
            _mark_delicate(run, plan, looked.in_the_way)
        else:
            standing = looked.standing
            recorded_at, closed = await store.write_import(
                connection, run.tenant_id, legs, standing, plan.earliest
            )
            if recorded_at is not None:
                counted = await store.count_import(connection, run.tenant_id, legs, standing, recorded_at)
                assert counted.counted, "nobody else can have posted under these locks"
                return plan
            run.closed_before = closed
        plan, legs = await _plan(run, rows, careful=bool(looked.in_the_way) or plan.careful)
        await store.clear_stage(connection)
        await store.stage_transfers(connection, plan, legs)


def _mark_delicate(run: _Run, plan: Plan, account_ids: Sequence[UUID]) -> None:
    run.delicate.update(account_ids)
    for gain in plan.gains.values():
        gain.account.delicate |= gain.account.id in run.delicate


async def _one_by_one(run: _Run, connection: Connection, slow: Sequence[SlowRow]) -> list[RowError]:
    errors: list[RowError] = []
    for start in range(0, len(slow), _SLOW_AT_A_TIME):
        part = slow[start : start + _SLOW_AT_A_TIME]
        answers = await store.post(connection, run.tenant_id, [one.posting for one in part])
        for one, answer in zip(part, answers, strict=True):
            if isinstance(answer, Refusal):
                errors += _refused(one, answer)
            elif isinstance(answer, Exception):
                raise answer
    return errors


def _refused(slow: SlowRow, refusal: Refusal) -> list[RowError]:
    """`legs[1].account` of the posting is a column of the row."""
    leg, _, member = (refusal.param or "").partition(".")
    column = slow.fields[int(leg[5:-1])] if leg.startswith("legs[") else None
    first = RowError(
        slow.rows.start, "amount" if member == "amount" else column, refusal.code, refusal.detail
    )
    return [first] + [
        RowError(number, None, "transfer_refused", f"row {slow.rows.start} of this transfer was refused")
        for number in slow.rows[1:]
    ]


async def import_by_id(ledger: Ledger, tenant_id: int, import_id: UUID) -> Import:
    """How far the import has come. Raises ImportNotFound."""
    async with ledger.database.tenant(tenant_id) as connection:
        found = await store.import_by_id(connection, tenant_id, import_id)
    if found is None:
        raise ImportNotFound
    return found


async def imports(
    ledger: Ledger,
    tenant_id: int,
    *,
    limit: int,
    kind: ImportKind | None = None,
    status: ImportStatus | None = None,
    starting_after: UUID | None = None,
) -> list[Import]:
    """Imports, newest first."""
    async with ledger.database.tenant(tenant_id) as connection:
        return await store.imports(
            connection, tenant_id, limit=limit, kind=kind, status=status, starting_after=starting_after
        )


async def import_errors(
    ledger: Ledger, tenant_id: int, import_id: UUID, *, limit: int, starting_after: int | None = None
) -> list[RowError]:
    """What was wrong with rows, in the order of the file. Raises ImportNotFound."""
    async with ledger.database.tenant(tenant_id) as connection:
        if await store.import_by_id(connection, tenant_id, import_id) is None:
            raise ImportNotFound
        return await store.import_errors(
            connection, tenant_id, import_id, limit=limit, starting_after=starting_after
        )

"""The only caller of `queries.sql`: rows in, model out. The caller's transaction is its tenant's."""

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import aiosql
from psycopg import AsyncCopy

from florin.kernel.db import Connection
from florin.ledger.bulk.model import (
    Counted,
    ExportKind,
    Import,
    ImportKind,
    ImportStatus,
    KnownAccount,
    RowError,
    Standing,
)
from florin.ledger.bulk.planning import Plan, Staged
from florin.ledger.model import AccountType, Posted, Posting
from florin.ledger.posting import POST

_queries: Any = aiosql.from_path(Path(__file__).with_name("queries.sql"), "apsycopg")

_COPY_ACCOUNTS = (
    "COPY pg_temp.import_accounts"
    " (row_number, id, code, name, type, currency, min_balance, max_balance, metadata) FROM STDIN"
)
_COPY_LEGS = "COPY pg_temp.import_legs (item, account, number, amount, moved, effective_at) FROM STDIN"
_COPY_TRANSFERS = (
    "COPY pg_temp.import_transfers (item, accounts, amounts, numbers, effective_at,"
    " description, metadata, correlation_id, causation_id) FROM STDIN"
)


async def begin_import(
    connection: Connection, tenant_id: int, import_id: UUID, kind: ImportKind, digest: bytes, now: datetime
) -> Import:
    """The import of this file: a new one, or the one that there is."""
    await _queries.begin_import(
        connection, tenant_id=tenant_id, id=import_id, kind=kind, digest=digest, now=now
    )
    row = await _queries.import_of_file(connection, tenant_id=tenant_id, kind=kind, digest=digest)
    return _import(row)


async def import_by_id(connection: Connection, tenant_id: int, import_id: UUID) -> Import | None:
    """The import, if there is one."""
    row = await _queries.import_by_id(connection, tenant_id=tenant_id, id=import_id)
    return None if row is None else _import(row)


async def imports(connection: Connection, tenant_id: int, **filters: Any) -> list[Import]:
    """Imports, newest first: `limit`, `starting_after`, `kind`, `status`."""
    return [_import(row) async for row in _queries.imports(connection, tenant_id=tenant_id, **filters)]


async def import_errors(
    connection: Connection, tenant_id: int, import_id: UUID, *, limit: int, starting_after: int | None
) -> list[RowError]:
    """What was wrong with rows, in the order of the file."""
    rows = _queries.import_errors(
        connection, tenant_id=tenant_id, import_id=import_id, starting_after=starting_after, limit=limit
    )
    return [RowError(*row) async for row in rows]


async def advance_import(
    connection: Connection,
    tenant_id: int,
    import_id: UUID,
    rows: range,
    errors: Sequence[RowError],
    now: datetime,
) -> bool:
    """Counts these rows as done and keeps their errors; False where others have counted them."""
    if errors:
        await _queries.add_errors(
            connection,
            tenant_id=tenant_id,
            import_id=import_id,
            row_numbers=[error.row_number for error in errors],
            fields=[error.field for error in errors],
            codes=[error.code for error in errors],
            messages=[error.message for error in errors],
        )
    advanced: int = await _queries.advance_import(
        connection,
        tenant_id=tenant_id,
        id=import_id,
        rows_before=rows.start - 1,
        rows_done=rows.stop - 1,
        rows_refused=len(errors),
        now=now,
    )
    return advanced == 1


async def end_import(
    connection: Connection,
    tenant_id: int,
    import_id: UUID,
    status: ImportStatus,
    rows_total: int | None,
    now: datetime,
) -> None:
    """Marks the import as over."""
    await _queries.end_import(
        connection, tenant_id=tenant_id, id=import_id, status=status, rows_total=rows_total, now=now
    )


async def accounts_by_code(
    connection: Connection, tenant_id: int, codes: Iterable[str]
) -> list[KnownAccount]:
    """Those of the accounts that exist, in no order."""
    rows = _queries.accounts_by_code(connection, tenant_id=tenant_id, codes=list(codes))
    return [
        KnownAccount(account_id, code, AccountType(type_), *rest)
        async for account_id, code, type_, *rest in rows
    ]


async def closed_before(connection: Connection, tenant_id: int) -> datetime | None:
    """Before which time the books are closed."""
    found: datetime | None = await _queries.closed_before(connection, tenant_id=tenant_id)
    return found


async def currencies(connection: Connection) -> frozenset[str]:
    """The currencies that money can be kept in."""
    return frozenset([code async for (code,) in _queries.currencies(connection)])


async def stage_accounts(connection: Connection, lines: Sequence[str]) -> None:
    """Puts accounts where `import_accounts` looks for them."""
    await _queries.open_stage(connection)
    await _copy(connection, _COPY_ACCOUNTS, lines)


async def import_accounts(
    connection: Connection, tenant_id: int, now: datetime
) -> tuple[list[int], list[int]]:
    """Opens the staged accounts; gives the rows whose code is taken, and those that the chart forbids."""
    row = await _queries.import_accounts(connection, tenant_id=tenant_id, now=now)
    return row[0] or [], row[1] or []


async def stage_transfers(connection: Connection, plan: Plan, legs: Staged) -> None:
    """Puts a plan where `write_import` looks for it."""
    await _queries.open_stage(connection)
    await _copy(connection, _COPY_TRANSFERS, plan.transfers)
    await _copy(connection, _COPY_LEGS, legs.lines)


async def clear_stage(connection: Connection) -> None:
    """Takes a plan away again before the end of the transaction."""
    await _queries.clear_stage(connection)


async def _copy(connection: Connection, statement: str, lines: Sequence[str]) -> None:
    async with connection.cursor() as cursor, cursor.copy(statement.encode()) as copy:
        await copy.write("".join(lines))


async def write_import(
    connection: Connection, tenant_id: int, legs: Staged, standing: Standing, earliest: datetime | None
) -> tuple[datetime | None, datetime | None]:
    """Writes the staged transfers upon accounts that stand like this.

    Gives when they are recorded; or None and the time before which the books turn out to be closed.
    """
    row = await _queries.write_import(
        connection,
        tenant_id=tenant_id,
        accounts=legs.accounts,
        seqs=standing.seqs,
        balances=standing.balances,
        not_before=standing.last_at,
        earliest=earliest,
    )
    return row[0], row[1]


async def count_import(
    connection: Connection,
    tenant_id: int,
    legs: Staged,
    standing: Standing | None,
    recorded_at: datetime | None,
) -> Counted:
    """Locks all accounts of the plan, and counts on them what was written upon `standing`.

    Without `recorded_at` nothing was written: tells how they stand.
    """
    row = await _queries.count_import(
        connection,
        tenant_id=tenant_id,
        accounts=legs.accounts,
        counts=legs.counts,
        totals=legs.totals,
        lows=legs.lows,
        highs=legs.highs,
        dated=legs.dated,
        seqs=standing.seqs if standing else [],
        balances=standing.balances if standing else [],
        recorded_at=recorded_at,
    )
    counted, in_the_way, seqs, balances, last_at = row
    return Counted(counted, in_the_way or [], Standing(seqs or [], balances or [], last_at))


async def post(
    connection: Connection, tenant_id: int, postings: Sequence[Posting]
) -> Sequence[Posted | Exception]:
    """Posts in order, in the caller's transaction; a Refusal stands in the place of what was refused."""
    cursor = await connection.execute(POST.statement.encode(), (tenant_id, *POST.encode(postings)))
    return POST.decode(postings, await cursor.fetchall())


def _import(row: Sequence[Any]) -> Import:
    import_id, kind, status, *rest = row
    return Import(import_id, ImportKind(kind), ImportStatus(status), *rest)


def export_csv(
    connection: Connection, kind: ExportKind, parameters: dict[str, Any]
) -> AbstractAsyncContextManager[AsyncCopy]:
    """The rows as CSV with a header, as fast as they are read."""
    statement = f"COPY ({_export_sql(kind)}) TO STDOUT (FORMAT csv, HEADER)"
    return connection.cursor().copy(statement.encode(), parameters)


async def export_rows(
    connection: Connection, kind: ExportKind, parameters: dict[str, Any], size: int
) -> AsyncGenerator[tuple[list[str], list[tuple[Any, ...]]], None]:
    """The names of the columns and `size` rows at a time, through a cursor on the server; at least once."""
    async with connection.cursor("export") as cursor:
        await cursor.execute(_export_sql(kind).encode(), parameters)
        names = [column.name for column in cursor.description or ()]
        rows = await cursor.fetchmany(size)
        yield names, rows
        while rows := await cursor.fetchmany(size):
            yield names, rows


def _export_sql(kind: ExportKind) -> str:
    sql: str = getattr(_queries, f"export_{kind}").sql
    return sql.rstrip().rstrip(";")

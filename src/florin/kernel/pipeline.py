"""Several statements in one round trip, straight through libpq.

psycopg's own pipeline mode does the same at about 60 us a statement, which is more than the server
needs for it. Here a statement is a few calls into the C library: parameters are text that the server
reads by the types of the function they go to, and statements are prepared once per connection.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import count as counter
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

from psycopg import Error
from psycopg.adapt import Transformer
from psycopg.errors import (
    FeatureNotSupported,
    InternalError,
    InvalidSqlStatementName,
    OperationalError,
    error_from_result,
)
from psycopg.pq import ConnStatus, ExecStatus
from psycopg.pq.abc import PGconn, PGresult
from psycopg.rows import TupleRow

from florin.kernel.db import Connection

Parameter = str | int | float | UUID | datetime | Sequence[object] | None
"""What has a text that PostgreSQL reads; sequences become array literals."""

STALE = (FeatureNotSupported, InvalidSqlStatementName)
"""What a prepared statement meets after a migration has changed its function: it has to be prepared anew."""

_numbers = counter(1)
_prepared: WeakKeyDictionary[Connection, dict[bytes, bytes]] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL with `$1`, `$2` ... and a value for each; without values it is sent as it is."""

    sql: bytes
    parameters: Sequence[Parameter] = ()


async def run_pipeline(connection: Connection, statements: Sequence[Statement]) -> list[list[TupleRow]]:
    """Runs the statements in order and returns the rows of each.

    The statements bring their own BEGIN and COMMIT. After an error the rest is skipped by the
    server; the pool rolls back when it gets the connection. A connection left in mid-conversation
    (cancelled, cut) is closed, never reused.

    Raises:
        psycopg.Error: what the first failing statement met; OperationalError when the line is cut.
    """
    pgconn = connection.pgconn
    values = [[_text(value) for value in statement.parameters] for statement in statements]
    try:
        pgconn.enter_pipeline_mode()
        known = _prepared.setdefault(connection, {})
        fresh: list[bytes] = []
        expected = [_send(pgconn, *sent, known, fresh) for sent in zip(statements, values, strict=True)]
        pgconn.pipeline_sync()
        results = await _receive(pgconn, sum(expected) + 1)
        pgconn.exit_pipeline_mode()
    except BaseException:
        await connection.close()
        raise
    try:
        return _rows(connection, results, expected)
    except STALE:
        await connection.close()  # and with it all that it had prepared
        raise
    except Error:
        for prepared in fresh:  # by now, or skipped after the error: prepare anew, under another name
            del known[prepared]
        raise


def _send(
    pgconn: PGconn,
    statement: Statement,
    values: list[bytes | None],
    known: dict[bytes, bytes],
    fresh: list[bytes],
) -> int:
    """Sends one statement and returns how many results it will have."""
    if not values:
        pgconn.send_query_params(statement.sql, None)
        return 1
    name = known.get(statement.sql)
    if name is not None:
        pgconn.send_query_prepared(name, values)
        return 1
    name = known[statement.sql] = b"florin_%d" % next(_numbers)
    fresh.append(statement.sql)
    pgconn.send_prepare(name, statement.sql)
    pgconn.send_query_prepared(name, values)
    return 2


def _text(value: Parameter) -> bytes | None:
    if value is None:
        return None
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, int | float | UUID | datetime):
        return str(value).encode()
    if isinstance(value, list | tuple):
        return ("{" + ",".join(map(_element, value)) + "}").encode()
    raise TypeError(f"a {type(value).__name__} is not a parameter; give text, a number or a list")


def _element(value: object) -> str:
    """One element of an array literal, quoted whatever it is (PostgreSQL manual, 8.15.2)."""
    if value is None:
        return "NULL"
    text = f"\\x{value.hex()}" if isinstance(value, bytes) else str(value)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


async def _receive(pgconn: PGconn, count: int) -> list[PGresult]:
    """All results up to the synchronisation point, `count` of them."""
    results: list[PGresult] = []
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    # Kept: libpq forgets the number when the line is cut, and a reader left behind under it would
    # starve the next connection that gets the same number.
    socket = pgconn.socket
    loop.add_reader(socket, readable.set)
    try:
        while pgconn.flush():
            # The server answers while we still send: read, or both would wait for the other for ever.
            await _writable(loop, socket, readable)
            pgconn.consume_input()
        while len(results) < count:
            while len(results) < count and not pgconn.is_busy():
                result = pgconn.get_result()  # None: the end of one statement's results
                if result is not None:
                    results.append(result)
                elif pgconn.status == ConnStatus.BAD:
                    raise OperationalError("the connection was cut")
            if len(results) < count:
                readable.clear()
                await readable.wait()
                pgconn.consume_input()
    finally:
        loop.remove_reader(socket)
    return results


async def _writable(loop: asyncio.AbstractEventLoop, socket: int, ready: asyncio.Event) -> None:
    ready.clear()
    loop.add_writer(socket, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_writer(socket)


def _rows(
    connection: Connection, results: Sequence[PGresult], expected: Sequence[int]
) -> list[list[TupleRow]]:
    for result in results:
        if result.status == ExecStatus.FATAL_ERROR:
            raise error_from_result(result, encoding=connection.info.encoding)
        if result.status == ExecStatus.PIPELINE_ABORTED:
            raise InternalError("a statement was skipped after an error that was not reported")
    rows: list[list[TupleRow]] = []
    at = 0
    for count in expected:
        result = results[at + count - 1]
        at += count
        rows.append(_load(connection, result) if result.ntuples else [])
    return rows


def _load(connection: Connection, result: PGresult) -> list[TupleRow]:
    transformer: Any = Transformer(connection)
    transformer.set_pgresult(result)
    loaded: list[TupleRow] = transformer.load_rows(0, result.ntuples, tuple)
    return loaded

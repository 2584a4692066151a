"""Statements stay prepared, or are prepared anew, whatever else happens on the connection."""

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

import pytest
from psycopg import AsyncConnection, OperationalError
from psycopg.errors import DivisionByZero

from florin.kernel.db import Database
from florin.kernel.pipeline import Statement, run_pipeline


class Urls(Protocol):
    """Connection strings of the test database."""

    app: str
    root: str


@pytest.fixture
async def database(database_urls: Urls) -> AsyncIterator[Database]:
    async with Database(database_urls.app, size=2) as opened:
        yield opened


def double(number: int) -> Statement:
    return Statement(b"SELECT $1::integer * 2", (number,))


async def test_statements_survive_a_rollback_on_their_connection(database: Database) -> None:
    async with database.connection() as connection:
        assert await run_pipeline(connection, [double(1)]) == [[(2,)]]
        for _ in range(10):  # more often than psycopg waits before it prepares by itself
            await connection.execute("SELECT %s::integer", (1,))
        with pytest.raises(DivisionByZero):
            async with connection.transaction():
                await connection.execute("SELECT 1 / %s::integer", (0,))
        await connection.execute("SELECT 1")
        assert await run_pipeline(connection, [double(2)]) == [[(4,)]]


async def test_a_statement_that_was_skipped_after_an_error_is_prepared_the_next_time(
    database: Database,
) -> None:
    wrong = Statement(b"SELECT 1 / $1::integer", (0,))
    async with database.connection() as connection:
        for _ in range(2):
            with pytest.raises(DivisionByZero):
                await run_pipeline(connection, [wrong, double(1)])
        assert await run_pipeline(connection, [double(3), double(4)]) == [[(6,)], [(8,)]]


async def test_a_cut_connection_leaves_no_reader_behind_for_the_next_of_its_number(
    database: Database, database_urls: Urls
) -> None:
    async with database.connection() as connection:
        number, backend = connection.pgconn.socket, connection.info.backend_pid
        sleeping = asyncio.create_task(run_pipeline(connection, [Statement(b"SELECT pg_sleep(30)")]))
        await asyncio.sleep(0.2)
        async with await AsyncConnection.connect(database_urls.root, autocommit=True) as root:
            await root.execute("SELECT pg_terminate_backend(%s)", (backend,))
        with pytest.raises(OperationalError):
            await sleeping
        assert connection.closed
        assert not asyncio.get_running_loop().remove_reader(number)

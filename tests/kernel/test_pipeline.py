"""What stays prepared on a connection, whatever else happens on it."""

import psycopg
import pytest

from florin.kernel.db import Database
from florin.kernel.pipeline import Statement, run_pipeline
from tests.conftest import AllDatabaseUrls

TWICE = Statement(b"SELECT $1::integer * 2", (21,))
BY_ZERO = Statement(b"SELECT 1 / $1::integer", (0,))
NOWHERE = Statement(b"SELECT missing FROM nowhere WHERE $1::integer = 1", (1,))


async def test_ordinary_statements_and_rollbacks_leave_prepared_ones_alone(
    database_urls: AllDatabaseUrls,
) -> None:
    """psycopg would throw away all prepared statements of a connection at the first rollback."""
    async with Database(database_urls.app, size=1) as database:
        for _ in range(3):
            async with database.connection() as connection:
                assert await run_pipeline(connection, [TWICE]) == [[(42,)]]
            with pytest.raises(LookupError):
                async with database.platform() as connection:
                    for number in range(10):
                        await connection.execute("SELECT %s::integer", (number,))
                    raise LookupError


async def test_what_an_error_kept_from_being_prepared_is_prepared_the_next_time(
    database_urls: AllDatabaseUrls,
) -> None:
    async with Database(database_urls.app, size=1) as database:
        for broken in (BY_ZERO, NOWHERE):
            with pytest.raises((psycopg.errors.DivisionByZero, psycopg.errors.UndefinedTable)):
                async with database.connection() as connection:
                    await run_pipeline(connection, [broken, TWICE])
            async with database.connection() as connection:
                assert await run_pipeline(connection, [TWICE]) == [[(42,)]]
        async with database.connection() as connection:
            cursor = await connection.execute("SELECT count(*) FROM pg_prepared_statements")
            assert await cursor.fetchone() == (2,)

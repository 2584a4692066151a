"""Grouped calls on a real database: one answer each, neighbours unharmed, lost connections outlived."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import psycopg
import pytest
from psycopg.errors import RaiseException
from psycopg.rows import TupleRow

from florin.kernel.coalescer import ArrayFunction, Coalescer, array
from florin.kernel.db import Database
from florin.kernel.pipeline import Statement, run_pipeline
from tests.conftest import AllDatabaseUrls

FUNCTION = """
CREATE SCHEMA IF NOT EXISTS trial;
GRANT USAGE ON SCHEMA trial TO florin_app;
CREATE TABLE IF NOT EXISTS trial.calls (tenant_id integer NOT NULL, items integer NOT NULL);
GRANT SELECT, INSERT ON trial.calls TO florin_app;
CREATE OR REPLACE FUNCTION trial.double(p_tenant integer, p_numbers integer[])
RETURNS TABLE (item bigint, doubled integer, tenant text) LANGUAGE plpgsql AS $$
BEGIN
    IF 13 = ANY (p_numbers) THEN RAISE EXCEPTION 'unlucky'; END IF;
    INSERT INTO trial.calls VALUES (p_tenant, cardinality(p_numbers));
    RETURN QUERY SELECT n.item, n.number * 2, current_setting('app.tenant_id')
    FROM unnest(p_numbers) WITH ORDINALITY AS n (number, item) ORDER BY n.item;
END $$;
GRANT EXECUTE ON FUNCTION trial.double(integer, integer[]) TO florin_app;
TRUNCATE trial.calls;
"""


def _decode(items: Sequence[int], rows: list[TupleRow]) -> list[Any]:
    return [
        ValueError("seven") if number == 7 else (row[1], row[2])
        for number, row in zip(items, rows, strict=True)
    ]


DOUBLE: ArrayFunction[int, Any] = ArrayFunction(
    "SELECT * FROM trial.double(%s, %s)", lambda items: (array(items),), _decode
)


@pytest.fixture
async def database(database_urls: AllDatabaseUrls) -> AsyncIterator[Database]:
    async with await psycopg.AsyncConnection.connect(database_urls.owner) as connection:
        await connection.execute(FUNCTION.encode())
    async with Database(database_urls.app, size=4) as opened:
        yield opened


async def _calls(database: Database) -> list[tuple[Any, ...]]:
    async with database.platform() as connection:
        cursor = await connection.execute("SELECT tenant_id, items FROM trial.calls")
        return await cursor.fetchall()


async def test_concurrent_callers_share_calls_and_each_gets_its_own_answer(database: Database) -> None:
    coalescer = Coalescer(database, DOUBLE)
    numbers = [number for number in range(300) if number not in (7, 13)]
    answers = await asyncio.gather(*(coalescer.call(1, number) for number in numbers))
    assert answers == [(number * 2, "1") for number in numbers]
    calls = await _calls(database)
    assert sum(items for _, items in calls) == len(numbers)
    assert len(calls) <= 3


async def test_each_tenant_gets_a_call_in_its_own_context(database: Database) -> None:
    coalescer = Coalescer(database, DOUBLE, flights=1)
    answers = await asyncio.gather(*(coalescer.call(tenant, 5) for tenant in (3, 1, 2, 3, 1)))
    assert answers == [(10, tenant) for tenant in "31231"]
    assert dict(await _calls(database)) == {1: 2, 2: 1, 3: 2}


async def test_a_refused_item_is_raised_at_its_caller_alone(database: Database) -> None:
    coalescer = Coalescer(database, DOUBLE)
    answers = await asyncio.gather(*(coalescer.call(1, n) for n in (6, 7, 8)), return_exceptions=True)
    assert answers[0] == (12, "1")
    assert isinstance(answers[1], ValueError)
    assert answers[2] == (16, "1")


async def test_an_unexpected_error_is_narrowed_down_to_the_item_that_causes_it(database: Database) -> None:
    coalescer = Coalescer(database, DOUBLE, flights=1)
    numbers = [number for number in range(40) if number != 7]
    answers = await asyncio.gather(*(coalescer.call(1, n) for n in numbers), return_exceptions=True)
    for number, answer in zip(numbers, answers, strict=True):
        if number == 13:
            assert isinstance(answer, RaiseException)
        else:
            assert answer == (number * 2, "1")
    assert sum(items for _, items in await _calls(database)) == len(numbers) - 1


@pytest.mark.usefixtures("database")
async def test_a_function_that_a_migration_changes_meanwhile_is_prepared_anew(
    database_urls: AllDatabaseUrls,
) -> None:
    changed = FUNCTION.replace("doubled integer", "doubled bigint").replace("n.number", "n.number::bigint")
    drop = "DROP FUNCTION trial.double(integer, integer[])"
    async with Database(database_urls.app, size=1) as alone:  # so that the call meets what it prepared
        coalescer = Coalescer(alone, DOUBLE)
        assert await coalescer.call(1, 4) == (8, "1")
        async with await psycopg.AsyncConnection.connect(database_urls.owner) as owner:
            await owner.execute(drop.encode())
            await owner.execute(changed.encode())
        answers = await asyncio.gather(*(coalescer.call(1, number) for number in (1, 2, 3)))
        assert answers == [(2, "1"), (4, "1"), (6, "1")]
    async with await psycopg.AsyncConnection.connect(database_urls.owner) as owner:
        await owner.execute(drop.encode())


async def test_a_caller_that_gives_up_does_not_disturb_the_others(database: Database) -> None:
    coalescer = Coalescer(database, DOUBLE, flights=1)
    impatient = asyncio.create_task(coalescer.call(1, 1))
    patient = asyncio.create_task(coalescer.call(1, 2))
    await asyncio.sleep(0)
    impatient.cancel()
    assert await patient == (4, "1")
    with pytest.raises(asyncio.CancelledError):
        await impatient


async def test_connections_cut_under_a_group_are_outlived(
    database: Database, database_urls: AllDatabaseUrls
) -> None:
    coalescer = Coalescer(database, DOUBLE)
    assert await coalescer.call(1, 1) == (2, "1")

    async def cut() -> None:
        async with await psycopg.AsyncConnection.connect(database_urls.root, autocommit=True) as root:
            for _ in range(8):
                await root.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE usename = 'florin_app' AND datname = current_database()"
                )
                await asyncio.sleep(0.1)

    async def call(number: int) -> Any:
        await asyncio.sleep(number * 0.01)
        return await coalescer.call(1, number * 20)

    cutter = asyncio.create_task(cut())
    answers = await asyncio.gather(*(call(number) for number in range(100)))
    await cutter
    assert answers == [(number * 40, "1") for number in range(100)]


async def test_parameters_arrive_as_they_were_given(database: Database) -> None:
    given = [None, "", "plain", 'quo"te', "back\\slash", "{brace},comma", "NULL", "é\n"]
    statement = Statement(
        b"SELECT $1::text[], $2::bytea[], $3::integer, $4::float8, $5::text, $6::integer[]",
        (given, [b"\x00\xff", None], 7, 0.1, None, []),
    )
    async with database.connection() as connection:
        for _ in range(2):  # the second time it is prepared
            rows = await run_pipeline(connection, [statement])
            assert rows == [[(given, [b"\x00\xff", None], 7, 0.1, None, [])]]


async def test_a_parameter_of_another_kind_is_a_fault_of_ours(database: Database) -> None:
    async with database.connection() as connection:
        with pytest.raises(TypeError, match="dict"):
            await run_pipeline(connection, [Statement(b"SELECT $1", ({},))])  # type: ignore[arg-type]
        assert await run_pipeline(connection, [Statement(b"SELECT 1")]) == [[(1,)]]  # still usable


def test_array_literals() -> None:
    assert array([1, None, -3]) == "{1,NULL,-3}"
    assert array([]) == "{}"

"""Months in the archive: nothing changes but where they lie."""

import asyncio
from datetime import UTC, date, datetime
from uuid import UUID

import psycopg
import pytest

from florin.kernel.db import Database
from florin.kernel.ids import new_id
from florin.ledger import service as ledger_service
from florin.ledger.archive import service
from florin.ledger.errors import ArchiveBusy, MonthNotArchivable
from florin.ledger.model import Leg, Posting, Transfer
from florin.ledger.store import FIND
from tests.conftest import AllDatabaseUrls
from tests.ledger.books import Books, fresh_key, posting, reversing

OLD, OLDER = date(2024, 2, 1), date(2023, 11, 1)


def id_in(month: date) -> UUID:
    """A fresh id as that month would have made it."""
    at_ms = int(datetime(month.year, month.month, 15, tzinfo=UTC).timestamp() * 1000)
    return UUID(int=at_ms << 80 | new_id().int & ((1 << 80) - 1))


def make_partitions(url: str, month: date) -> None:
    """The partitions of a month, as the job would have made them."""
    until = date(month.year, month.month + 1, 1)
    with psycopg.connect(url, autocommit=True) as owner:
        for table in ("transfers", "entries"):
            name = f"ledger.{table}_y{month:%Ym%m}"
            owner.execute(
                f"CREATE TABLE {name} PARTITION OF ledger.{table} FOR VALUES"
                f" FROM ('{_floor(owner, month)}') TO ('{_floor(owner, until)}')".encode()
            )
            owner.execute(f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY".encode())


def _floor(owner: psycopg.Connection, month: date) -> UUID:
    row = owner.execute("SELECT kernel.uuid_floor(%s::timestamp AT TIME ZONE 'UTC')", (month,)).fetchone()
    assert row is not None
    found: UUID = row[0]
    return found


@pytest.fixture(scope="module", autouse=True)
def partitions(database_urls: AllDatabaseUrls) -> None:
    """Two months long ago."""
    for month in (OLD, OLDER):
        make_partitions(database_urls.owner, month)


async def posted_in(books: Books, month: date) -> Transfer:
    legs = (Leg(books.opened[0], 70), Leg(books.opened[1], -70))
    return await ledger_service.post_transfer(
        books.ledger, books.tenant_id, Posting(id_in(month), fresh_key(), legs)
    )


def parents(urls: AllDatabaseUrls, month: date) -> list[str]:
    """What the month's partitions belong to."""
    with psycopg.connect(urls.root) as root:
        rows = root.execute(
            "SELECT i.inhparent::regclass::text FROM pg_inherits i"
            " WHERE i.inhrelid::regclass::text LIKE %s ORDER BY 1",
            (f"ledger.%y{month:%Ym%m}",),
        ).fetchall()
    return [row[0] for row in rows]


async def test_a_month_moves_whole_and_reads_and_reversals_go_on(
    books: Books, database_urls: AllDatabaseUrls
) -> None:
    await books.open()
    await books.open()
    old = await posted_in(books, OLD)
    new = await ledger_service.post_transfer(
        books.ledger, books.tenant_id, posting((books.opened[1], 20), (books.opened[0], -20))
    )
    entries = await books.entries(books.opened[0])
    listed = await ledger_service.transfers(books.ledger, books.tenant_id, limit=10)
    on_account = await ledger_service.transfers(
        books.ledger, books.tenant_id, limit=10, account_id=books.opened[0]
    )
    assert [one.id for one in listed] == [new.id, old.id]

    database = books.ledger.database
    assert OLD in await service.archivable_months(database, 24)
    assert len(await service.archive_month(database, OLD)) == 2
    assert parents(database_urls, OLD) == ["ledger.archived_entries", "ledger.archived_transfers"]
    assert await service.archive_month(database, OLD) == []
    assert OLD not in await service.archivable_months(database, 24)

    assert await books.entries(books.opened[0]) == entries
    assert await ledger_service.transfers(books.ledger, books.tenant_id, limit=10) == listed
    assert (
        await ledger_service.transfers(books.ledger, books.tenant_id, limit=10, account_id=books.opened[0])
        == on_account
    )
    assert (await ledger_service.transfer(books.ledger, books.tenant_id, old.id)).entries == old.entries
    reversal = await ledger_service.reverse_transfer(books.ledger, books.tenant_id, reversing(old.id))
    found = await ledger_service.transfer(books.ledger, books.tenant_id, old.id)
    assert found.reversal_ids == (reversal.id,)
    await books.assert_sound()


async def test_archived_rows_are_append_only_and_their_tenants_own(
    books: Books, other_books: Books, database_urls: AllDatabaseUrls
) -> None:
    await books.open()
    await books.open()
    month = OLDER
    await posted_in(books, month)
    await service.archive_month(books.ledger.database, month)
    async with books.ledger.database.tenant(other_books.tenant_id) as connection:
        cursor = await connection.execute("SELECT count(*) FROM ledger.archived_entries")
        assert await cursor.fetchone() == (0,)
    with psycopg.connect(database_urls.root) as root:
        partition = f"ledger.entries_y{month:%Ym%m}"
        guarded = root.execute(
            "SELECT relrowsecurity AND relforcerowsecurity FROM pg_class c WHERE oid = to_regclass(%s)",
            (partition,),
        ).fetchone()
        assert guarded == (True,)
        for table in (partition, "ledger.archived_entries"):
            for statement in (f"UPDATE {table} SET amount = 1", f"DELETE FROM {table}"):
                with pytest.raises(psycopg.errors.RestrictViolation), root.transaction():
                    root.execute(statement.encode())


async def test_recent_months_and_parts_of_months_stay(books: Books) -> None:
    today = datetime.now(UTC).date()
    previous = date(today.year - (today.month == 1), (today.month - 2) % 12 + 1, 1)
    for month in (today.replace(day=1), previous, date(2024, 2, 2), date(2990, 1, 1)):
        with pytest.raises(MonthNotArchivable):
            await service.archive_month(books.ledger.database, month)
    assert await service.archive_due(books.ledger.database, 0) == []
    assert previous not in await service.archivable_months(books.ledger.database, 1)


async def test_a_move_that_cannot_have_the_tables_leaves_everything_and_later_succeeds(
    books: Books, database_urls: AllDatabaseUrls
) -> None:
    month = date(2024, 5, 1)
    make_partitions(database_urls.owner, month)
    async with Database(database_urls.app, size=2) as database:
        with psycopg.connect(database_urls.root) as reader:
            reader.execute("SELECT count(*) FROM ledger.transfers")
            with pytest.raises(ArchiveBusy):
                await service.archive_month(database, month, patience_s=0)
            assert parents(database_urls, month) == ["ledger.entries", "ledger.transfers"]
            moving = asyncio.create_task(service.archive_month(database, month))
            await asyncio.sleep(0.7)
        assert len(await moving) == 2
        assert await service.archive_due(database, 24) == []


async def test_a_transfer_is_found_without_looking_into_other_months(database_urls: AllDatabaseUrls) -> None:
    with psycopg.connect(database_urls.app, autocommit=False) as app:
        app.execute("SET LOCAL app.tenant_id = 1")
        app.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        app.execute(b"PREPARE find (integer, uuid[]) AS " + FIND.statement.rstrip().rstrip(";").encode())
        wanted = id_in(OLD)
        plan = app.execute(
            f"EXPLAIN (ANALYZE, COSTS OFF, FORMAT text) EXECUTE find (1, '{{{wanted}}}')".encode()
        ).fetchall()
        lines = [row[0] for row in plan]
        touched = {
            line.split(" on ")[1].split()[0]
            for line in lines
            if "transfers_y" in line and " on " in line and "never executed" not in line
        }
        assert touched == {f"transfers_y{OLD:%Ym%m}"}, "\n".join(lines)

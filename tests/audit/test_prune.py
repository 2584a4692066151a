"""The log is shortened from its beginning, no further than the tenant keeps it, and stays provable."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg.errors import CheckViolation, DataCorrupted, InvalidParameterValue, RestrictViolation

from florin.audit import chain, service
from florin.audit.model import Fault
from tests.audit.history import record, set_back
from tests.conftest import AllDatabaseUrls
from tests.ledger.books import Books
from tests.ledger.proof.conftest import verified

OLD = timedelta(days=4 * 366)


def years_ago(years: float) -> datetime:
    return datetime.now(UTC) - timedelta(days=366 * years)


async def prune(books: Books, before: datetime, limit: int = 1000) -> int:
    async with books.ledger.database.tenant(books.tenant_id) as connection:
        cursor = await connection.execute("SELECT audit.prune(%s, %s, %s)", (books.tenant_id, before, limit))
        row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


def keep_for(urls: AllDatabaseUrls, tenant_id: int, *, years: str) -> None:
    """The tenant's setting."""
    with psycopg.connect(urls.root) as root:
        root.execute("SELECT set_config('app.tenant_id', %s, true)", (str(tenant_id),))
        root.execute(
            "INSERT INTO tenancy.configuration"
            " (tenant_id, id, key, effective_from, type, value, created_at, created_by)"
            " VALUES (%s, gen_random_uuid(), 'retention.audit_years', now(), 'NUMBER',"
            " to_jsonb(%s::text), now(), 'test')",
            (tenant_id, years),
        )


@pytest.fixture
def aged(books: Books, database_urls: AllDatabaseUrls) -> Books:
    """Ten rows, of which seven are four years old."""
    record(database_urls.app, books.tenant_id, 10)
    set_back(database_urls.root, books.tenant_id, through=7, by=OLD)
    return books


async def test_what_is_old_goes_in_batches_and_the_rest_is_still_proven(aged: Books) -> None:
    assert [await prune(aged, years_ago(3.1), 5) for _ in range(3)] == [5, 2, 0]
    left = await service.entries(aged.ledger.database, aged.tenant_id, limit=100)
    assert [one.seq for one in left] == [12, 11, 10, 9, 8]
    told = left[0]
    assert (told.action, told.entity_type, told.entity_id) == ("pruned", "audit_log", "7")
    assert told.after is not None
    assert (told.after["rows"], told.after["through"]) == (2, 7)
    verdict = await chain.verify(aged.ledger.database, aged.tenant_id)
    assert (verdict.rows, verdict.broken) == (5, None)


async def test_a_walk_that_a_pruning_overtakes_begins_anew(
    aged: Books, database_urls: AllDatabaseUrls
) -> None:
    overtaken: list[int] = []

    def prune_once(done: int, total: int) -> None:
        if overtaken:
            return
        overtaken.append(done)
        with psycopg.connect(database_urls.app) as connection:
            connection.execute("SELECT set_config('app.tenant_id', %s, true)", (str(aged.tenant_id),))
            connection.execute("SELECT audit.prune(%s, %s, 100)", (aged.tenant_id, years_ago(3.1)))

    verdict = await chain.verify(aged.ledger.database, aged.tenant_id, batch=2, on_progress=prune_once)
    assert overtaken == [2]
    assert (verdict.rows, verdict.broken) == (4, None)


async def test_an_anchor_is_checked_as_far_as_the_log_reaches_back(aged: Books) -> None:
    database, tenant_id = aged.ledger.database, aged.tenant_id
    digests = {
        one.entry.seq: one.digest async for _, window in service.export(database, tenant_id) for one in window
    }
    await prune(aged, years_ago(3.1))
    assert [await chain.check_anchor(database, tenant_id, seq, digests[seq]) for seq in (3, 7, 8, 10)] == [
        None,
        True,
        True,
        True,
    ]
    for seq in (7, 8, 99):
        assert await chain.check_anchor(database, tenant_id, seq, digests[1]) is False


async def test_the_books_hold_after_the_log_is_pruned(aged: Books) -> None:
    await prune(aged, years_ago(3.1))
    assert await verified(aged, grace=timedelta(0)) == []


async def test_nothing_goes_that_the_tenant_has_to_keep(aged: Books, database_urls: AllDatabaseUrls) -> None:
    for before in (years_ago(0), years_ago(0.9), years_ago(2.9)):
        with pytest.raises(CheckViolation, match="3 years"):
            await prune(aged, before)
    keep_for(database_urls, aged.tenant_id, years="5")
    with pytest.raises(CheckViolation, match="5 years"):
        await prune(aged, years_ago(4.5))
    assert await prune(aged, years_ago(5.1)) == 0


async def test_less_than_a_year_is_never_the_retention(books: Books, database_urls: AllDatabaseUrls) -> None:
    keep_for(database_urls, books.tenant_id, years="0")
    with pytest.raises(CheckViolation, match="1 year"):
        await prune(books, years_ago(0.9))


async def test_a_row_younger_than_its_neighbours_ends_the_pruning(
    books: Books, database_urls: AllDatabaseUrls
) -> None:
    record(database_urls.app, books.tenant_id, 5)
    assert await prune(books, years_ago(3.1)) == 0


async def test_a_limit_below_one_is_refused(books: Books) -> None:
    with pytest.raises(InvalidParameterValue):
        await prune(books, years_ago(4), 0)


async def test_an_altered_row_is_not_swept_away(aged: Books, database_urls: AllDatabaseUrls) -> None:
    with psycopg.connect(database_urls.root) as root:
        root.execute("SET LOCAL session_replication_role = replica")
        root.execute("UPDATE audit.log SET reason = 'x' WHERE tenant_id = %s AND seq = 3", (aged.tenant_id,))
    with pytest.raises(DataCorrupted, match="row 3"):
        await prune(aged, years_ago(3.1))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit.heads SET pruned_seq = 9 WHERE tenant_id = %(tenant)s",
        "UPDATE audit.heads SET pruned_digest = sha256('x') WHERE tenant_id = %(tenant)s",
        "UPDATE audit.heads h SET pruned_seq = 9, pruned_digest = l.digest FROM audit.log l"
        " WHERE h.tenant_id = %(tenant)s AND l.tenant_id = %(tenant)s AND l.seq = 9",
    ],
)
async def test_a_beginning_that_was_cut_off_by_hand_shows(
    aged: Books, database_urls: AllDatabaseUrls, statement: str
) -> None:
    await prune(aged, years_ago(3.1))
    with psycopg.connect(database_urls.root) as root:
        root.execute("SET LOCAL session_replication_role = replica")
        root.execute(statement.encode(), {"tenant": aged.tenant_id})
        root.execute("DELETE FROM audit.log WHERE tenant_id = %s AND seq IN (8, 9)", (aged.tenant_id,))
    verdict = await chain.verify(aged.ledger.database, aged.tenant_id)
    assert verdict.broken is not None
    assert verdict.broken.fault is Fault.START


async def test_the_owner_cannot_delete_past_the_mark_nor_young_rows(
    aged: Books, database_urls: AllDatabaseUrls
) -> None:
    for mark in (0, 9):  # even where the owner has set the mark himself
        with psycopg.connect(database_urls.owner) as owner, pytest.raises(RestrictViolation):
            owner.execute("SELECT set_config('app.tenant_id', %s, true)", (str(aged.tenant_id),))
            owner.execute(
                "UPDATE audit.heads SET pruned_seq = %s WHERE tenant_id = %s", (mark, aged.tenant_id)
            )
            owner.execute("DELETE FROM audit.log WHERE tenant_id = %s AND seq IN (7, 8)", (aged.tenant_id,))


async def test_a_chain_goes_on_across_the_border_of_a_month(
    books: Books, database_urls: AllDatabaseUrls
) -> None:
    """Rows in two partitions: the ids of some are of the month before."""
    record(database_urls.app, books.tenant_id, 6)
    with psycopg.connect(database_urls.root) as root:
        root.execute("SET LOCAL session_replication_role = replica")
        root.execute(
            "UPDATE audit.log SET id = overlay("
            "kernel.uuid_floor(date_trunc('month', now()) - interval '1 hour')::text"
            " PLACING lpad(seq::text, 12, '0') FROM 25)::uuid WHERE tenant_id = %s AND seq <= 3",
            (books.tenant_id,),
        )
    set_back(database_urls.root, books.tenant_id, through=0, by=OLD)
    with psycopg.connect(database_urls.root) as root:
        parts = root.execute(
            "SELECT count(DISTINCT tableoid) FROM audit.log WHERE tenant_id = %s", (books.tenant_id,)
        ).fetchone()
    assert parts == (2,)
    verdict = await chain.verify(books.ledger.database, books.tenant_id, batch=2)
    assert (verdict.rows, verdict.broken) == (6, None)
    listed = await service.entries(books.ledger.database, books.tenant_id, limit=10)
    assert [one.seq for one in listed] == [6, 5, 4, 3, 2, 1]

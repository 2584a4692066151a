"""Changes of the schema are recorded by triggers that nobody but a superuser can take down."""

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege, RestrictViolation

from florin.audit import schema_watch
from florin.kernel.db import Database
from florin.kernel.migrations import load_migrations, migrate, migrations_dir
from tests.conftest import AllDatabaseUrls


@pytest.fixture(scope="module", autouse=True)
async def installed(database_urls: AllDatabaseUrls) -> None:
    assert await schema_watch.install(database_urls.root)


@pytest.fixture
def owner(database_urls: AllDatabaseUrls) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_urls.owner, autocommit=True, application_name="by-hand") as connection:
        yield connection
        with suppress(psycopg.Error):
            connection.execute("DROP TABLE IF EXISTS access.trial")


def recorded(urls: AllDatabaseUrls) -> list[tuple[str, str | None, str | None]]:
    with psycopg.connect(urls.root) as root:
        return root.execute(
            "SELECT command, object, statement FROM audit.schema_changes"
            " WHERE application = 'by-hand' ORDER BY id"
        ).fetchall()


async def test_installing_twice_is_the_same_as_once(database_urls: AllDatabaseUrls) -> None:
    assert not await schema_watch.install(database_urls.root)
    async with Database(database_urls.app) as database:
        assert await schema_watch.is_watched(database)


def test_what_was_changed_is_told_without_its_literals(
    database_urls: AllDatabaseUrls, owner: psycopg.Connection
) -> None:
    owner.execute("CREATE TABLE access.trial (a text DEFAULT 'hunter2', b integer) -- don't tell hunter3")
    owner.execute("ALTER TABLE access.trial ADD CHECK (a <> E'it\\'s hunter4')")
    owner.execute("COMMENT ON TABLE access.trial IS $x$hunter5 'y$x$")
    owner.execute("DO $$ BEGIN EXECUTE 'ALTER TABLE access.trial ALTER a SET DEFAULT ''hunter6'''; END $$")
    owner.execute("GRANT SELECT ON access.trial TO florin_readonly")
    owner.execute("CREATE TEMPORARY TABLE fleeting (a integer)")
    owner.execute("DROP TABLE access.trial")
    found = recorded(database_urls)
    assert [(command, thing) for command, thing, _ in found] == [
        ("CREATE TABLE", "access.trial"),
        ("ALTER TABLE", "access.trial"),
        ("COMMENT", "access.trial"),
        ("ALTER TABLE", "access.trial"),
        ("GRANT", None),
        ("DROP TABLE", "access.trial"),
    ]
    assert found[0][2] == "CREATE TABLE access.trial (a text DEFAULT , b integer)"
    assert "hunter" not in str(found)


@pytest.mark.parametrize(
    "statement",
    [
        "DROP EVENT TRIGGER florin_schema_changed",
        "ALTER EVENT TRIGGER florin_schema_dropped DISABLE",
        "CREATE OR REPLACE FUNCTION schema_watch.record_change() RETURNS event_trigger"
        " LANGUAGE plpgsql AS $$ BEGIN END $$",
        "DROP SCHEMA schema_watch CASCADE",
        "DELETE FROM audit.schema_changes",
        "UPDATE audit.schema_changes SET statement = ''",
        "TRUNCATE audit.schema_changes",
    ],
)
def test_the_owner_of_the_schema_cannot_silence_it(owner: psycopg.Connection, statement: str) -> None:
    with pytest.raises((InsufficientPrivilege, RestrictViolation)):
        owner.execute(statement.encode())


def test_whoever_disables_its_guards_is_recorded(
    database_urls: AllDatabaseUrls, owner: psycopg.Connection
) -> None:
    owner.execute("ALTER TABLE audit.log DISABLE TRIGGER append_only")
    owner.execute("ALTER TABLE audit.log ENABLE TRIGGER append_only")
    assert [one[:2] for one in recorded(database_urls)][-2:] == [("ALTER TABLE", "audit.log")] * 2


async def test_a_migration_is_recorded_under_its_own_name(
    database_urls: AllDatabaseUrls, tmp_path: Path
) -> None:
    folder = tmp_path / "migrations"
    shutil.copytree(migrations_dir(), folder)
    fresh = folder / f"{len(load_migrations(folder)) + 1:04d}_trial"
    fresh.mkdir()
    (fresh / "note.md").write_text("A trial.")
    (fresh / "up.sql").write_text("COMMENT ON SCHEMA access IS 'a trial';")
    await migrate(database_urls.owner, folder=folder)
    async with Database(database_urls.app) as database:
        [newest] = await schema_watch.schema_changes(database, limit=1)
    assert (newest.command, newest.object, newest.login) == ("COMMENT", "access", "florin_owner")
    assert (newest.application, newest.reason) == ("florin-migrate", f"migration {fresh.name}")


async def test_pages_of_changes_go_on_after_an_entry(
    database_urls: AllDatabaseUrls, owner: psycopg.Connection
) -> None:
    for _ in range(3):
        owner.execute("COMMENT ON SCHEMA access IS 'x'")
    async with Database(database_urls.app) as database:
        newest = await schema_watch.schema_changes(database, limit=2)
        older = await schema_watch.schema_changes(database, limit=1, starting_after=newest[0].id)
    assert older == newest[1:]
    assert (newest[0].login, newest[0].application, newest[0].address) == ("florin_owner", "by-hand", None)


@pytest.mark.parametrize(
    ("statement", "kept"),
    [
        ("""SELECT "a'b" , 'x'""", """SELECT "a'b" ,"""),
        ("SELECT 'a''b', 1", "SELECT , 1"),
        ("SELECT /* it's */ 'x', 2", "SELECT , 2"),
        ("SELECT /* a /* b */ it's */ 'secret'", "SELECT"),
        ("SELECT $$secret$$ , 'x'", "SELECT"),
        ("SELECT $1, $2", "SELECT $1, $2"),
        ("SELECT date'x\\', 'secret'", "SELECT date,"),
        ("SELECT '" + "x" * 5000, "SELECT"),
    ],
)
def test_literals_and_comments_are_left_out(
    database_urls: AllDatabaseUrls, statement: str, kept: str
) -> None:
    with psycopg.connect(database_urls.root) as root:
        row = root.execute("SELECT schema_watch.without_literals(%s)", (statement,)).fetchone()
    assert row == (kept,)

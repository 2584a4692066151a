import asyncio
import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

import florin
from florin.kernel.migrations import (
    Applied,
    DatabaseNewerError,
    MigrationCheckError,
    MigrationDriftError,
    MigrationFilesError,
    Pending,
    check,
    load_migrations,
    migrate,
    migrations_dir,
)
from tests.conftest import AllDatabaseUrls


def write(folder: Path, name: str, up: str, check_sql: str | None = None) -> None:
    (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / name / "up.sql").write_text(up)
    (folder / name / "note.md").write_text("Because the test needs it.\n")
    if check_sql is not None:
        (folder / name / "check.sql").write_text(check_sql)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two migrations, the first of several statements with a function body."""
    write(
        tmp_path,
        "0001_things",
        """
        CREATE SCHEMA IF NOT EXISTS shop;
        CREATE TABLE shop.things (id int PRIMARY KEY, price int NOT NULL);
        CREATE FUNCTION shop.double(x int) RETURNS int LANGUAGE plpgsql AS $$
        BEGIN RETURN x * 2; END $$;
        INSERT INTO shop.things SELECT n, shop.double(n) FROM generate_series(1, 3) n;
        """,
        "SELECT id FROM shop.things WHERE price <> id * 2",
    )
    write(tmp_path, "0002_names", "ALTER TABLE shop.things ADD COLUMN name text -- 100% %s\n")
    return tmp_path


def query(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(statement.encode()).fetchall()


async def test_a_second_run_finds_nothing_to_do(folder: Path, empty_database: AllDatabaseUrls) -> None:
    url = empty_database.owner
    steps: list[Applied] = []
    assert await check(url, folder=folder) == [Pending(1, "things"), Pending(2, "names")]
    applied = await migrate(url, folder=folder, on_step=steps.append)
    assert [(each.version, each.name) for each in applied] == [(1, "things"), (2, "names")]
    assert steps == applied
    assert await migrate(url, folder=folder) == []
    assert await check(url, folder=folder) == []
    assert query(url, "SELECT id, price, name FROM shop.things ORDER BY id") == [
        (1, 2, None),
        (2, 4, None),
        (3, 6, None),
    ]
    owners = query(url, "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'shop'")
    assert owners == [("florin_owner",)]


async def test_checking_writes_nothing(folder: Path, empty_database: AllDatabaseUrls) -> None:
    await check(empty_database.owner, folder=folder)
    assert query(empty_database.owner, "SELECT to_regnamespace('kernel')") == [(None,)]


async def test_a_new_file_is_applied_to_a_migrated_database(
    folder: Path, empty_database: AllDatabaseUrls
) -> None:
    await migrate(empty_database.owner, folder=folder)
    write(folder, "0003_more", "INSERT INTO shop.things VALUES (4, 8)")
    assert await check(empty_database.owner, folder=folder) == [Pending(3, "more")]
    assert [each.version for each in await migrate(empty_database.owner, folder=folder)] == [3]


async def test_two_processes_at_once_apply_each_migration_once(
    folder: Path, empty_database: AllDatabaseUrls
) -> None:
    write(folder, "0003_slow", "SELECT pg_sleep(0.5); INSERT INTO shop.things VALUES (4, 8);")
    script = (
        "import asyncio, sys; from pathlib import Path\n"
        "from florin.kernel.migrations import migrate\n"
        "print(len(asyncio.run(migrate(sys.argv[1], folder=Path(sys.argv[2])))))"
    )
    processes = [
        subprocess.Popen(  # noqa: ASYNC220 - it returns at once
            [sys.executable, "-c", script, empty_database.owner, folder],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        for _ in range(2)
    ]
    counts = [process.communicate(timeout=30)[0].strip() for process in processes]
    assert sorted(counts) == ["0", "3"]
    assert query(empty_database.owner, "SELECT count(*) FROM shop.things") == [(4,)]


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "0001_things" / "up.sql").write_text("SELECT 1"),
        lambda folder: (folder / "0001_things").rename(folder / "0001_stuff"),
    ],
    ids=["another text", "another name"],
)
async def test_an_applied_file_that_changed_is_refused(
    folder: Path, empty_database: AllDatabaseUrls, change: object
) -> None:
    await migrate(empty_database.owner, folder=folder)
    assert callable(change)
    change(folder)
    for verb in (check, migrate):
        with pytest.raises(MigrationDriftError, match="0001_things was applied, but 0001_"):
            await verb(empty_database.owner, folder=folder)


async def test_line_endings_and_checks_may_change(folder: Path, empty_database: AllDatabaseUrls) -> None:
    await migrate(empty_database.owner, folder=folder)
    up = folder / "0001_things" / "up.sql"
    up.write_bytes(up.read_bytes().replace(b"\n", b"\r\n"))
    (folder / "0001_things" / "check.sql").write_text("SELECT 'stricter' WHERE false")
    assert await check(empty_database.owner, folder=folder) == []


async def test_a_newer_database_is_refused(folder: Path, empty_database: AllDatabaseUrls) -> None:
    write(folder, "0003_more", "SELECT 1")
    await migrate(empty_database.owner, folder=folder)
    for path in sorted((folder / "0003_more").iterdir()):
        path.unlink()
    (folder / "0003_more").rmdir()
    with pytest.raises(DatabaseNewerError, match="has migration 0003_more, this Florin ends at 0002"):
        await migrate(empty_database.owner, folder=folder)


@pytest.mark.parametrize(
    ("check_sql", "error"),
    [
        ("SELECT id FROM shop.things", MigrationCheckError),
        ("SELECT 1 WHERE false; SELECT id FROM shop.things WHERE id = 4", MigrationCheckError),
        ("DO $$ BEGIN RAISE EXCEPTION 'wrong'; END $$", psycopg.errors.RaiseException),
    ],
)
async def test_a_failing_check_undoes_its_migration_and_keeps_those_before(
    folder: Path, empty_database: AllDatabaseUrls, check_sql: str, error: type[Exception]
) -> None:
    write(folder, "0003_bad", "INSERT INTO shop.things VALUES (4, 0)", check_sql)
    with pytest.raises(error):
        await migrate(empty_database.owner, folder=folder)
    assert query(empty_database.owner, "SELECT max(id) FROM shop.things") == [(3,)]
    assert await check(empty_database.owner, folder=folder) == [Pending(3, "bad")]


async def test_a_busy_table_is_tried_again(folder: Path, empty_database: AllDatabaseUrls) -> None:
    await migrate(empty_database.owner, folder=folder)
    write(folder, "0003_column", "ALTER TABLE shop.things ADD COLUMN colour text")
    with psycopg.connect(empty_database.owner) as reader:
        reader.execute("SELECT FROM shop.things")
        waiting = asyncio.create_task(migrate(empty_database.owner, folder=folder))
        await asyncio.sleep(2.3)  # longer than the lock time-out of one attempt
        assert not waiting.done()
        reader.rollback()
        assert [each.version for each in await waiting] == [3]


async def test_an_index_is_built_concurrently_while_another_process_waits(
    folder: Path, empty_database: AllDatabaseUrls
) -> None:
    write(
        folder,
        "0003_index",
        "-- florin: no-transaction\n"
        "DROP INDEX CONCURRENTLY IF EXISTS shop.things_price;  -- a first attempt's\n"
        "CREATE INDEX CONCURRENTLY things_price\n    ON shop.things (price);\n",
        "SELECT 1 FROM pg_index WHERE indexrelid = 'shop.things_price'::regclass AND NOT indisvalid",
    )
    both = await asyncio.gather(
        migrate(empty_database.owner, folder=folder), migrate(empty_database.owner, folder=folder)
    )
    assert sorted(len(each) for each in both) == [0, 3]


async def test_function_bodies_outside_a_transaction_are_refused(
    folder: Path, empty_database: AllDatabaseUrls
) -> None:
    write(folder, "0003_body", "-- florin: no-transaction\nDO $$ BEGIN END $$;\n")
    with pytest.raises(MigrationFilesError, match="function bodies"):
        await migrate(empty_database.owner, folder=folder)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["0002_b"], "0002_b.* without its predecessor; the next migration must be 0001"),
        (["0001_a", "0003_c"], "0003_c.* without its predecessor; .* must be 0002"),
        (["0001_a", "0001_b"], "0001_b.* is there twice"),
        (["1_a"], "1_a: a migration's folder is named like"),
        (["0001_With-Dash"], "0001_With-Dash: a migration's folder"),
    ],
)
def test_a_wrong_folder_is_refused(tmp_path: Path, names: list[str], message: str) -> None:
    for name in names:
        write(tmp_path, name, "SELECT 1")
    with pytest.raises(MigrationFilesError, match=message):
        load_migrations(tmp_path)


@pytest.mark.parametrize("missing", ["up.sql", "note.md"])
def test_a_migration_needs_its_change_and_its_reason(tmp_path: Path, missing: str) -> None:
    write(tmp_path, "0001_a", "SELECT 1")
    (tmp_path / "0001_a" / missing).unlink()
    with pytest.raises(MigrationFilesError, match=f"0001_a has no {missing}"):
        load_migrations(tmp_path)


def test_no_folder_is_no_migrations(tmp_path: Path) -> None:
    assert load_migrations(tmp_path / "none") == []


def test_they_are_found_in_the_wheel_or_in_the_source_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "src" / "florin"
    package.mkdir(parents=True)
    monkeypatch.setattr(florin, "__file__", str(package / "__init__.py"))
    with pytest.raises(MigrationFilesError, match="the installation is incomplete"):
        migrations_dir()
    (tmp_path / "pyproject.toml").write_text("")
    assert migrations_dir() == tmp_path / "migrations"
    (package / "migrations").mkdir()
    assert migrations_dir() == package / "migrations"


async def test_the_projects_own_migrations_apply_and_stay_applied(
    database_urls: AllDatabaseUrls,
) -> None:
    assert await check(database_urls.owner) == []
    assert await migrate(database_urls.owner) == []

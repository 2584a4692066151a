"""Migrations: numbered folders of plain SQL, applied forwards only, each once, by one at a time.

    migrations/0007_add_holds/up.sql     the change
    migrations/0007_add_holds/note.md    why
    migrations/0007_add_holds/check.sql  optional: rows that must not be there, or a DO that raises

Folder, change, check and the record in `kernel.schema_migrations` are one transaction. An up.sql
that begins with `-- florin: no-transaction` runs statement by statement instead (CREATE INDEX
CONCURRENTLY); it may be cut short, so it must be written to be run again.

    MigrationError
    +-- MigrationFilesError    the folder itself is wrong: gap, duplicate, missing file
    +-- MigrationDriftError    an applied file was changed afterwards
    +-- DatabaseNewerError     the database has migrations that this version does not know
    +-- MigrationCheckError    a check.sql found rows; nothing of that migration was kept
"""

import asyncio
import hashlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import errors
from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)

import florin

_FOLDER = re.compile(r"(?P<version>\d{4})_(?P<name>[a-z0-9_]+)")
_NO_TRANSACTION = "-- florin: no-transaction"
_ADVISORY_LOCK = 0x666C6F72696E  # "florin"; advisory locks are per database
_LOCK_POLL_S = 0.1
_LOCK_TIMEOUT = "2s"  # a waiting ALTER TABLE makes everybody behind it wait too
_ATTEMPTS = 12


class MigrationError(Exception):
    """The database cannot be migrated; nothing was done beyond what was reported before."""


class MigrationFilesError(MigrationError):
    """The migrations folder is wrong in itself."""


class MigrationDriftError(MigrationError):
    """A migration that was applied is not the file of today."""


class DatabaseNewerError(MigrationError):
    """The database was migrated by a newer version of Florin."""


class MigrationCheckError(MigrationError):
    """A migration's own check found what must not be."""


@dataclass(frozen=True)
class Migration:
    """One folder. `checksum` is the SHA-256 of up.sql, line endings normalised."""

    version: int
    name: str
    up_sql: str
    check_sql: str | None
    checksum: str

    @property
    def in_transaction(self) -> bool:
        """Whether up.sql, check and record commit together."""
        return not self.up_sql.startswith(_NO_TRANSACTION)

    def __str__(self) -> str:
        return f"{self.version:04d}_{self.name}"


@dataclass(frozen=True)
class Applied:
    """A migration that has just been applied."""

    version: int
    name: str
    duration_ms: int

    def __str__(self) -> str:
        return f"{self.version:04d}_{self.name} ({self.duration_ms} ms)"


@dataclass(frozen=True)
class Pending:
    """A migration that is still to be applied."""

    version: int
    name: str

    def __str__(self) -> str:
        return f"{self.version:04d}_{self.name}"


def migrations_dir() -> Path:
    """`florin/migrations` of an installed wheel, or `migrations` at the root of the source tree."""
    package = Path(florin.__file__).parent
    source_root = package.parent.parent
    if (package / "migrations").is_dir():
        return package / "migrations"
    if (source_root / "pyproject.toml").is_file():
        return source_root / "migrations"
    raise MigrationFilesError(f"no migrations beside {package}: the installation is incomplete.")


def load_migrations(folder: Path) -> list[Migration]:
    """The folder's migrations in order, numbered 1, 2, 3... A missing folder holds none.

    Raises MigrationFilesError for a gap, a duplicate number, a strange name or a missing file.
    """
    if not folder.is_dir():
        return []
    found = sorted(path for path in folder.iterdir() if path.is_dir() and path.name[0] not in "._")
    migrations = [_load(path) for path in found]
    for expected, migration in enumerate(migrations, start=1):
        if migration.version != expected:
            problem = "twice" if migration.version < expected else "without its predecessor"
            raise MigrationFilesError(
                f"number {migration.version:04d} ({migration}) is there {problem}; "
                f"the next migration must be {expected:04d}."
            )
    return migrations


def _load(folder: Path) -> Migration:
    match = _FOLDER.fullmatch(folder.name)
    if match is None:
        raise MigrationFilesError(f"{folder.name}: a migration's folder is named like 0007_add_holds.")
    for needed in ("up.sql", "note.md"):
        if not (folder / needed).is_file():
            raise MigrationFilesError(f"{folder.name} has no {needed}.")
    up_sql = (folder / "up.sql").read_text("utf-8")  # text mode normalises line endings
    check = folder / "check.sql"
    return Migration(
        version=int(match["version"]),
        name=match["name"],
        up_sql=up_sql,
        check_sql=check.read_text("utf-8") if check.is_file() else None,
        checksum=hashlib.sha256(up_sql.encode()).hexdigest(),
    )


async def migrate(
    owner_url: str,
    *,
    folder: Path | None = None,
    on_step: Callable[[Applied], object] | None = None,
) -> list[Applied]:
    """Apply what is pending, in order; `on_step` hears of each as it is done.

    Safe to run twice and by several processes at once: the others wait, then find nothing to do.
    Connects as `florin_owner`, which will own what is created. Raises MigrationError, or the
    database's own error for a statement that fails; migrations before that one stay applied.
    """
    migrations = load_migrations(folder or migrations_dir())
    connection = await psycopg.AsyncConnection.connect(
        owner_url, autocommit=True, application_name="florin-migrate"
    )
    async with connection:
        await _lock(connection)
        await _create_table(connection)
        applied = []
        for migration in _pending(migrations, await _recorded(connection)):
            done = await _apply_with_retries(connection, migration)
            applied.append(done)
            if on_step is not None:
                on_step(done)
        return applied


async def check(owner_url: str, *, folder: Path | None = None) -> list[Pending]:
    """What `migrate` would apply; writes nothing. Raises MigrationError for drift."""
    migrations = load_migrations(folder or migrations_dir())
    connection = await psycopg.AsyncConnection.connect(owner_url, autocommit=True)
    async with connection:
        recorded = await _recorded(connection)
    return [Pending(each.version, each.name) for each in _pending(migrations, recorded)]


def _pending(migrations: list[Migration], recorded: dict[int, tuple[str, str]]) -> list[Migration]:
    """Compare the files with the record {version: (name, checksum)}."""
    by_version = {migration.version: migration for migration in migrations}
    for version, (name, checksum) in sorted(recorded.items()):
        known = by_version.get(version)
        if known is None:
            raise DatabaseNewerError(
                f"the database has migration {version:04d}_{name}, this Florin ends at "
                f"{len(migrations):04d}. Run the version that migrated it, or a newer one."
            )
        if (known.name, known.checksum) != (name, checksum):
            raise MigrationDriftError(
                f"migration {version:04d}_{name} was applied, but {known} differs from what was "
                "applied. Restore the file; put the change into a new migration."
            )
    if sorted(recorded) != list(range(1, len(recorded) + 1)):
        raise MigrationDriftError("the record in kernel.schema_migrations has a gap.")
    return migrations[len(recorded) :]


async def _lock(connection: psycopg.AsyncConnection) -> None:
    """Hold the session's advisory lock. Asked for again and again rather than waited for: a waiting
    statement keeps a snapshot, and CREATE INDEX CONCURRENTLY would wait for that in turn."""
    while True:
        cursor = await connection.execute("SELECT pg_try_advisory_lock(%s)", (_ADVISORY_LOCK,))
        row = await cursor.fetchone()
        if row and row[0]:
            return
        await asyncio.sleep(_LOCK_POLL_S)


async def _create_table(connection: psycopg.AsyncConnection) -> None:
    if await _has_table(connection):
        return
    async with connection.transaction():
        await connection.execute("CREATE SCHEMA IF NOT EXISTS kernel")
        await connection.execute(
            """
            CREATE TABLE kernel.schema_migrations (
                version     integer     CONSTRAINT schema_migrations_pkey PRIMARY KEY,
                name        text        NOT NULL,
                checksum    text        NOT NULL,
                applied_at  timestamptz NOT NULL DEFAULT now(),
                duration_ms integer     NOT NULL
            )
            """
        )


async def _has_table(connection: psycopg.AsyncConnection) -> bool:
    cursor = await connection.execute("SELECT to_regclass('kernel.schema_migrations') IS NOT NULL")
    row = await cursor.fetchone()
    return bool(row and row[0])


async def _recorded(connection: psycopg.AsyncConnection) -> dict[int, tuple[str, str]]:
    if not await _has_table(connection):
        return {}
    cursor = await connection.execute("SELECT version, name, checksum FROM kernel.schema_migrations")
    return {version: (name, checksum) for version, name, checksum in await cursor.fetchall()}


async def _apply_with_retries(connection: psycopg.AsyncConnection, migration: Migration) -> Applied:
    """Busy tables are given time between attempts instead of a queue behind our lock request."""
    async for attempt in AsyncRetrying(
        retry=retry_if_exception_type((errors.LockNotAvailable, errors.DeadlockDetected)),
        wait=wait_random_exponential(multiplier=0.25, max=10),
        stop=stop_after_attempt(_ATTEMPTS),
        reraise=True,
    ):
        with attempt:
            return await _apply(connection, migration)
    raise AssertionError("unreachable: the last attempt returns or raises")


async def _apply(connection: psycopg.AsyncConnection, migration: Migration) -> Applied:
    started = time.monotonic()
    if migration.in_transaction:
        async with connection.transaction():
            await connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
            await _say_why(connection, migration, for_transaction=True)
            await _run(connection, migration.up_sql)
            return await _check_and_record(connection, migration, started)
    # Waiting for old snapshots holds nobody up, so patience costs nothing here.
    await connection.execute("SET lock_timeout = 0")
    await _say_why(connection, migration, for_transaction=False)
    for statement in _statements(migration.up_sql):
        await _run(connection, statement)
    async with connection.transaction():
        return await _check_and_record(connection, migration, started)


async def _say_why(
    connection: psycopg.AsyncConnection, migration: Migration, *, for_transaction: bool
) -> None:
    """What the audit log and the record of schema changes give as the reason."""
    await connection.execute(
        "SELECT set_config('app.reason', %s, %s)", (f"migration {migration}", for_transaction)
    )


def _statements(up_sql: str) -> list[str]:
    """Split a no-transaction file at semicolons that end a line."""
    if "$$" in up_sql:
        raise MigrationFilesError("a no-transaction migration cannot contain function bodies ($$).")
    parts = re.split(r";[ \t]*(?:--[^\n]*)?(?:\n|$)", up_sql)
    comment = re.compile(r"--[^\n]*")
    return [part for part in parts if comment.sub("", part).strip()]


async def _check_and_record(
    connection: psycopg.AsyncConnection, migration: Migration, started: float
) -> Applied:
    if migration.check_sql is not None:
        rows = await _run(connection, migration.check_sql)
        if rows:
            raise MigrationCheckError(f"{migration}: check.sql found {len(rows)} rows: {rows[:5]}")
    duration_ms = round((time.monotonic() - started) * 1000)
    await connection.execute(
        "INSERT INTO kernel.schema_migrations (version, name, checksum, duration_ms) VALUES (%s, %s, %s, %s)",
        (migration.version, migration.name, migration.checksum, duration_ms),
    )
    return Applied(migration.version, migration.name, duration_ms)


async def _run(connection: psycopg.AsyncConnection, statements: str) -> list[tuple[Any, ...]]:
    """Run one simple query of any number of statements; the rows of all of them."""
    cursor = await connection.execute(statements.encode())
    rows: list[tuple[Any, ...]] = []
    while True:
        if cursor.description is not None:
            rows.extend(await cursor.fetchall())
        if not cursor.nextset():
            return rows

"""Changes of the schema: what has been recorded, and the event triggers that record it.

PostgreSQL lets only a superuser make event triggers. On the embedded server that is ourselves; elsewhere an
administrator runs `script()` once.
"""

import hashlib
from importlib import resources
from uuid import UUID

from psycopg import AsyncConnection, sql

from florin.audit import store
from florin.audit.model import SchemaChange
from florin.kernel.db import Database

_TRIGGERS = ("florin_schema_changed", "florin_schema_dropped")


def script() -> str:
    """The SQL that puts the event triggers up, for a superuser. Run twice it is the same as once."""
    return _statements() + "".join(
        f"COMMENT ON EVENT TRIGGER {name} IS '{version()}';\n" for name in _TRIGGERS
    )


def version() -> str:
    """What the triggers of this version are marked with."""
    return f"florin {hashlib.sha256(_statements().encode()).hexdigest()[:16]}"


def _statements() -> str:
    return resources.files(__package__).joinpath("schema_watch.sql").read_text()


async def install(root_url: str) -> bool:
    """Puts the triggers up unless they are, as a superuser, in a migrated database. False: they were."""
    async with await AsyncConnection.connect(root_url) as connection:
        if await store.schema_watched(connection, version()):
            return False
        await connection.execute(sql.SQL(script()))
    return True


async def is_watched(database: Database) -> bool:
    """Whether the triggers of this version are up and enabled."""
    async with database.platform() as connection:
        return await store.schema_watched(connection, version())


async def schema_changes(
    database: Database, *, limit: int, starting_after: UUID | None = None
) -> list[SchemaChange]:
    """What has been recorded, newest first."""
    async with database.platform() as connection:
        return await store.schema_changes(connection, limit=limit, starting_after=starting_after)

"""The only caller of `queries.sql`. The caller's transaction is its tenant's."""

from pathlib import Path
from typing import Any

import aiosql
from psycopg.types.json import Jsonb

from florin.kernel.db import Connection
from florin.ledger.recipes.model import Template

_queries: Any = aiosql.from_path(Path(__file__).with_name("queries.sql"), "apsycopg")


async def template(
    connection: Connection, tenant_id: int, name: str, version: int | None = None
) -> Template | None:
    """One version of the tenant's own recipe, or the newest, if there is one."""
    row = await _queries.template(connection, tenant_id=tenant_id, name=name, version=version)
    return None if row is None else Template(*row)


async def templates(
    connection: Connection, tenant_id: int, *, starting_after: str | None, limit: int
) -> list[Template]:
    """The newest versions of the tenant's own recipes, by name."""
    rows = _queries.templates(connection, tenant_id=tenant_id, starting_after=starting_after, limit=limit)
    return [Template(*row) async for row in rows]


async def insert_template(connection: Connection, tenant_id: int, new: Template) -> None:
    """Adds a version. Raises UniqueViolation where somebody else has just added it."""
    await _queries.insert_template(
        connection,
        tenant_id=tenant_id,
        name=new.name,
        version=new.version,
        body=Jsonb(new.document),
        created_at=new.created_at,
    )

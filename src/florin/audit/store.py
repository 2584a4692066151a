"""The only caller of `queries.sql`: rows in, model out. The caller's transaction is its tenant's."""

from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import aiosql

from florin.audit.model import AuditEntry
from florin.kernel.db import Connection

_queries: Any = aiosql.from_path(Path(__file__).with_name("queries.sql"), "apsycopg")

_FILTERS = ("entity_type", "entity_id", "actor", "since", "until", "starting_after")


class Link(NamedTuple):
    """A row of the chain; `expected` is the digest of what it holds now."""

    seq: int
    id: UUID
    previous: bytes
    digest: bytes
    expected: bytes


async def entries(connection: Connection, tenant_id: int, *, limit: int, **filters: Any) -> list[AuditEntry]:
    """The log, newest first: `entity_type`, `entity_id`, `actor`, `since`, `until`, `starting_after`."""
    asked = dict.fromkeys(_FILTERS) | filters
    return [
        AuditEntry(*row)
        async for row in _queries.entries(connection, tenant_id=tenant_id, limit=limit, **asked)
    ]


async def head(connection: Connection, tenant_id: int) -> tuple[int, bytes] | None:
    """Number and digest of the last row; None: nothing has been written yet."""
    row = await _queries.head(connection, tenant_id=tenant_id)
    return None if row is None else (row[0], row[1])


async def chain(
    connection: Connection, tenant_id: int, *, after_seq: int, after_id: UUID, through: int, limit: int
) -> list[Link]:
    """The next rows by number, up to number `through`."""
    rows = _queries.chain(
        connection,
        tenant_id=tenant_id,
        after_seq=after_seq,
        after_id=after_id,
        through=through,
        limit=limit,
    )
    return [Link(*row) async for row in rows]

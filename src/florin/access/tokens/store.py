"""The only caller of queries.sql. Every function runs in the caller's transaction."""

from pathlib import Path
from typing import Any, Final
from uuid import UUID

import aiosql

from florin.kernel.db import Connection

_queries: Final[Any] = aiosql.from_path(Path(__file__).parent / "queries.sql", "apsycopg")


async def client_digest(connection: Connection, tenant_id: int, client_id: UUID) -> bytes | None:
    """The digest of a client's secret; None: there is no such client."""
    digest = await _queries.client_digest(connection, tenant_id=tenant_id, id=client_id)
    return None if digest is None else bytes(digest)

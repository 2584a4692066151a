"""The only caller of queries.sql. Every function runs in the caller's transaction."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import aiosql
from psycopg.types.json import Jsonb

from florin.access.signing.model import SigningKey
from florin.kernel.db import Connection

_queries: Final[Any] = aiosql.from_path(Path(__file__).parent / "queries.sql", "apsycopg")


async def lock_keys(connection: Connection) -> None:
    """Waits until nobody else changes signing keys. Held until the transaction ends."""
    await _queries.lock_keys(connection)


async def keys(connection: Connection) -> list[SigningKey]:
    """All keys, newest first."""
    return [
        SigningKey(kid, bytes(public_key), *rest)
        async for kid, public_key, *rest in _queries.keys(connection)
    ]


async def sealed_key(connection: Connection, kid: str) -> bytes | None:
    """A key's private half, sealed; None: it has none any more."""
    row = await _queries.sealed_key(connection, kid=kid)
    return None if row is None or row[0] is None else bytes(row[0])


async def insert_key(connection: Connection, key: SigningKey, sealed: bytes) -> None:
    """Writes a new key."""
    await _queries.insert_key(
        connection,
        kid=key.kid,
        public_key=key.public_key,
        sealed=sealed,
        created_at=key.created_at,
        created_by=key.created_by,
        signs_from=key.signs_from,
        signs_until=key.signs_until,
    )


async def set_signs_until(connection: Connection, kid: str, signs_until: datetime | None) -> None:
    """Says when a key's successor begins."""
    await _queries.set_signs_until(connection, kid=kid, signs_until=signs_until)


async def revoke_key(connection: Connection, kid: str, now: datetime, by: str, reason: str) -> None:
    """Writes a revocation."""
    await _queries.revoke_key(connection, kid=kid, now=now, by=by, reason=reason)


async def forget_private_halves(connection: Connection, before: datetime) -> int:
    """Empties the private halves of keys that signed until before an instant. Returns how many."""
    return int(await _queries.forget_private_halves(connection, before=before))


async def house(connection: Connection) -> int | None:
    """The tenant PLATFORM; None: it is not registered."""
    row = await _queries.house(connection)
    return None if row is None else int(row[0])


async def record(
    connection: Connection, tenant_id: int, action: str, kid: str, after: Mapping[str, Any]
) -> None:
    """Writes into the tenant's audit log; the transaction is that tenant's."""
    await _queries.record(connection, tenant_id=tenant_id, action=action, kid=kid, after=Jsonb(dict(after)))

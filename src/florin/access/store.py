"""The only caller of queries.sql, and the array functions for the coalescer."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import aiosql
from psycopg.errors import UniqueViolation
from psycopg.rows import TupleRow

from florin.access.errors import ApiKeyAlreadyRotated
from florin.access.model import ApiKey, Limits, Presented
from florin.kernel.coalescer import ArrayFunction, array
from florin.kernel.db import Connection

_queries: Final[Any] = aiosql.from_path(Path(__file__).parent / "queries.sql", "apsycopg")


@dataclass(frozen=True, slots=True)
class FoundKey:
    """What decides whether a key may call."""

    id: UUID
    partner_id: UUID | None
    scopes: list[str]
    limits: Limits
    expires_at: datetime | None
    revoked_at: datetime | None
    tenant_status: str | None
    partner_status: str | None


def _found(items: Sequence[object], rows: list[TupleRow]) -> list[FoundKey | Exception | None]:
    assert len(items) == len(rows)
    return [
        None if id is None else FoundKey(id, partner_id, scopes, Limits(minute, hour, day), *rest)
        for _, id, partner_id, scopes, minute, hour, day, *rest in rows
    ]


FIND_KEYS: Final[ArrayFunction[Presented, FoundKey | None]] = ArrayFunction(
    statement="SELECT * FROM access.find_keys(%s, %s)",
    encode=lambda items: ([item.digest for item in items],),
    decode=_found,
)
"""The key of each digest; None where there is none."""


@dataclass(frozen=True, slots=True)
class Client:
    """A client of OAuth, as a token or a request for one names it."""

    tenant_id: int
    live: bool
    id: UUID


FIND_CLIENTS: Final[ArrayFunction[Client, FoundKey | None]] = ArrayFunction(
    statement="SELECT * FROM access.find_keys($1, access.client_digests($1, $2))",
    encode=lambda items: (array([item.id for item in items]),),
    decode=_found,
)
"""The same for clients, by their ids: whatever decides about keys decides about them."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A part of a window's quota: `needed` calls wait for it now, and up to `wanted` may be stored."""

    key_id: UUID
    period_s: int
    ends_at: datetime
    quota: int
    needed: int
    wanted: int


@dataclass(frozen=True, slots=True)
class Leased:
    """`calls` may be made under this lease; `taken` of the window are handed out in all."""

    calls: int
    taken: int


def _asked(items: Sequence[Lease]) -> Sequence[Any]:
    return (
        array([item.key_id for item in items]),
        array([item.period_s for item in items]),
        [item.ends_at for item in items],
        array([item.quota for item in items]),
        array([item.needed for item in items]),
        array([item.wanted for item in items]),
    )


def _leased(items: Sequence[Lease], rows: list[TupleRow]) -> list[Leased | Exception]:
    assert len(items) == len(rows)
    return [Leased(calls, taken) for _, calls, taken in rows]


LEASE: Final[ArrayFunction[Lease, Leased]] = ArrayFunction(
    statement="SELECT * FROM access.lease(%s, %s, %s, %s, %s, %s, %s)", encode=_asked, decode=_leased
)
"""Leases for windows. Safe to repeat: a lease whose answer is lost is only lost calls."""


@contextmanager
def refusing_second_successor() -> Iterator[None]:
    """Turns the unique key on `rotated_from` into its refusal."""
    try:
        yield
    except UniqueViolation as error:
        if not (error.diag.constraint_name or "").startswith("api_keys_rotated_from_key"):
            raise
        raise ApiKeyAlreadyRotated from None


def _key(row: Sequence[Any]) -> ApiKey:
    id, prefix, name, partner_id, scopes, minute, hour, day, *rest = row
    return ApiKey(id, prefix, name, partner_id, scopes, Limits(minute, hour, day), *rest)


async def insert_key(connection: Connection, tenant_id: int, key: ApiKey, digest: bytes) -> None:
    """Writes a new key."""
    await _queries.insert_key(
        connection,
        tenant_id=tenant_id,
        id=key.id,
        digest=digest,
        prefix=key.prefix,
        name=key.name,
        partner_id=key.partner_id,
        scopes=key.scopes,
        limit_per_minute=key.limits.per_minute,
        limit_per_hour=key.limits.per_hour,
        limit_per_day=key.limits.per_day,
        now=key.created_at,
        created_by=key.created_by,
        expires_at=key.expires_at,
        rotated_from=key.rotated_from,
        kind=key.kind,
    )


async def key(
    connection: Connection, tenant_id: int, key_id: UUID, partner_id: UUID | None, *, lock: bool = False
) -> ApiKey | None:
    """One key; with `partner_id`, only that partner's."""
    query = _queries.lock_key if lock else _queries.key
    row = await query(connection, tenant_id=tenant_id, id=key_id, partner_id=partner_id)
    return None if row is None else _key(row)


async def keys(
    connection: Connection, tenant_id: int, *, partner_id: UUID | None, after: UUID | None, count: int
) -> list[ApiKey]:
    """Keys, newest first."""
    rows = _queries.keys(connection, tenant_id=tenant_id, partner_id=partner_id, after=after, count=count)
    return [_key(row) async for row in rows]


async def end_key(
    connection: Connection,
    tenant_id: int,
    key_id: UUID,
    expires_at: datetime | None,
    revoked_at: datetime | None,
) -> None:
    """Writes when a locked key ends."""
    await _queries.end_key(
        connection, tenant_id=tenant_id, id=key_id, expires_at=expires_at, revoked_at=revoked_at
    )


async def mark_used(connection: Connection, tenant_id: int, ids: Sequence[UUID], at: datetime) -> None:
    """Notes that keys were used."""
    await _queries.mark_used(connection, tenant_id=tenant_id, ids=list(ids), at=at)


async def is_live(connection: Connection, tenant_id: int) -> bool | None:
    """Whether a tenant is the live twin; None: there is no such tenant."""
    row = await _queries.mode(connection, tenant_id=tenant_id)
    return None if row is None else bool(row[0])


async def forget_windows(connection: Connection, tenant_id: int, before: datetime) -> int:
    """Deletes windows that were over before an instant. Returns how many."""
    return int(await _queries.forget_windows(connection, tenant_id=tenant_id, before=before))

"""The only caller of queries.sql, and the array functions for the coalescer."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import aiosql
from psycopg.errors import UniqueViolation
from psycopg.rows import TupleRow

from florin.access.addresses import Network
from florin.access.errors import ApiKeyAlreadyRotated
from florin.access.model import ApiKey, KeyStatus, Limits, Presented
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
    allowed_addresses: list[Network]
    tenant_status: str | None
    partner_status: str | None
    live: bool
    platform: bool


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


def _ceilings(items: Sequence[UUID | None], rows: list[TupleRow]) -> list[tuple[Limits, Limits] | Exception]:
    assert len(items) == len(rows)
    return [(Limits(*row[1:4]), Limits(*row[4:7])) for row in rows]


CEILINGS: Final[ArrayFunction[UUID | None, tuple[Limits, Limits]]] = ArrayFunction(
    statement="SELECT * FROM access.ceilings(%s, %s)",
    encode=lambda items: (array(items),),
    decode=_ceilings,
)
"""The ceilings of a partner (None: of none) and of its tenant."""


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
    """A caller's windows, from which `needed` calls that wait now are taken together or not at all.

    Each of `windows` is its subject, its period in seconds, its end and its quota; `held` is what the
    process has in store of each, and `wanted` what it would like to have.
    """

    windows: Sequence[tuple[UUID, int, datetime, int]]
    held: Sequence[int]
    needed: int
    wanted: Sequence[int]


@dataclass(frozen=True, slots=True)
class Leased:
    """`calls` of a window may be made; `taken` of it are handed out in all."""

    calls: int
    taken: int


def _asked(items: Sequence[Lease]) -> Sequence[Any]:
    windows = [window for item in items for window in item.windows]
    return (
        array([number for number, item in enumerate(items, 1) for _ in item.windows]),
        array([subject for subject, _, _, _ in windows]),
        array([period_s for _, period_s, _, _ in windows]),
        [ends_at for _, _, ends_at, _ in windows],
        array([quota for _, _, _, quota in windows]),
        array([held for item in items for held in item.held]),
        array([item.needed for item in items for _ in item.windows]),
        array([wanted for item in items for wanted in item.wanted]),
    )


def _leased(items: Sequence[Lease], rows: list[TupleRow]) -> list[list[Leased] | Exception]:
    left = iter(rows)
    return [[Leased(*next(left)) for _ in item.windows] for item in items]


LEASE: Final[ArrayFunction[Lease, list[Leased]]] = ArrayFunction(
    statement="SELECT * FROM access.lease(%s, %s, %s, %s, %s, %s, %s, %s, %s)", encode=_asked, decode=_leased
)
"""Leases, one answer per window. Safe to repeat: a lease whose answer is lost is only lost calls."""


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
        allowed_addresses=key.allowed_addresses,
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
    connection: Connection,
    tenant_id: int,
    *,
    partner_id: UUID | None,
    status: KeyStatus | None,
    now: datetime,
    after: UUID | None,
    count: int,
) -> list[ApiKey]:
    """Keys, newest first; with `status`, those that stand so at `now`."""
    rows = _queries.keys(
        connection,
        tenant_id=tenant_id,
        partner_id=partner_id,
        status=status,
        now=now,
        after=after,
        count=count,
    )
    return [_key(row) async for row in rows]


async def update_key(connection: Connection, tenant_id: int, key: ApiKey) -> None:
    """Writes what a locked key may do, and from where."""
    await _queries.update_key(
        connection,
        tenant_id=tenant_id,
        id=key.id,
        name=key.name,
        scopes=key.scopes,
        limit_per_minute=key.limits.per_minute,
        limit_per_hour=key.limits.per_hour,
        limit_per_day=key.limits.per_day,
        allowed_addresses=key.allowed_addresses,
    )


async def end_key(connection: Connection, tenant_id: int, key: ApiKey) -> None:
    """Writes when a locked key ends, and why."""
    await _queries.end_key(
        connection,
        tenant_id=tenant_id,
        id=key.id,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
        revoked_by=key.revoked_by,
        revoked_reason=key.revoked_reason,
    )


async def mark_used(
    connection: Connection, tenant_id: int, used: Mapping[UUID, str | None], at: datetime
) -> None:
    """Notes that keys were used, and from which address last."""
    await _queries.mark_used(
        connection, tenant_id=tenant_id, ids=list(used), addresses=list(used.values()), at=at
    )


async def tell_endings(connection: Connection, tenant_id: int, at: datetime) -> int:
    """Writes an event for each key whose end is due to be told; how many."""
    return int(await _queries.tell_endings(connection, tenant_id=tenant_id, at=at))


async def mode(connection: Connection, tenant_id: int) -> tuple[bool, str] | None:
    """Whether a tenant is the live twin, and its code; None: there is no such tenant."""
    row = await _queries.mode(connection, tenant_id=tenant_id)
    return None if row is None else (bool(row[0]), str(row[1]))


async def forget_windows(connection: Connection, tenant_id: int, before: datetime) -> int:
    """Deletes windows that were over before an instant. Returns how many."""
    return int(await _queries.forget_windows(connection, tenant_id=tenant_id, before=before))

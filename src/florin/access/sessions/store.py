"""The only caller of queries.sql, and the array function for the coalescer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import aiosql
from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb

from florin.access.sessions.model import EndReason, Session
from florin.kernel.coalescer import ArrayFunction, array
from florin.kernel.db import Connection
from florin.kernel.ids import encode_id

_queries: Final[Any] = aiosql.from_path(Path(__file__).parent / "queries.sql", "apsycopg")


@dataclass(frozen=True, slots=True)
class FoundSession:
    """What decides whether a session may call, and what it may do."""

    user_id: UUID
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    user_status: str
    partner_id: UUID | None
    permissions: frozenset[str]
    """In the whole tenant."""

    by_unit: Mapping[UUID, frozenset[str]]
    changes_at: datetime | None
    """When the permissions change next by themselves."""

    platform: bool
    tenant_status: str | None
    partner_status: str | None


def _session(row: Sequence[Any]) -> FoundSession | None:
    _, user_id, created, used, expires, ended, status, partner_id, permissions, by_unit, *rest = row
    if user_id is None:
        return None
    return FoundSession(
        user_id,
        created,
        used,
        expires,
        ended,
        status,
        partner_id,
        frozenset(permissions or ()),
        {UUID(unit): frozenset(held) for unit, held in (by_unit or {}).items()},
        *rest,
    )


def _found(items: Sequence[UUID], rows: list[TupleRow]) -> list[FoundSession | Exception | None]:
    assert len(items) == len(rows)
    return [_session(row) for row in rows]


FIND_SESSIONS: Final[ArrayFunction[UUID, FoundSession | None]] = ArrayFunction(
    statement="SELECT * FROM access.find_sessions(%s, %s)",
    encode=lambda items: (array(items),),
    decode=_found,
)
"""The session of each id; None where there is none."""


async def insert_session(
    connection: Connection,
    tenant_id: int,
    session: Session,
) -> bool:
    """Writes a new session. False: the user is not active."""
    row = await _queries.insert_session(
        connection,
        tenant_id=tenant_id,
        id=session.id,
        user_id=session.user_id,
        methods=session.methods,
        now=session.created_at,
        expires_at=session.expires_at,
        address=session.address,
        user_agent=session.user_agent,
    )
    return row is not None


async def insert_token(
    connection: Connection, tenant_id: int, digest: bytes, session_id: UUID, number: int, now: datetime
) -> None:
    """Writes a session's next refresh token."""
    await _queries.insert_token(
        connection, tenant_id=tenant_id, digest=digest, session_id=session_id, number=number, now=now
    )


async def owner(connection: Connection, tenant_id: int, digest: bytes) -> tuple[UUID, UUID, datetime] | None:
    """Session, user, and the session's end, of a refresh token; None: there is no such token."""
    row = await _queries.owner(connection, tenant_id=tenant_id, digest=digest)
    return None if row is None else (row[0], row[1], row[2])


async def lock_session(connection: Connection, tenant_id: int, session_id: UUID, user_id: UUID) -> bool:
    """Locks a session, after its user: whoever suspends him does it in this order. False: it has ended."""
    await _queries.lock_user(connection, tenant_id=tenant_id, id=user_id)
    return await _queries.lock_session(connection, tenant_id=tenant_id, id=session_id) is not None


async def token(connection: Connection, tenant_id: int, digest: bytes) -> tuple[int, bool] | None:
    """A refresh token's number and whether it was used. The session is locked."""
    row = await _queries.token(connection, tenant_id=tenant_id, digest=digest)
    return None if row is None else (row[0], row[1])


async def use_token(
    connection: Connection, tenant_id: int, digest: bytes, session_id: UUID, now: datetime
) -> None:
    """Marks a refresh token as used and its session as renewed. The session is locked."""
    await _queries.use_token(connection, tenant_id=tenant_id, digest=digest, now=now)
    await _queries.touch_session(connection, tenant_id=tenant_id, id=session_id, now=now)


async def find_session(connection: Connection, tenant_id: int, session_id: UUID) -> FoundSession | None:
    """What decides whether a session may call; None: there is no such session."""
    return _session(await _queries.find_session(connection, tenant_id=tenant_id, id=session_id))


async def end_session(
    connection: Connection,
    tenant_id: int,
    session_id: UUID,
    user_id: UUID,
    reason: EndReason,
    now: datetime,
) -> bool:
    """Ends a session with its tokens, and writes that into the audit log. False: none of this user's."""
    await _queries.lock_user(connection, tenant_id=tenant_id, id=user_id)
    row = await _queries.end_session(
        connection, tenant_id=tenant_id, id=session_id, user_id=user_id, now=now, reason=reason
    )
    if row is not None:
        await _record(connection, tenant_id, session_id, user_id, reason)
    return row is not None


async def end_sessions(
    connection: Connection, tenant_id: int, user_id: UUID, reason: str, now: datetime, but: UUID | None
) -> int:
    """Ends a user's sessions with their tokens, and writes that into the audit log. Returns how many."""
    await _queries.lock_user(connection, tenant_id=tenant_id, id=user_id)
    rows = _queries.end_sessions(
        connection, tenant_id=tenant_id, user_id=user_id, but=but, now=now, reason=EndReason(reason)
    )
    ended = [row[0] async for row in rows]
    for session_id in ended:
        await _record(connection, tenant_id, session_id, user_id, reason)
    return len(ended)


async def _record(
    connection: Connection, tenant_id: int, session_id: UUID, user_id: UUID, reason: str
) -> None:
    after = Jsonb({"user_id": encode_id("user", user_id), "reason": reason})
    await _queries.record(
        connection, tenant_id=tenant_id, action="ended", id=encode_id("ses", session_id), after=after
    )


async def tell_reuse(
    connection: Connection,
    tenant_id: int,
    event_id: UUID,
    session_id: UUID,
    partner_id: UUID | None,
    now: datetime,
    data: Mapping[str, Any],
) -> None:
    """Writes the event that a used refresh token came again."""
    await _queries.tell_reuse(
        connection,
        tenant_id=tenant_id,
        event_id=event_id,
        session_id=session_id,
        partner_id=partner_id,
        now=now,
        data=Jsonb(dict(data)),
    )


async def sessions(
    connection: Connection,
    tenant_id: int,
    user_id: UUID,
    *,
    now: datetime,
    used_since: datetime,
    after: UUID | None,
    count: int,
) -> list[Session]:
    """A user's open sessions, newest first."""
    rows = _queries.sessions(
        connection,
        tenant_id=tenant_id,
        user_id=user_id,
        now=now,
        used_since=used_since,
        after=after,
        count=count,
    )
    return [Session(*row) async for row in rows]


@dataclass(frozen=True, slots=True)
class Owner:
    """Of a user, what decides who may see his sessions, and how long they may rest."""

    partner_id: UUID | None
    permissions: frozenset[str]
    """In the whole tenant."""

    assigned_to: frozenset[UUID | None]
    """The business units where he has roles; None: the whole tenant."""


async def user(connection: Connection, tenant_id: int, user_id: UUID, now: datetime) -> Owner | None:
    """A user who is not deleted."""
    row = await _queries.user(connection, tenant_id=tenant_id, user_id=user_id, now=now)
    return None if row is None else Owner(row[0], frozenset(row[1] or ()), frozenset(row[2]))


async def end_expired(
    connection: Connection, tenant_id: int, now: datetime, used_before: datetime, limit: int
) -> int:
    """Ends up to `limit` sessions that have run out, or were last renewed before an instant. How many."""
    rows = _queries.end_expired(
        connection, tenant_id=tenant_id, now=now, used_before=used_before, limit=limit
    )
    return len([row async for row in rows])

"""The only caller of queries.sql. Every function runs in the caller's transaction."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import aiosql
from psycopg.types.json import Jsonb

from florin.kernel.db import Connection
from florin.privacy.model import Kind, LegalHold, Subject

_queries: Final[Any] = aiosql.from_path(Path(__file__).with_name("queries.sql"), "apsycopg")

Place = tuple[datetime, UUID]
"""Where a walk over people stands: when the last one changed, and its id."""


async def lock_subject(connection: Connection, tenant_id: int, kind: Kind, id: UUID) -> Subject | None:
    """A customer or user, locked until the transaction ends."""
    query = _queries.lock_customer if kind is Kind.CUSTOMER else _queries.lock_user
    row = await query(connection, tenant_id=tenant_id, id=id)
    return None if row is None else Subject(kind, *row)


async def lock_person(connection: Connection, tenant_id: int, person_id: UUID) -> datetime | None:
    """When a person was erased; the person is locked. None: not yet."""
    row = await _queries.lock_person(connection, tenant_id=tenant_id, id=person_id)
    found: datetime | None = row[0]
    return found


async def set_customer_person(
    connection: Connection, tenant_id: int, customer_id: UUID, person_id: UUID
) -> None:
    """Says which person a customer is."""
    await _queries.set_customer_person(connection, tenant_id=tenant_id, id=customer_id, person_id=person_id)


async def empty(connection: Connection, tenant_id: int, subject: Subject, now: datetime, by: str) -> None:
    """Empties all that is personal in a locked subject's rows; a user's sessions and roles end."""
    if subject.kind is Kind.CUSTOMER:
        await _queries.empty_customer(connection, tenant_id=tenant_id, id=subject.id, now=now)
        return
    await _queries.empty_user(connection, tenant_id=tenant_id, id=subject.id, now=now)
    await _queries.end_sessions(connection, tenant_id=tenant_id, user_id=subject.id, now=now)
    await _queries.end_assignments(connection, tenant_id=tenant_id, user_id=subject.id, now=now, by=by)
    await _queries.forget_sign_ins(connection, tenant_id=tenant_id, user_id=subject.id)


async def record(
    connection: Connection,
    tenant_id: int,
    action: str,
    entity_type: str,
    entity_id: str,
    after: Mapping[str, Any],
) -> None:
    """Writes into the audit log what is no change of a row."""
    await _queries.record(
        connection,
        tenant_id=tenant_id,
        action=action,
        entity_type=entity_type,
        entity_id=entity_id,
        after=Jsonb(dict(after)),
    )


async def is_held(connection: Connection, tenant_id: int, person_id: UUID) -> bool:
    """Whether a legal hold stands on a person."""
    return bool(await _queries.is_held(connection, tenant_id=tenant_id, person_id=person_id))


async def insert_hold(connection: Connection, tenant_id: int, hold: LegalHold) -> None:
    """Writes a new legal hold."""
    await _queries.insert_hold(
        connection,
        tenant_id=tenant_id,
        id=hold.id,
        person_id=hold.person_id,
        reason=hold.reason,
        now=hold.placed_at,
        by=hold.placed_by,
    )


async def holds(
    connection: Connection,
    tenant_id: int,
    *,
    id: UUID | None = None,
    person_id: UUID | None = None,
    in_force: bool | None = None,
    after: UUID | None = None,
    count: int = 1,
) -> list[LegalHold]:
    """Legal holds, newest first."""
    rows = _queries.holds(
        connection,
        tenant_id=tenant_id,
        id=id,
        person_id=person_id,
        in_force=in_force,
        after=after,
        count=count,
    )
    return [LegalHold(*row) async for row in rows]


async def release_hold(connection: Connection, tenant_id: int, id: UUID, now: datetime, by: str) -> bool:
    """Ends a legal hold; False: it does not stand."""
    ended: int = await _queries.release_hold(connection, tenant_id=tenant_id, id=id, now=now, by=by)
    return ended == 1


async def old_subjects(
    connection: Connection, tenant_id: int, kind: Kind, before: datetime, after: Place | None, count: int
) -> list[Place]:
    """People about whom nothing has happened since a time and on whom no hold stands."""
    query = _queries.old_customers if kind is Kind.CUSTOMER else _queries.old_users
    at, id = after or (None, None)
    rows = query(connection, tenant_id=tenant_id, before=before, after_at=at, after_id=id, count=count)
    return [(row[0], row[1]) async for row in rows]


async def progress(connection: Connection, tenant_id: int, task: str) -> UUID | None:
    """How far a task has come."""
    found: UUID | None = await _queries.progress(connection, tenant_id=tenant_id, task=task)
    return found


async def set_progress(
    connection: Connection, tenant_id: int, task: str, through: UUID, now: datetime
) -> None:
    """Notes how far a task has come."""
    await _queries.set_progress(connection, tenant_id=tenant_id, task=task, through=through, now=now)


async def old_payments(
    connection: Connection, tenant_id: int, before: datetime, after: UUID | None, count: int
) -> list[UUID]:
    """Payments made before a time, oldest first."""
    rows = _queries.old_payments(connection, tenant_id=tenant_id, before=before, after=after, count=count)
    return [row[0] async for row in rows]


async def strip_payments(connection: Connection, tenant_id: int, ids: Sequence[UUID]) -> None:
    """Takes free text out of payments, their attempts and operations."""
    for query in (_queries.strip_payments, _queries.strip_attempts, _queries.strip_operations):
        await query(connection, tenant_id=tenant_id, ids=list(ids))


async def forget_provider_events(connection: Connection, tenant_id: int, before: datetime, count: int) -> int:
    """Deletes what providers told before a time; how many."""
    return int(
        await _queries.forget_provider_events(connection, tenant_id=tenant_id, before=before, count=count)
    )


async def count_provider_events(connection: Connection, tenant_id: int, before: datetime) -> int:
    """How many are older."""
    return int(await _queries.count_provider_events(connection, tenant_id=tenant_id, before=before))


async def count_audit(connection: Connection, tenant_id: int, before: datetime) -> int:
    """How many rows of the audit log are older."""
    return int(await _queries.count_audit(connection, tenant_id=tenant_id, before=before))


async def can_prune(connection: Connection) -> bool:
    """Whether the audit log can be pruned in this version."""
    return bool(await _queries.can_prune(connection))


async def prune_audit(connection: Connection, tenant_id: int, years: int, count: int) -> int:
    """Removes rows older than so many years from the beginning of the audit log; how many."""
    return int(await _queries.prune_audit(connection, tenant_id=tenant_id, years=years, count=count))


async def drop_month(connection: Connection, years: int) -> str | None:
    """Drops the oldest month of events that ended so many years ago; its table's name."""
    found: str | None = await _queries.drop_month(connection, years=years)
    return found

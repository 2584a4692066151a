"""The only caller of `queries.sql`: rows in, model out. The caller's transaction is its tenant's."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple, Unpack
from uuid import UUID

import aiosql
import orjson
from psycopg.rows import TupleRow

from florin.audit.model import (
    PREFIXES,
    TYPES,
    Anchor,
    AuditEntry,
    ChainedEntry,
    Filters,
    Head,
    SchemaChange,
)
from florin.kernel.coalescer import ArrayFunction
from florin.kernel.db import Connection
from florin.kernel.http.notes import ReadNote
from florin.kernel.ids import uuid_of
from florin.kernel.provenance import clean, words_of

_queries: Any = aiosql.from_path(Path(__file__).with_name("queries.sql"), "apsycopg")

_FILTERS: Final = tuple(Filters.__annotations__)


class Link(NamedTuple):
    """A row of the chain; `expected` is the digest of what it holds now."""

    seq: int
    id: UUID
    previous: bytes
    digest: bytes
    expected: bytes


async def entries(
    connection: Connection,
    tenant_id: int,
    *,
    limit: int,
    starting_after: UUID | None,
    **filters: Unpack[Filters],
) -> list[AuditEntry]:
    """The log, newest first."""
    return [
        AuditEntry(*row)
        async for row in _queries.entries(
            connection, tenant_id=tenant_id, limit=limit, starting_after=starting_after, **_all(filters)
        )
    ]


async def entry(connection: Connection, tenant_id: int, entry_id: UUID) -> AuditEntry | None:
    """One entry."""
    row = await _queries.entry(connection, tenant_id=tenant_id, id=entry_id)
    return None if row is None else AuditEntry(*row)


async def exported(
    connection: Connection,
    tenant_id: int,
    *,
    after_seq: int,
    through_seq: int,
    **filters: Unpack[Filters],
) -> list[ChainedEntry]:
    """Those of these numbers that fit, in order."""
    return [
        ChainedEntry(AuditEntry(*row[:-2]), row[-2], row[-1])
        async for row in _queries.exported(
            connection,
            tenant_id=tenant_id,
            after_seq=after_seq,
            through_seq=through_seq,
            **_all(filters),
        )
    ]


async def seq_before(connection: Connection, tenant_id: int, at: datetime) -> int | None:
    """A number that nothing written at or after an instant has; None: nothing has been written since."""
    found: int | None = await _queries.seq_before(connection, tenant_id=tenant_id, at=at)
    return found


async def head(connection: Connection, tenant_id: int) -> Head | None:
    """Where the chain ends and begins; None: nothing has been written yet."""
    row = await _queries.head(connection, tenant_id=tenant_id)
    return None if row is None else Head(*row)


async def end_of(connection: Connection, tenant_id: int) -> Anchor | None:
    """The end of the chain, with its time; None: nothing has been written yet."""
    row = await _queries.end_of(connection, tenant_id=tenant_id)
    return None if row is None else Anchor(*row)


async def digest_at(connection: Connection, tenant_id: int, seq: int) -> bytes | None:
    """The digest that stands at a number; None: there is no such row."""
    found: bytes | None = await _queries.digest_at(connection, tenant_id=tenant_id, seq=seq)
    return found


async def last_pruning(connection: Connection, tenant_id: int) -> tuple[int, bytes] | None:
    """Number and digest of the last row that was removed, as the log itself tells; None: it does not."""
    row = await _queries.last_pruning(connection, tenant_id=tenant_id)
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


async def schema_changes(
    connection: Connection, *, limit: int, starting_after: UUID | None
) -> list[SchemaChange]:
    """Changes of the schema, newest first. Needs no tenant's context."""
    rows = _queries.schema_changes(connection, limit=limit, starting_after=starting_after)
    return [SchemaChange(*row) async for row in rows]


async def schema_watched(connection: Connection, version: str) -> bool:
    """Whether the event triggers of this version are up. Needs no tenant's context."""
    return bool(await _queries.schema_watched(connection, version=version))


def _all(filters: Filters) -> dict[str, Any]:
    return dict.fromkeys(_FILTERS) | dict(filters)


def _encode_notes(notes: Sequence[ReadNote]) -> tuple[str]:
    return (orjson.dumps([_note(one) for one in notes]).decode(),)


def _note(note: ReadNote) -> dict[str, Any]:
    entity_type, entity_id = kept_entity(note.entity_type, note.entity_id)
    return {
        **words_of(note.by),
        "entity_type": entity_type,
        "entity_id": entity_id,
        "details": note.details,
    }


def kept_entity(entity_type: str, entity_id: str) -> tuple[str, str]:
    """Type and id as rows have them: the type that a TypeID's prefix stands for, and its UUID."""
    uuid = uuid_of(entity_id)
    if uuid is None:
        return entity_type, clean(entity_id) or ""
    prefix = entity_id.rpartition("_")[0]
    if entity_type in PREFIXES and PREFIXES[entity_type] == prefix:
        return entity_type, str(uuid)
    return TYPES.get(prefix, entity_type), str(uuid)


def _decode_notes(notes: Sequence[ReadNote], rows: list[TupleRow]) -> list[Exception | None]:
    assert len(rows) == len(notes), "audit.note_reads answers for each note"
    return [None] * len(notes)


NOTE_READS: Final[ArrayFunction[ReadNote, None]] = ArrayFunction(
    statement="SELECT * FROM audit.note_reads(%s, %s)", encode=_encode_notes, decode=_decode_notes
)
"""Notes what was shown. Safe to repeat: a note that stands twice still tells of a read."""

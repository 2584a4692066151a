"""What can be asked of the audit log, one function per use case. It is written by the database alone."""

from collections.abc import AsyncIterator
from typing import Final, Unpack
from uuid import UUID

from florin.audit import store
from florin.audit.errors import AuditEntryNotFound
from florin.audit.model import PREFIXES, AuditEntry, ChainedEntry, Filters
from florin.kernel.db import Database
from florin.kernel.ids import MalformedId, decode_id, encode_id

WINDOW: Final = 5_000
"""Numbers that an export looks through at a time: what it holds in memory."""


async def entries(
    database: Database,
    tenant_id: int,
    *,
    limit: int,
    starting_after: UUID | None = None,
    **filters: Unpack[Filters],
) -> list[AuditEntry]:
    """The log, newest first."""
    async with database.tenant(tenant_id) as connection:
        return await store.entries(
            connection, tenant_id, limit=limit, starting_after=starting_after, **_kept(filters)
        )


async def entry(database: Database, tenant_id: int, entry_id: UUID) -> AuditEntry:
    """One entry.

    Raises:
        AuditEntryNotFound: there is none with this id.
    """
    async with database.tenant(tenant_id) as connection:
        found = await store.entry(connection, tenant_id, entry_id)
    if found is None:
        raise AuditEntryNotFound
    return found


async def last_seq(database: Database, tenant_id: int) -> int:
    """The number of the newest entry; 0: there is none."""
    async with database.tenant(tenant_id) as connection:
        head = await store.head(connection, tenant_id)
    return 0 if head is None else head.seq


async def export(
    database: Database,
    tenant_id: int,
    *,
    after_seq: int = 0,
    through_seq: int | None = None,
    window: int = WINDOW,
    **filters: Unpack[Filters],
) -> AsyncIterator[tuple[int, list[ChainedEntry]]]:
    """The log in its own order, a window of numbers at a time, each in a short transaction of its own.

    What is written meanwhile is left out. The log is append-only, so an export that was stopped goes on
    where it was.

    Args:
        after_seq: leave out what has this number or a smaller one.
        through_seq: the last number; None: the newest there is now.

    Yields:
        The last number that was looked at, and what up to there fits and was not yielded before.
    """
    kept = _kept(filters)
    async with database.tenant(tenant_id) as connection:
        head = await store.head(connection, tenant_id)
        since = kept.get("since")
        earliest = None if since is None else await store.seq_before(connection, tenant_id, since)
    if head is None or (since is not None and earliest is None):
        return
    last = min(head.seq, through_seq or head.seq)
    done = max(after_seq, head.pruned_seq, earliest or 0)
    while done < last:
        upto = min(done + window, last)
        async with database.tenant(tenant_id) as connection:
            found = await store.exported(connection, tenant_id, after_seq=done, through_seq=upto, **kept)
        yield upto, found
        done = upto


def _kept(filters: Filters) -> Filters:
    kept = filters.copy()
    entity_id = kept.get("entity_id")
    if entity_id is not None:
        kept["entity_id"] = kept_id(entity_id)
    return kept


def shown_id(entry: AuditEntry) -> str:
    """The id of the entity as the API shows it."""
    prefix = PREFIXES.get(entry.entity_type)
    if prefix is None:
        return entry.entity_id
    try:
        return encode_id(prefix, UUID(entry.entity_id))
    except ValueError:  # what a feature recorded by a name of its own
        return entry.entity_id


def kept_id(shown: str) -> str:
    """The id of an entity as the log has it: a UUID of a TypeID, anything else as it is."""
    prefix, separator, _ = shown.rpartition("_")
    if not separator:
        return shown
    try:
        return str(decode_id(prefix, shown))
    except MalformedId:
        return shown

"""What can be asked of the audit log, one function per use case. It is written by the database alone."""

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from florin.audit import store
from florin.audit.model import PREFIXES, AuditEntry, BrokenRow, Fault, Verdict
from florin.audit.store import Link
from florin.kernel.db import Database
from florin.kernel.ids import MalformedId, decode_id, encode_id

BATCH: Final = 10_000
_FIRST: Final = hashlib.sha256(b"").digest()
"""What the first row of a chain has for the digest of the one before it."""


async def entries(
    database: Database,
    tenant_id: int,
    *,
    limit: int,
    entity_type: str | None = None,
    entity_id: str | None = None,
    actor: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    starting_after: UUID | None = None,
) -> list[AuditEntry]:
    """The log, newest first. `entity_id` as the API shows it (`acct_...`) or as the row has it."""
    async with database.tenant(tenant_id) as connection:
        return await store.entries(
            connection,
            tenant_id,
            limit=limit,
            entity_type=entity_type,
            entity_id=None if entity_id is None else kept_id(entity_id),
            actor=actor,
            since=since,
            until=until,
            starting_after=starting_after,
        )


async def verify(
    database: Database,
    tenant_id: int,
    *,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    batch: int = BATCH,
) -> Verdict:
    """Walks a tenant's chain from its first row and stops at the first that is broken.

    What is written meanwhile is left for the next time. `on_progress` hears of rows done and rows there are.
    """
    async with database.tenant(tenant_id) as connection:
        head = await store.head(connection, tenant_id)
    through, end = head or (0, _FIRST)
    last = Link(0, UUID(int=0), b"", _FIRST, _FIRST)
    rows = 0
    while True:
        async with database.tenant(tenant_id) as connection:
            links = await store.chain(
                connection, tenant_id, after_seq=last.seq, after_id=last.id, through=through, limit=batch
            )
        broken = first_broken(last, links)
        if broken is not None:
            return Verdict(rows + links.index(next(one for one in links if one.id == broken.id)), broken)
        rows += len(links)
        last = links[-1] if links else last
        on_progress(rows, through)
        if len(links) < batch:
            break
    if (last.seq, last.digest) != (through, end):
        return Verdict(rows, BrokenRow(Fault.HEAD, through, None))
    return Verdict(rows, None)


def first_broken(last: Link, links: Sequence[Link]) -> BrokenRow | None:
    """The first of these rows that does not follow from the one before it; `last` is before the first."""
    for link in links:
        fault = (
            Fault.GAP
            if link.seq != last.seq + 1
            else Fault.DIGEST
            if link.digest != link.expected
            else Fault.PREVIOUS
            if link.previous != last.digest
            else None
        )
        if fault is not None:
            return BrokenRow(fault, link.seq, link.id)
        last = link
    return None


def shown_id(entry: AuditEntry) -> str:
    """The id of the entity as the API shows it."""
    prefix = PREFIXES.get(entry.entity_type)
    return entry.entity_id if prefix is None else encode_id(prefix, UUID(entry.entity_id))


def kept_id(shown: str) -> str:
    """The id of an entity as the log has it: a UUID of a TypeID, anything else as it is."""
    prefix, separator, _ = shown.rpartition("_")
    if not separator:
        return shown
    try:
        return str(decode_id(prefix, shown))
    except MalformedId:
        return shown

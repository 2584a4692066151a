"""Whether the log is whole: walks a tenant's chain, and compares it with what was kept elsewhere."""

from collections.abc import Callable, Sequence
from typing import Final
from uuid import UUID

from florin.audit import store
from florin.audit.model import Anchor, BrokenRow, Fault, Head, Position, Verdict
from florin.audit.store import Link
from florin.kernel.db import Database

BATCH: Final = 10_000
_NO_ID: Final = UUID(int=0)


async def verify(
    database: Database,
    tenant_id: int,
    *,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    on_step: Callable[[Position], None] = lambda position: None,
    after: Position | None = None,
    batch: int = BATCH,
) -> Verdict:
    """Walks a tenant's chain from its first row and stops at the first that is broken.

    What is written meanwhile is left for the next time. Where the log has been pruned, the walk begins at
    what the last pruning left, if the log itself tells of that pruning.

    Args:
        on_progress: hears of rows done and rows there are.
        on_step: hears how far the chain is whole, to go on from there.
        after: where an earlier walk was stopped; what it saw is not looked at again.
    """
    async with database.tenant(tenant_id) as connection:
        head = await store.head(connection, tenant_id)
        pruning = await store.last_pruning(connection, tenant_id)
    if head is None:
        return Verdict(0, None)
    if head.pruned_seq and pruning != (head.pruned_seq, head.pruned_digest):
        return Verdict(0, BrokenRow(Fault.START, head.pruned_seq, None))
    last = _begin(head, after)
    while True:
        async with database.tenant(tenant_id) as connection:
            links = await store.chain(
                connection, tenant_id, after_seq=last.seq, after_id=last.id, through=head.seq, limit=batch
            )
        broken = first_broken(last, links)
        if broken is not None:
            if await _pruned_since(database, tenant_id, head):
                return await verify(
                    database, tenant_id, on_progress=on_progress, on_step=on_step, batch=batch
                )
            whole = last.seq - head.pruned_seq
            return Verdict(whole + links.index(next(one for one in links if one.id == broken.id)), broken)
        if links:
            last = links[-1]
            on_step(Position(last.seq, last.id, last.digest))
        rows = last.seq - head.pruned_seq
        on_progress(rows, head.seq - head.pruned_seq)
        if len(links) < batch:
            break
    if (last.seq, last.digest) != (head.seq, head.digest):
        return Verdict(rows, BrokenRow(Fault.HEAD, head.seq, None))
    return Verdict(rows, None)


def _begin(head: Head, after: Position | None) -> Link:
    """What the first row that is looked at has to follow on."""
    if after is not None and head.pruned_seq < after.seq <= head.seq:
        return Link(after.seq, after.id, b"", after.digest, after.digest)
    return Link(head.pruned_seq, _NO_ID, b"", head.pruned_digest, head.pruned_digest)


async def _pruned_since(database: Database, tenant_id: int, head: Head) -> bool:
    async with database.tenant(tenant_id) as connection:
        present = await store.head(connection, tenant_id)
    return present is not None and present.pruned_seq > head.pruned_seq


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


async def anchor(database: Database, tenant_id: int) -> Anchor | None:
    """The end of the chain, to be kept elsewhere; None: nothing has been written yet."""
    async with database.tenant(tenant_id) as connection:
        return await store.end_of(connection, tenant_id)


async def check_anchor(database: Database, tenant_id: int, seq: int, digest: bytes) -> bool | None:
    """Whether the log still has the row that an anchor names; None: it has been pruned since.

    Together with `verify`, which proves what stands before and after it, this shows a log that somebody
    wrote anew from beginning to end.
    """
    async with database.tenant(tenant_id) as connection:
        head = await store.head(connection, tenant_id)
        found = await store.digest_at(connection, tenant_id, seq)
    if head is not None and seq <= head.pruned_seq:
        return head.pruned_digest == digest if seq == head.pruned_seq else None
    return found == digest

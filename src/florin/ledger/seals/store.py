"""The only caller of the seals' `queries.sql`. The caller's transaction is its tenant's."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import aiosql

from florin.kernel.db import Connection
from florin.ledger.seals.merkle import HASH_BYTES, Subtree, complete_root
from florin.ledger.seals.model import (
    BLOCK_LEVEL,
    Block,
    Checkpoint,
    Leaves,
    Node,
    SealKey,
)
from florin.ledger.seals.note import FIRST_PREVIOUS, Head

_queries: Any = aiosql.from_path(Path(__file__).with_name("queries.sql"), "apsycopg")

_INSERT_BLOCKS: Final = _queries.insert_blocks.sql.replace("%(leaves)s", "%(leaves)b")
"""With the leaves in binary: as text they would be twice as long, and escaped byte by byte."""

FIRST_ID: Final = UUID(int=0)
LAST_ID: Final = UUID(int=2**128 - 1)


async def advance(connection: Connection, tenant_id: int, grace: timedelta) -> UUID | None:
    """Closes the log up to a while ago. Raises LockNotAvailable while somebody posts for long."""
    mark: UUID | None = await _queries.advance(connection, tenant_id=tenant_id, grace=grace)
    return mark


async def lock_sealing(connection: Connection, tenant_id: int) -> bool:
    """Makes this transaction the tenant's one sealer; False: there is another."""
    return bool(await _queries.lock_sealing(connection, tenant_id=tenant_id))


async def sealed_before(connection: Connection, tenant_id: int) -> UUID | None:
    """The mark below which the log is closed."""
    mark: UUID | None = await _queries.sealed_before(connection, tenant_id=tenant_id)
    return mark


async def count_between(connection: Connection, tenant_id: int, after: UUID, before: UUID) -> int:
    """How many transfers lie between two ids, both left out."""
    return int(await _queries.unsealed(connection, tenant_id=tenant_id, after=after, before=before))


async def leaves(connection: Connection, tenant_id: int, after: UUID, before: UUID, limit: int) -> Leaves:
    """The next leaves between two ids, both left out, in order; at most `limit`."""
    wanted = {"tenant_id": tenant_id, "after": after, "before": before, "limit": limit}
    # In binary: two megabytes of hexadecimal digits would have to be written, sent and read.
    async with connection.cursor(binary=True) as cursor:
        await cursor.execute(_queries.leaves.sql, wanted)
        row = await cursor.fetchone()
    assert row is not None
    ids, hashes = row
    return Leaves(len(hashes) // HASH_BYTES, ids, hashes)


async def leaf(connection: Connection, tenant_id: int, transfer_id: UUID) -> str | None:
    """The text of a leaf; None: there is no such transfer."""
    text: str | None = await _queries.leaf(connection, tenant_id=tenant_id, id=transfer_id)
    return text


async def last_block(connection: Connection, tenant_id: int) -> tuple[int, UUID]:
    """How many blocks there are, and the last id in them; the smallest id where there is none."""
    row = await _queries.last_block(connection, tenant_id=tenant_id)
    return (0, FIRST_ID) if row is None else (row[0] + 1, row[1])


async def position(connection: Connection, tenant_id: int, transfer_id: UUID) -> int:
    """The transfer's place in the tree, from 0: the rank of its id. Cheap only below the last checkpoint."""
    row = await _queries.block_before(connection, tenant_id=tenant_id, id=transfer_id)
    if row is None:
        return await count_between(connection, tenant_id, FIRST_ID, transfer_id)
    number, first_id, last_id = row
    if transfer_id == first_id:
        return int(number) << BLOCK_LEVEL
    if transfer_id <= last_id:
        after_first = await count_between(connection, tenant_id, first_id, transfer_id)
        return (int(number) << BLOCK_LEVEL) + 1 + after_first
    return (int(number) + 1 << BLOCK_LEVEL) + await count_between(connection, tenant_id, last_id, transfer_id)


async def blocks(connection: Connection, tenant_id: int, first: int, limit: int) -> list[Block]:
    """Whole blocks from a number on, in order."""
    rows = _queries.blocks(connection, tenant_id=tenant_id, first=first, limit=limit)
    return [Block(*row) async for row in rows]


async def subtree_roots(
    connection: Connection, tenant_id: int, wanted: Collection[Subtree]
) -> dict[Subtree, bytes]:
    """The roots of complete subtrees; those that are not stored are left out."""
    found: dict[Subtree, bytes] = {}
    small = [one for one in wanted if one[0] < BLOCK_LEVEL]
    if small:
        found.update(await _below_blocks(connection, tenant_id, small))
    roots = [number for level, number in wanted if level == BLOCK_LEVEL]
    if roots:
        rows = _queries.block_roots(connection, tenant_id=tenant_id, numbers=roots)
        found.update({(BLOCK_LEVEL, number): root async for number, root in rows})
    above = [(level - BLOCK_LEVEL, number) for level, number in wanted if level > BLOCK_LEVEL]
    if above:
        levels, numbers = [level for level, _ in above], [number for _, number in above]
        rows = _queries.node_roots(connection, tenant_id=tenant_id, levels=levels, numbers=numbers)
        found.update({(level + BLOCK_LEVEL, number): root async for level, number, root in rows})
    return found


async def _below_blocks(
    connection: Connection, tenant_id: int, wanted: Sequence[Subtree]
) -> dict[Subtree, bytes]:
    numbers = {number << level >> BLOCK_LEVEL for level, number in wanted}
    rows = _queries.block_leaves(connection, tenant_id=tenant_id, numbers=list(numbers))
    hashes = {number: row_leaves async for number, row_leaves in rows}
    for number in numbers - hashes.keys():  # not a full block yet, so the last
        hashes[number] = await tail(connection, tenant_id, number)
    found = {}
    for level, number in wanted:
        block = number << level >> BLOCK_LEVEL
        start = ((number << level) - (block << BLOCK_LEVEL)) * HASH_BYTES
        part = hashes[block][start : start + (HASH_BYTES << level)]
        if len(part) == HASH_BYTES << level:
            found[level, number] = complete_root(part)
    return found


async def tail(connection: Connection, tenant_id: int, blocks_before: int) -> bytes:
    """The hashes of the signed leaves after so many blocks, in a row."""
    return bytes(await _queries.tail(connection, tenant_id=tenant_id, blocks=blocks_before))


async def insert_blocks(
    connection: Connection, tenant_id: int, new: Sequence[Block], nodes: Sequence[Node]
) -> None:
    """Adds full blocks, and the nodes that they complete."""
    if new:
        await connection.execute(
            _INSERT_BLOCKS,
            {
                "tenant_id": tenant_id,
                "numbers": [one.number for one in new],
                "first_ids": [one.first_id for one in new],
                "last_ids": [one.last_id for one in new],
                "leaves": b"".join([one.leaves for one in new]),
                "roots": [one.root for one in new],
            },
        )
    if nodes:
        await _queries.insert_nodes(
            connection,
            tenant_id=tenant_id,
            levels=[one.level for one in nodes],
            numbers=[one.number for one in nodes],
            roots=[one.root for one in nodes],
        )


async def audit_head(connection: Connection, tenant_id: int) -> tuple[int, bytes]:
    """Length and last digest of the audit chain; a chain without rows ends as it begins."""
    row = await _queries.audit_head(connection, tenant_id=tenant_id)
    return (0, FIRST_PREVIOUS) if row is None else (row[0], bytes(row[1]))


async def insert_checkpoint(connection: Connection, made: Checkpoint) -> None:
    """Adds a signed head."""
    head = made.head
    await _queries.insert_checkpoint(
        connection,
        tenant_id=head.tenant_id,
        number=head.number,
        size=head.size,
        root=head.root,
        sealed_before=head.sealed_before,
        audit_seq=head.audit_seq,
        audit_digest=head.audit_digest,
        previous=head.previous,
        made_at=head.made_at,
        key_id=made.key_id,
        signature=made.signature,
        leaves=made.leaves,
    )


async def checkpoints(
    connection: Connection, tenant_id: int, *, limit: int, before: int | None = None
) -> list[Checkpoint]:
    """Signed heads, newest first."""
    rows = _queries.checkpoints(connection, tenant_id=tenant_id, before=before, limit=limit)
    return [_checkpoint(tenant_id, row) async for row in rows]


async def checkpoint_of(connection: Connection, tenant_id: int, size: int) -> Checkpoint | None:
    """The signed head of exactly this many leaves."""
    row = await _queries.checkpoint_of(connection, tenant_id=tenant_id, size=size)
    return None if row is None else _checkpoint(tenant_id, row)


async def checkpoints_after(
    connection: Connection, tenant_id: int, number: int, limit: int
) -> list[Checkpoint]:
    """Signed heads after a number, oldest first."""
    rows = _queries.checkpoints_after(connection, tenant_id=tenant_id, number=number, limit=limit)
    return [_checkpoint(tenant_id, row) async for row in rows]


async def keys(connection: Connection, tenant_id: int) -> list[SealKey]:
    """The public halves of the tenant's keys, newest first."""
    rows = _queries.keys(connection, tenant_id=tenant_id)
    return [SealKey(tenant_id, public, created_at) async for _, public, created_at in rows]


async def sealed_keys(connection: Connection, tenant_id: int) -> list[tuple[SealKey, bytes]]:
    """The tenant's keys with their private halves, sealed; newest first."""
    rows = _queries.sealed_keys(connection, tenant_id=tenant_id)
    return [(SealKey(tenant_id, public, at), sealed) async for _, public, at, sealed in rows]


async def insert_key(connection: Connection, key: SealKey, private_key: bytes) -> None:
    """Adds a key, its private half sealed."""
    await _queries.insert_key(
        connection,
        tenant_id=key.tenant_id,
        id=key.id,
        public_key=key.public_key,
        private_key=private_key,
        created_at=key.created_at,
    )


def _checkpoint(tenant_id: int, row: Sequence[Any]) -> Checkpoint:
    *said, row_leaves, key_id, signature, public_key = row
    return Checkpoint(Head(tenant_id, *said), row_leaves, key_id, signature, public_key)

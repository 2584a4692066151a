"""What can be asked of the sealed log, one function per use case.

Sealing shuts out the postings for a moment (ledger.advance), then takes the lock of the tenant's one sealer;
nothing else here locks anything.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from psycopg.errors import LockNotAvailable

from florin.kernel import clock
from florin.kernel.crypto import KeyRing
from florin.kernel.db import Connection
from florin.kernel.errors import Unavailable
from florin.kernel.provenance import Provenance
from florin.ledger.errors import TransferNotFound
from florin.ledger.seals import merkle, store
from florin.ledger.seals.errors import (
    CheckpointNotFound,
    CheckpointsOutOfOrder,
    LogAltered,
    NotSealedYet,
)
from florin.ledger.seals.keys import SigningKey, generate, opened, sealed
from florin.ledger.seals.merkle import HASH_BYTES, Frontier, Span, Subtree
from florin.ledger.seals.model import (
    BLOCK_BYTES,
    BLOCK_LEAVES,
    BLOCK_LEVEL,
    Backlog,
    Checkpoint,
    ConsistencyProof,
    InclusionProof,
    Node,
    Sealed,
    SealKey,
    block_of,
)
from florin.ledger.seals.note import FIRST_PREVIOUS, Head, sign
from florin.ledger.service import Ledger

GRACE: Final = timedelta(seconds=30)
"""How old an id may be and still be posted under. Sealing follows posting at this distance."""

CHUNK_BLOCKS: Final = 64
"""Blocks to a transaction: 16,384 transfers, about 60 ms."""

_SEALER: Final = Provenance(actor="job:ledger.seal")


@dataclass(frozen=True, slots=True)
class Seals:
    """What a process keeps open for seals: the ledger, and the ring that seals private keys."""

    ledger: Ledger
    keys: KeyRing


async def seal(
    seals: Seals,
    tenant_id: int,
    *,
    grace: timedelta = GRACE,
    chunk_blocks: int = CHUNK_BLOCKS,
    by: Provenance = _SEALER,
) -> AsyncIterator[Sealed]:
    """Seals all that is committed and older than the grace; says after each step how far it has come.

    A step is a transaction: stopped anywhere, the next call goes on where the last step ended. The last
    step signs a checkpoint. Says nothing where there is nothing new, or where somebody else is sealing for
    this tenant.

    Raises:
        LogAltered: what was signed before is not there any more; nothing is signed on top of it.
        SealBroken: the private key does not open with this ring.
    """
    database = seals.ledger.database
    try:
        async with database.tenant(tenant_id) as connection:
            newest = await store.checkpoints(connection, tenant_id, limit=1)
            mark = await store.advance(connection, tenant_id, grace)  # last: postings wait until it commits
        if mark is None or (newest and newest[0].head.sealed_before == mark):
            return  # an idle tenant costs a few looks at indexes
    except Unavailable as error:
        if not isinstance(error.__cause__, LockNotAvailable):
            raise
        # Somebody posts for longer than we wait: what was closed before can be sealed all the same.
    while True:
        async with database.tenant(tenant_id, by=by) as connection:
            if not await store.lock_sealing(connection, tenant_id):
                return
            mark = await store.sealed_before(connection, tenant_id)
            if mark is None:
                return
            step, at_end = await _seal_chunk(seals, connection, tenant_id, mark, chunk_blocks * BLOCK_LEAVES)
        yield step
        if at_end:
            return


async def seal_all(seals: Seals, tenant_id: int) -> None:
    """Seals to the end; for a job."""
    async for _ in seal(seals, tenant_id):
        pass


async def _seal_chunk(
    seals: Seals, connection: Connection, tenant_id: int, mark: UUID, limit: int
) -> tuple[Sealed, bool]:
    blocks_before, last_id = await store.last_block(connection, tenant_id)
    new = await store.leaves(connection, tenant_id, last_id, mark, limit)
    signed = await store.tail(connection, tenant_id, blocks_before)
    if not new.hashes.startswith(signed):
        raise LogAltered(
            f"transfers after leaf {blocks_before * BLOCK_LEAVES} are not what the last checkpoint signed"
        )
    blocks = [
        block_of(blocks_before + number, new, number * BLOCK_LEAVES)
        for number in range(new.count // BLOCK_LEAVES)
    ]
    frontier = await _frontier(connection, tenant_id, blocks_before)
    made = frontier.extend(block.root for block in blocks)
    nodes = [Node(level, number, root) for (level, number), root in made]
    await store.insert_blocks(connection, tenant_id, blocks, nodes)
    if new.count == limit:
        return Sealed((blocks_before + len(blocks)) * BLOCK_LEAVES, None), False
    head = await _sign_head(
        seals, connection, tenant_id, mark, frontier, new.hashes[len(blocks) * BLOCK_BYTES :]
    )
    return Sealed(blocks_before * BLOCK_LEAVES + new.count, head), True


async def _frontier(connection: Connection, tenant_id: int, blocks: int) -> Frontier:
    """The right edge of the tree of full blocks."""
    names = [(BLOCK_LEVEL + level, number) for level, number in merkle.peaks_of(blocks)]
    roots = await store.subtree_roots(connection, tenant_id, names)
    if len(roots) < len(names):
        raise LogAltered("subtrees of the sealed log are missing")
    return Frontier(blocks, [roots[name] for name in names])


async def _sign_head(
    seals: Seals, connection: Connection, tenant_id: int, mark: UUID, blocks: Frontier, rest: bytes
) -> Head | None:
    """Signs and stores the head of the tree; None where it was signed before.

    `rest`: hashes of the leaves after the last full block.
    """
    size = blocks.count * BLOCK_LEAVES + len(rest) // HASH_BYTES
    last = next(iter(await store.checkpoints(connection, tenant_id, limit=1)), None)
    if size == (0 if last is None else last.head.size):
        return None
    edge = Frontier()
    edge.extend(merkle.split(rest))
    audit_seq, audit_digest = await store.audit_head(connection, tenant_id)
    head = Head(
        tenant_id=tenant_id,
        number=1 if last is None else last.head.number + 1,
        size=size,
        root=merkle.fold([*blocks.peaks, *edge.peaks]),
        sealed_before=mark,
        audit_seq=audit_seq,
        audit_digest=audit_digest,
        previous=FIRST_PREVIOUS if last is None else last.head.digest,
        made_at=clock.now(),
    )
    signing = await _signing_key(seals, connection, tenant_id)
    signed_before = 0 if last is None else max(0, last.head.size - blocks.count * BLOCK_LEAVES)
    await store.insert_checkpoint(
        connection,
        Checkpoint(
            head=head,
            leaves=rest[signed_before * HASH_BYTES :],
            key_id=signing.key.id,
            signature=sign(head, signing.private),
            public_key=signing.key.public_key,
        ),
    )
    return head


async def _signing_key(seals: Seals, connection: Connection, tenant_id: int) -> SigningKey:
    """The newest key; the first is made on first use."""
    for key, private_key in await store.sealed_keys(connection, tenant_id):
        return opened(seals.keys, key, private_key)
    return await _make_key(seals, connection, tenant_id)


async def _make_key(seals: Seals, connection: Connection, tenant_id: int) -> SigningKey:
    made = generate(tenant_id)
    await store.insert_key(connection, made.key, sealed(seals.keys, made))
    return made


async def rotate_key(seals: Seals, tenant_id: int, *, by: Provenance) -> SealKey:
    """Makes a new key, which signs the next checkpoint; the old public ones stay."""
    async with seals.ledger.database.tenant(tenant_id, by=by) as connection:
        made = await _make_key(seals, connection, tenant_id)
    return made.key


async def keys(ledger: Ledger, tenant_id: int) -> list[SealKey]:
    """The tenant's keys, newest first; the first of them signs."""
    async with ledger.database.tenant(tenant_id) as connection:
        return await store.keys(connection, tenant_id)


async def backlog(ledger: Ledger, tenant_id: int, *, grace: timedelta = GRACE) -> Backlog:
    """How much of the log is sealed, and how much is old enough to be."""
    before = smallest_id(grace)
    async with ledger.database.tenant(tenant_id) as connection:
        blocks, last_id = await store.last_block(connection, tenant_id)
        signed = len(await store.tail(connection, tenant_id, blocks)) // HASH_BYTES
        after_blocks = await store.count_between(connection, tenant_id, last_id, before)
    return Backlog(blocks * BLOCK_LEAVES + signed, max(0, after_blocks - signed))


def smallest_id(grace: timedelta) -> UUID:
    """The smallest UUIDv7 of the instant so long ago (RFC 9562, section 5.7)."""
    at_ms = int((clock.now() - grace).timestamp() * 1000)
    return UUID(int=at_ms << 80 | 7 << 76 | 2 << 62)


async def checkpoints(
    ledger: Ledger, tenant_id: int, *, limit: int, before: int | None = None
) -> list[Checkpoint]:
    """Signed heads, newest first; `before`: only those of a smaller number."""
    async with ledger.database.tenant(tenant_id) as connection:
        return await store.checkpoints(connection, tenant_id, limit=limit, before=before)


async def latest_checkpoint(ledger: Ledger, tenant_id: int) -> Checkpoint:
    """The newest signed head. Raises CheckpointNotFound where nothing is sealed."""
    for found in await checkpoints(ledger, tenant_id, limit=1):
        return found
    raise CheckpointNotFound("nothing has been sealed yet")


async def _checkpoint_of(connection: Connection, tenant_id: int, size: int, param: str) -> Checkpoint:
    found = await store.checkpoint_of(connection, tenant_id, size)
    if found is None:
        raise CheckpointNotFound(f"no checkpoint has {size} leaves", param=param)
    return found


async def prove_inclusion(
    ledger: Ledger, tenant_id: int, transfer_id: UUID, *, size: int | None = None
) -> InclusionProof:
    """What shows that the transfer is in the log.

    Args:
        size: of the checkpoint that it leads to; the newest if none is given.

    Raises:
        TransferNotFound, CheckpointNotFound, NotSealedYet
        LogAltered: the transfer, or what is stored of the tree, is not what was signed.
    """
    async with ledger.database.tenant(tenant_id) as connection:
        leaf = await store.leaf(connection, tenant_id, transfer_id)
        if leaf is None:
            raise TransferNotFound
        if size is not None:
            checkpoint = await _checkpoint_of(connection, tenant_id, size, "size")
        else:
            newest = await store.checkpoints(connection, tenant_id, limit=1)
            if not newest:
                raise NotSealedYet
            (checkpoint,) = newest
        head = checkpoint.head
        if transfer_id >= head.sealed_before:
            raise NotSealedYet
        index = await store.position(connection, tenant_id, transfer_id)
        if index >= head.size:
            raise LogAltered
        path = await _hashes(connection, tenant_id, merkle.inclusion_path(index, head.size))
    proof = InclusionProof(transfer_id, leaf, index, path, checkpoint)
    if merkle.root_from_inclusion(merkle.leaf_hash(leaf.encode()), index, head.size, path) != head.root:
        raise LogAltered
    return proof


async def prove_consistency(ledger: Ledger, tenant_id: int, older: int, newer: int) -> ConsistencyProof:
    """What shows that the tree of `older` leaves is the beginning of that of `newer`.

    Raises:
        CheckpointNotFound: no checkpoint has this size.
        CheckpointsOutOfOrder
        LogAltered: what is stored of the tree is not what was signed.
    """
    if older > newer:
        raise CheckpointsOutOfOrder(param="from")
    async with ledger.database.tenant(tenant_id) as connection:
        first = await _checkpoint_of(connection, tenant_id, older, "from")
        second = await _checkpoint_of(connection, tenant_id, newer, "to")
        path = await _hashes(connection, tenant_id, merkle.consistency_path(older, newer))
    try:
        merkle.verify_consistency(older, first.head.root, newer, second.head.root, path)
    except merkle.ProofFailed as failed:
        raise LogAltered from failed
    return ConsistencyProof(first, second, path)


async def _hashes(connection: Connection, tenant_id: int, spans: list[Span]) -> tuple[bytes, ...]:
    """The roots of these spans of the stored tree."""
    wanted: list[Subtree] = [one for span in spans for one in merkle.subtrees(span)]
    roots = await store.subtree_roots(connection, tenant_id, wanted)
    if len(roots) < len(wanted):
        raise LogAltered
    return tuple(merkle.span_root(span, roots) for span in spans)

"""The sealed log against the transfers that it was made of: what was altered, taken out or put in is named.

Three things have to agree: the transfers as they are now, the hashes that were stored when they were
sealed, and the roots that were signed. Leaves are recomputed block by block; the tree above them is built
anew on the way, and each checkpoint is held against it as soon as it has as many leaves.
"""

from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from florin.kernel.crypto import KeyRing, SealBroken
from florin.kernel.db import Connection
from florin.ledger.proof.model import Fault
from florin.ledger.seals import merkle, store
from florin.ledger.seals.keys import is_own
from florin.ledger.seals.merkle import HASH_BYTES, Frontier, Subtree, complete_root
from florin.ledger.seals.model import (
    BLOCK_BYTES,
    BLOCK_LEAVES,
    BLOCK_LEVEL,
    Block,
    Checkpoint,
    Leaves,
    SealsVerified,
)
from florin.ledger.seals.note import FIRST_PREVIOUS, is_signed
from florin.ledger.service import Ledger

CHUNK_BLOCKS: Final = 64
_CHECKPOINTS: Final = 500


@dataclass(slots=True)
class _Walk:
    """How far verification has come, and what it carries along."""

    ledger: Ledger
    tenant_id: int
    last: Checkpoint | None
    """The newest checkpoint: what it has sealed is what must be there."""

    frontier: Frontier = field(default_factory=Frontier)
    """Of full blocks, by their stored leaves."""

    after: UUID = store.FIRST_ID
    """The id of the last transfer that was compared."""

    pending: deque[Checkpoint] = field(default_factory=deque)
    exhausted: bool = False
    size: int = 0
    previous: bytes = FIRST_PREVIOUS
    checkpoints: int = 0


async def verify_seals(
    ledger: Ledger, tenant_id: int, *, keys: KeyRing | None = None, chunk_blocks: int = CHUNK_BLOCKS
) -> AsyncIterator[SealsVerified | Fault]:
    """Verifies everything that the tenant has sealed; says after each step how far it has come.

    Ends at its end, or after the first fault. Rules of faults: `seal.key`, `seal.block`, `seal.node`,
    `seal.leaf` (an altered transfer), `seal.removed`, `seal.inserted`, `seal.checkpoint`.
    Each step is a transaction of its own and holds no lock; memory is bounded.

    Args:
        keys: the ring. With it, a key that somebody put into the database to sign with is found out.
        chunk_blocks: how many blocks of 256 leaves a step compares.
    """
    walk, fault = await _begin(ledger, tenant_id, keys)
    if fault is not None:
        yield fault
        return
    sealed = 0 if walk.last is None else walk.last.head.size
    while True:
        async with ledger.database.tenant(tenant_id) as connection:
            blocks = await store.blocks(connection, tenant_id, walk.frontier.count, chunk_blocks)
            fault = (
                await _verify_blocks(walk, connection, blocks)
                if blocks
                else await _verify_tail(walk, connection)
            )
        yield fault or SealsVerified(walk.size, max(sealed, walk.size), walk.checkpoints)
        if fault is not None or not blocks:
            return


async def _begin(ledger: Ledger, tenant_id: int, keys: KeyRing | None) -> tuple[_Walk, Fault | None]:
    async with ledger.database.tenant(tenant_id) as connection:
        newest = await store.checkpoints(connection, tenant_id, limit=1)
        walk = _Walk(ledger, tenant_id, newest[0] if newest else None)
        if keys is not None:
            for key, sealed in await store.sealed_keys(connection, tenant_id):
                try:
                    own = is_own(keys, key, sealed)
                except SealBroken:
                    own = False
                if not own:
                    return walk, Fault("seal.key", f"the key {key.id} was not made by this installation")
    return walk, None


async def _verify_blocks(walk: _Walk, connection: Connection, blocks: list[Block]) -> Fault | None:
    """Blocks against the transfers, the nodes and the checkpoints."""
    fault = _flaw_of(blocks, walk.frontier.count)
    if fault is not None:
        return fault
    mark = await store.sealed_before(connection, walk.tenant_id) or store.LAST_ID
    now = await store.leaves(connection, walk.tenant_id, walk.after, mark, len(blocks) * BLOCK_LEAVES)
    stored = b"".join(block.leaves for block in blocks)
    if now.hashes != stored:
        return await _name_difference(walk, connection, now, stored, mark)
    for at, block in enumerate(blocks):
        ends = (now.id(at * BLOCK_LEAVES), now.id((at + 1) * BLOCK_LEAVES - 1))
        if ends != (block.first_id, block.last_id):
            return Fault("seal.block", f"block {block.number} was altered: it names other transfers")
    walk.after = blocks[-1].last_id
    return await _verify_tree(walk, connection, blocks)


def _flaw_of(blocks: list[Block], first: int) -> Fault | None:
    for number, block in enumerate(blocks, first):
        if block.number != number:
            return Fault("seal.block", f"block {number} is missing")
        if complete_root(block.leaves) != block.root:
            return Fault("seal.block", f"block {number} was altered: its root is not that of its leaves")
    return None


async def _verify_tree(walk: _Walk, connection: Connection, blocks: list[Block]) -> Fault | None:
    """What stands above the blocks: nodes and checkpoints."""
    made: dict[Subtree, bytes] = {}
    for block in blocks:
        fault = await _verify_checkpoints(walk, connection, block.leaves, (block.number + 1) * BLOCK_LEAVES)
        if fault is not None:
            return fault
        completed = list(walk.frontier.append(block.root))
        made.update({(BLOCK_LEVEL + level, number): root for (level, number), root in completed})
    found = await store.subtree_roots(connection, walk.tenant_id, list(made))
    for (level, number), root in made.items():
        if found.get((level, number)) != root:
            return Fault("seal.node", f"node {number} of level {level - BLOCK_LEVEL} is not above its blocks")
    walk.size = walk.frontier.count * BLOCK_LEAVES
    return None


async def _verify_tail(walk: _Walk, connection: Connection) -> Fault | None:
    """What comes after the last full block: leaves that only checkpoints hold, and the last checkpoints."""
    if walk.last is None or walk.last.head.size < walk.size:
        return None  # sealed without a checkpoint yet: the sealer was stopped
    head = walk.last.head
    # Younger checkpoints may have come since the beginning; their leaves stand after those of the last.
    stored = await store.tail(connection, walk.tenant_id, walk.frontier.count)
    stored = stored[: (head.size - walk.size) * HASH_BYTES]
    if len(stored) < (head.size - walk.size) * HASH_BYTES:
        missing = head.size - walk.size - len(stored) // HASH_BYTES
        return Fault("seal.block", f"{missing} sealed leaves are missing after leaf {walk.size}")
    now = await store.leaves(connection, walk.tenant_id, walk.after, head.sealed_before, 2 * BLOCK_LEAVES)
    if now.hashes != stored:
        return await _name_difference(walk, connection, now, stored, head.sealed_before)
    fault = await _verify_checkpoints(walk, connection, stored, head.size)
    walk.size = head.size
    return fault


async def _verify_checkpoints(
    walk: _Walk, connection: Connection, leaves: bytes, through: int
) -> Fault | None:
    """Checkpoints of up to so many leaves, of which the last ones, after the frontier's blocks, are given."""
    edge, base = Frontier(), walk.frontier.count * BLOCK_LEAVES
    while True:
        checkpoint = await _next_checkpoint(walk, connection)
        if checkpoint is None or checkpoint.head.size > through:
            return None
        walk.pending.popleft()
        head = checkpoint.head
        if head.size < base + edge.count:
            return _forged(head.number, "it has fewer leaves than the one before it")
        edge.extend(merkle.split(leaves[edge.count * HASH_BYTES : (head.size - base) * HASH_BYTES]))
        fault = _check(walk, checkpoint, merkle.fold([*walk.frontier.peaks, *edge.peaks]))
        if fault is not None:
            return fault
        walk.previous = head.digest
        walk.checkpoints += 1


async def _next_checkpoint(walk: _Walk, connection: Connection) -> Checkpoint | None:
    """The first one that has not been checked, without taking it; none after the last of the beginning."""
    if not walk.pending and not walk.exhausted and walk.last is not None:
        walk.pending.extend(
            one
            for one in await store.checkpoints_after(
                connection, walk.tenant_id, walk.checkpoints, _CHECKPOINTS
            )
            if one.head.number <= walk.last.head.number
        )
        walk.exhausted = not walk.pending
    return walk.pending[0] if walk.pending else None


def _check(walk: _Walk, checkpoint: Checkpoint, root: bytes) -> Fault | None:
    head, number = checkpoint.head, walk.checkpoints + 1
    wrong = None
    if head.number != number:
        return Fault("seal.checkpoint", f"checkpoint {number} is missing")
    if checkpoint.public_key is None:
        wrong = f"its key {checkpoint.key_id} is not known"
    elif not is_signed(head, checkpoint.signature, checkpoint.public_key):
        wrong = f"it is not what the key {checkpoint.key_id} signed"
    elif head.previous != walk.previous:
        wrong = "it does not follow the checkpoint before it"
    elif head.root != root:
        wrong = f"its root is not that of the first {head.size} leaves"
    return None if wrong is None else _forged(number, wrong)


def _forged(number: int, how: str) -> Fault:
    return Fault("seal.checkpoint", f"checkpoint {number} was forged: {how}")


async def _name_difference(
    walk: _Walk, connection: Connection, now: Leaves, stored: bytes, mark: UUID
) -> Fault:
    """What happened at the first leaf at which the log and the transfers part."""
    index = next(
        at
        for at in range(len(stored) // HASH_BYTES + 1)
        if stored[at * HASH_BYTES : (at + 1) * HASH_BYTES] != now.hash(at)
    )
    place = walk.frontier.count * BLOCK_LEAVES + index
    before = now.id(index - 1) if index else walk.after
    present = await store.leaves(connection, walk.tenant_id, before, mark, BLOCK_LEAVES)
    present_hashes = merkle.split(present.hashes)
    sealed = merkle.split(stored[index * HASH_BYTES :][: BLOCK_LEAVES * HASH_BYTES])
    if len(sealed) < BLOCK_LEAVES:
        sealed += await _sealed_next(walk, connection, place + len(sealed), BLOCK_LEAVES - len(sealed))

    if not present.count or present_hashes[0] in sealed:
        gone = sealed.index(present_hashes[0]) if present.count else len(sealed)
        after = "any other" if before == store.FIRST_ID else str(before)
        until = f"before {present.id(0)}" if present.count else "at the end of what is sealed"
        return Fault("seal.removed", f"{_count(gone)} removed from leaf {place} on: after {after}, {until}")
    first = present.id(0)
    if not sealed or sealed[0] in present_hashes:
        come = present_hashes.index(sealed[0]) if sealed else present.count
        return Fault("seal.inserted", f"{_count(come)} inserted before leaf {place}, from {first} on", first)
    if await _is_signed_as_it_is(walk, connection, now, index):
        what = (
            f"block {place // BLOCK_LEAVES}" if len(stored) >= BLOCK_LEAVES * HASH_BYTES else "a checkpoint"
        )
        return Fault("seal.block", f"the leaves in {what} were replaced; the transfers are what was signed")
    return Fault("seal.leaf", f"transfer {first} (leaf {place}) is not what was sealed", first)


def _count(transfers: int) -> str:
    return "1 transfer was" if transfers == 1 else f"{transfers} transfers were"


async def _sealed_next(walk: _Walk, connection: Connection, place: int, limit: int) -> list[bytes]:
    """Stored leaves from the beginning of a block on, as far as they go."""
    of_block = [(0, leaf) for leaf in range(place, place + limit)]
    found = await store.subtree_roots(connection, walk.tenant_id, of_block)
    return [found[one] for one in of_block if one in found]


async def _is_signed_as_it_is(walk: _Walk, connection: Connection, now: Leaves, index: int) -> bool:
    """Whether the newest signed root is that of the transfers as they are, not of the stored leaves."""
    if walk.last is None:
        return False
    size, base = walk.last.head.size, walk.frontier.count * BLOCK_LEAVES
    block = index // BLOCK_LEAVES
    hashes = now.hashes[block * BLOCK_BYTES : (block + 1) * BLOCK_BYTES]
    number = walk.frontier.count + block
    if base + now.count == size and len(hashes) < BLOCK_BYTES:  # the tail
        edge = Frontier()
        edge.extend(merkle.split(hashes))
        return merkle.fold([*walk.frontier.peaks, *edge.peaks]) == walk.last.head.root
    if len(hashes) < BLOCK_BYTES or size < (number + 1) * BLOCK_LEAVES:
        return False
    # The way up from the block: the first eight steps lie within it.
    spans = merkle.inclusion_path(number * BLOCK_LEAVES, size)[BLOCK_LEVEL:]
    wanted = [one for span in spans for one in merkle.subtrees(span)]
    roots = await store.subtree_roots(connection, walk.tenant_id, wanted)
    if len(roots) < len(wanted):
        return False
    path = [merkle.span_root(span, roots) for span in spans]
    width = (size - 1 >> BLOCK_LEVEL) + 1
    return merkle.root_from_inclusion(complete_root(hashes), number, width, path) == walk.last.head.root

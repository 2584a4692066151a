"""What the sealed log is made of. No I/O."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from florin.ledger.seals.merkle import HASH_BYTES, complete_root
from florin.ledger.seals.note import Head, key_id, log_name, verifier_key, write_note

BLOCK_LEVEL: Final = 8
BLOCK_LEAVES: Final = 1 << BLOCK_LEVEL
BLOCK_BYTES: Final = BLOCK_LEAVES * HASH_BYTES


@dataclass(frozen=True, slots=True)
class Leaves:
    """Transfers in the order of the log: their ids and what they hash to, both in a row."""

    count: int
    ids: bytes
    hashes: bytes

    def id(self, index: int) -> UUID:
        """The id of one of them."""
        return UUID(bytes=self.ids[index * 16 : index * 16 + 16])

    def hash(self, index: int) -> bytes:
        """The hash of one of them."""
        return self.hashes[index * HASH_BYTES : (index + 1) * HASH_BYTES]


@dataclass(frozen=True, slots=True)
class Block:
    """256 leaves of the tree, from `number * 256` on."""

    number: int
    first_id: UUID
    last_id: UUID
    leaves: bytes
    root: bytes


def block_of(number: int, leaves: Leaves, at: int) -> Block:
    """The block of the 256 leaves from `at` on."""
    hashes = leaves.hashes[at * HASH_BYTES : (at + BLOCK_LEAVES) * HASH_BYTES]
    return Block(number, leaves.id(at), leaves.id(at + BLOCK_LEAVES - 1), hashes, complete_root(hashes))


@dataclass(frozen=True, slots=True)
class Node:
    """The root of a complete subtree of 256 * 2**level leaves."""

    level: int
    number: int
    root: bytes


@dataclass(frozen=True, slots=True)
class SealKey:
    """A key that signs, or once signed, a tenant's checkpoints."""

    tenant_id: int
    public_key: bytes
    created_at: datetime

    @property
    def id(self) -> str:
        """Eight hexadecimal digits."""
        return key_id(log_name(self.tenant_id), self.public_key)

    @property
    def verifier_key(self) -> str:
        """`name+id+base64`, which verifiers take."""
        return verifier_key(log_name(self.tenant_id), self.public_key)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A signed head of the tree."""

    head: Head
    leaves: bytes
    """Hashes of its last leaves: those that neither a full block nor an earlier checkpoint holds."""

    key_id: str
    signature: bytes
    public_key: bytes | None
    """None: the key that it names is not among the tenant's."""

    @property
    def note(self) -> str:
        """The checkpoint as it is handed out."""
        return write_note(self.head, self.signature, self.public_key or bytes(HASH_BYTES))


@dataclass(frozen=True, slots=True)
class InclusionProof:
    """What shows that a transfer is in the log, to whoever has the public key."""

    transfer_id: UUID
    leaf: str
    index: int
    path: tuple[bytes, ...]
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True)
class ConsistencyProof:
    """What shows that nothing before an older checkpoint has changed up to a newer one."""

    older: Checkpoint
    newer: Checkpoint
    path: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Sealed:
    """How far sealing has come."""

    leaves: int
    """Of the tree, as far as it is written now."""

    checkpoint: Head | None
    """The head that was signed at the end, when there was anything new."""


class Backlog(NamedTuple):
    """What sealing has done, and what it has to do."""

    sealed: int
    """Leaves of the tree."""

    waiting: int
    """Transfers that are old enough and not in it."""


@dataclass(frozen=True, slots=True)
class SealsVerified:
    """How far verification has come."""

    leaves: int
    """Compared with their transfers so far."""

    of: int
    """All that the log has sealed."""

    checkpoints: int
    """Whose signatures and roots have been checked so far."""

"""Proofs as JSON documents, and the verification that needs nothing but them and a public key. No I/O."""

from base64 import b64decode
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError

from florin.kernel.ids import TransferId, encode_id
from florin.ledger.seals.merkle import (
    HASH_BYTES,
    ProofFailed,
    leaf_hash,
    root_from_inclusion,
    verify_consistency,
)
from florin.ledger.seals.model import ConsistencyProof, InclusionProof
from florin.ledger.seals.note import BadNote, Head, hash_text, read_note


def _read_hash(value: object) -> object:
    if not isinstance(value, str):
        return value
    decoded = b64decode(value, validate=True)
    if len(decoded) != HASH_BYTES:
        raise ValueError(f"a hash has {HASH_BYTES} bytes, this one {len(decoded)}")
    return decoded


Hash = Annotated[
    bytes,
    BeforeValidator(_read_hash, json_schema_input_type=str),
    PlainSerializer(hash_text, return_type=str),
    Field(description="32 bytes in base64.", json_schema_extra={"examples": [hash_text(bytes(HASH_BYTES))]}),
]


class InclusionReceipt(BaseModel):
    """Shows that a transfer is in the log that a checkpoint has sealed."""

    model_config = ConfigDict(extra="forbid")

    object: Literal["inclusion_proof"] = "inclusion_proof"
    transfer: TransferId
    leaf: str = Field(description="What was hashed: the transfer, one line per fact.")
    index: int = Field(ge=0, description="Its place in the log, from 0.")
    size: int = Field(ge=1, description="How many transfers the checkpoint has sealed.")
    path: list[Hash] = Field(description="Hashes from the leaf up to the root (RFC 9162, section 2.1.3).")
    checkpoint: str = Field(description="The signed head of the log, as a signed note.")


class ConsistencyReceipt(BaseModel):
    """Shows that nothing sealed by an older checkpoint has changed up to a newer one."""

    model_config = ConfigDict(extra="forbid")

    object: Literal["consistency_proof"] = "consistency_proof"
    older: str = Field(description="A signed head of the log, as a signed note.")
    newer: str = Field(description="A later one.")
    path: list[Hash] = Field(description="Hashes that lead to both roots (RFC 9162, section 2.1.4).")


class BadProof(Exception):
    """The document proves nothing."""


@dataclass(frozen=True, slots=True)
class Proven:
    """What an inclusion proof has shown."""

    transfer_id: UUID
    leaf: str
    index: int
    head: Head


def inclusion_receipt(proof: InclusionProof) -> dict[str, Any]:
    """An InclusionReceipt."""
    return {
        "object": "inclusion_proof",
        "transfer": encode_id("tr", proof.transfer_id),
        "leaf": proof.leaf,
        "index": proof.index,
        "size": proof.checkpoint.head.size,
        "path": [hash_text(one) for one in proof.path],
        "checkpoint": proof.checkpoint.note,
    }


def consistency_receipt(proof: ConsistencyProof) -> dict[str, Any]:
    """A ConsistencyReceipt."""
    return {
        "object": "consistency_proof",
        "older": proof.older.note,
        "newer": proof.newer.note,
        "path": [hash_text(one) for one in proof.path],
    }


def verify_inclusion(document: str | bytes, public_key: bytes) -> Proven:
    """What the JSON of an inclusion proof shows, if this key has signed its checkpoint.

    Raises:
        BadProof: it is not such a document, the signature is another's, or the path leads elsewhere.
    """
    try:
        receipt = InclusionReceipt.model_validate_json(document)
        head = read_note(receipt.checkpoint, public_key)
        if receipt.size != head.size:
            raise BadProof(f"the proof is for {receipt.size} leaves, the checkpoint has {head.size}")
        leaf = leaf_hash(receipt.leaf.encode())
        root = root_from_inclusion(leaf, receipt.index, head.size, receipt.path)
    except (ValidationError, BadNote, ProofFailed) as error:
        raise BadProof(_reason(error)) from None
    if root != head.root:
        raise BadProof(
            "the path does not lead to the root that was signed: the transfer is not the sealed one"
        )
    facts = dict(line.partition(" ")[::2] for line in receipt.leaf.split("\n")[1:])
    if facts.get("id") != str(receipt.transfer) or facts.get("tenant") != str(head.tenant_id):
        raise BadProof("the leaf is another transfer than the one that the proof names")
    return Proven(receipt.transfer, receipt.leaf, receipt.index, head)


def verify_growth(document: str | bytes, public_keys: tuple[bytes, ...]) -> tuple[Head, Head]:
    """The two heads of a consistency proof's JSON, if the newer log begins with the older.

    Args:
        public_keys: those that may have signed: the older head and the newer may have different ones.

    Raises:
        BadProof: it is not such a document, a signature is another's, or the path leads elsewhere.
    """
    try:
        receipt = ConsistencyReceipt.model_validate_json(document)
        older, newer = (_read_by_any(note, public_keys) for note in (receipt.older, receipt.newer))
        if older.tenant_id != newer.tenant_id:
            raise BadProof("the two checkpoints are of different logs")
        verify_consistency(older.size, older.root, newer.size, newer.root, receipt.path)
    except (ValidationError, BadNote, ProofFailed) as error:
        raise BadProof(_reason(error)) from None
    return older, newer


def _read_by_any(note: str, public_keys: tuple[bytes, ...]) -> Head:
    for key in public_keys[:-1]:
        try:
            return read_note(note, key)
        except BadNote:
            continue
    return read_note(note, public_keys[-1])


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc'])) or 'document'}: {first['msg']}"
    return str(error)

"""Proofs as documents, verified with nothing but a public key."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from florin.kernel.ids import encode_id
from florin.ledger.seals import keys, merkle
from florin.ledger.seals.merkle import consistency_path, inclusion_path, leaf_hash, tree_root
from florin.ledger.seals.model import Checkpoint, ConsistencyProof, InclusionProof
from florin.ledger.seals.note import FIRST_PREVIOUS, Head, sign
from florin.ledger.seals.receipt import (
    BadProof,
    consistency_receipt,
    inclusion_receipt,
    verify_growth,
    verify_inclusion,
)

SIGNING, STRANGER = keys.generate(7), keys.generate(7)
KEY = SIGNING.key.public_key
IDS = [UUID(int=number) for number in range(1, 12)]
TEXTS = [f"florin transfer 1\ntenant 7\nid {one}\namounts 5 -5" for one in IDS]
LEAVES = [leaf_hash(text.encode()) for text in TEXTS]

Document = dict[str, Any]


def checkpoint(size: int, signing: keys.SigningKey = SIGNING, tenant_id: int = 7) -> Checkpoint:
    """A signed head of the first so many leaves."""
    head = Head(
        tenant_id=tenant_id,
        number=size,
        size=size,
        root=tree_root(LEAVES[:size]),
        sealed_before=UUID(int=100),
        audit_seq=0,
        audit_digest=FIRST_PREVIOUS,
        previous=FIRST_PREVIOUS,
        made_at=datetime(2026, 11, 20, tzinfo=UTC),
    )
    return Checkpoint(head, b"", signing.key.id, sign(head, signing.private), signing.key.public_key)


def hashes(spans: list[merkle.Span]) -> tuple[bytes, ...]:
    """The roots of spans of leaves."""
    return tuple(tree_root(LEAVES[start:end]) for start, end in spans)


def inclusion(index: int, size: int, **options: Any) -> Document:
    """The document for a leaf."""
    path = hashes(inclusion_path(index, size))
    return inclusion_receipt(
        InclusionProof(IDS[index], TEXTS[index], index, path, checkpoint(size, **options))
    )


def growth(older: int, newer: int, signing: keys.SigningKey = SIGNING) -> Document:
    """The document for two sizes, the newer signed by this key."""
    path = hashes(consistency_path(older, newer))
    return consistency_receipt(ConsistencyProof(checkpoint(older), checkpoint(newer, signing), path))


def test_every_leaf_of_every_size_is_verified() -> None:
    for size in range(1, 12):
        for index in range(size):
            proven = verify_inclusion(json.dumps(inclusion(index, size)), KEY)
            assert (proven.transfer_id, proven.index, proven.head.size) == (IDS[index], index, size)
            assert proven.leaf == TEXTS[index]


def changed(**values: object) -> Callable[[Document], Document]:
    return lambda document: document | values


@pytest.mark.parametrize(
    "change",
    [
        changed(leaf=TEXTS[3].replace("5 -5", "6 -6")),
        changed(leaf=TEXTS[4]),
        changed(transfer=encode_id("tr", IDS[4])),
        changed(index=4),
        changed(index=-1),
        changed(index=11),
        changed(size=9),
        changed(path=[]),
        changed(checkpoint=checkpoint(9).note),
        changed(checkpoint=checkpoint(10, STRANGER).note),
        changed(checkpoint=checkpoint(10, tenant_id=8).note),
        changed(checkpoint="nonsense"),
        changed(object="consistency_proof"),
        changed(colour="red"),
        lambda document: {**document, "path": document["path"][::-1]},
        lambda document: {**document, "path": [*document["path"], document["path"][0]]},
        lambda document: {**document, "path": ["AAAA", *document["path"][1:]]},
        lambda document: {**document, "path": ["?", *document["path"][1:]]},
        lambda document: {name: value for name, value in document.items() if name != "leaf"},
    ],
)
def test_no_altered_inclusion_proof_holds(change: Callable[[Document], Document]) -> None:
    with pytest.raises(BadProof):
        verify_inclusion(json.dumps(change(inclusion(3, 10))), KEY)


def test_a_leaf_of_another_transfer_under_its_own_true_path_is_told() -> None:
    document = inclusion(3, 10) | {"transfer": encode_id("tr", IDS[2])}
    with pytest.raises(BadProof, match="another transfer"):
        verify_inclusion(json.dumps(document), KEY)


def test_what_is_no_json_proves_nothing() -> None:
    for text in ("", "{", "[]", "null", b"\xff"):
        with pytest.raises(BadProof):
            verify_inclusion(text, KEY)
        with pytest.raises(BadProof):
            verify_growth(text, (KEY,))


def test_growth_is_verified_for_every_pair_of_sizes() -> None:
    for newer in range(1, 12):
        for older in range(1, newer + 1):
            heads = verify_growth(json.dumps(growth(older, newer)), (KEY,))
            assert [head.size for head in heads] == [older, newer]


def test_after_a_rotation_the_two_heads_have_keys_of_their_own() -> None:
    document = json.dumps(growth(4, 9, STRANGER))
    assert verify_growth(document, (KEY, STRANGER.key.public_key))
    assert verify_growth(document, (STRANGER.key.public_key, KEY))
    with pytest.raises(BadProof):
        verify_growth(document, (KEY,))


@pytest.mark.parametrize(
    "change",
    [
        changed(older=checkpoint(5).note),
        changed(newer=checkpoint(10).note),
        changed(older=checkpoint(4, tenant_id=8).note),
        changed(older=checkpoint(4, STRANGER).note),
        changed(path=[]),
        changed(object="inclusion_proof"),
        lambda document: {**document, "older": document["newer"], "newer": document["older"]},
        lambda document: {**document, "path": document["path"][1:]},
    ],
)
def test_no_altered_consistency_proof_holds(change: Callable[[Document], Document]) -> None:
    with pytest.raises(BadProof):
        verify_growth(json.dumps(change(growth(4, 9))), (KEY,))

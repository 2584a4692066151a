"""The tree and its proofs, against RFC 6962's reference values and against its definition word for word."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from florin.ledger.seals import merkle
from florin.ledger.seals.merkle import (
    EMPTY_ROOT,
    Frontier,
    ProofFailed,
    Span,
    Subtree,
    complete_root,
    consistency_path,
    fold,
    inclusion_path,
    leaf_hash,
    node_hash,
    peaks_of,
    root_from_inclusion,
    span_root,
    split,
    subtrees,
    tree_root,
    verify_consistency,
)

REFERENCE_LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
"""The leaves of the reference tests of certificate-transparency (merkletree/merkle_tree_test.cc)."""

REFERENCE_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
REFERENCE_PATHS = {
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
}
REFERENCE_CONSISTENCY = {
    (1, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}


def naive_root(leaves: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, word for word."""
    if not leaves:
        return EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return node_hash(naive_root(leaves[:k]), naive_root(leaves[k:]))


def hashes(count: int) -> list[bytes]:
    """So many different leaf hashes."""
    return [leaf_hash(b"%d" % number) for number in range(count)]


def of_spans(leaves: list[bytes], spans: list[Span]) -> list[bytes]:
    """The roots of spans, from nothing but the leaves."""
    return [naive_root(leaves[start:end]) for start, end in spans]


def test_a_tree_without_leaves_has_the_hash_of_nothing() -> None:
    assert tree_root([]) == fold([]) == EMPTY_ROOT
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize("size", range(1, 9))
def test_roots_are_those_of_the_reference(size: int) -> None:
    leaves = [leaf_hash(text) for text in REFERENCE_LEAVES[:size]]
    assert tree_root(leaves).hex() == REFERENCE_ROOTS[size - 1]


@pytest.mark.parametrize(("place", "path"), REFERENCE_PATHS.items())
def test_inclusion_paths_are_those_of_the_reference(place: tuple[int, int], path: list[str]) -> None:
    index, size = place
    leaves = [leaf_hash(text) for text in REFERENCE_LEAVES[:size]]
    assert [one.hex() for one in of_spans(leaves, inclusion_path(index, size))] == path
    root = root_from_inclusion(leaves[index], index, size, [bytes.fromhex(one) for one in path])
    assert root.hex() == REFERENCE_ROOTS[size - 1]


@pytest.mark.parametrize(("sizes", "path"), REFERENCE_CONSISTENCY.items())
def test_consistency_paths_are_those_of_the_reference(sizes: tuple[int, int], path: list[str]) -> None:
    old, new = sizes
    leaves = [leaf_hash(text) for text in REFERENCE_LEAVES]
    assert [one.hex() for one in of_spans(leaves, consistency_path(old, new))] == path
    old_root, new_root = (bytes.fromhex(REFERENCE_ROOTS[size - 1]) for size in sizes)
    verify_consistency(old, old_root, new, new_root, [bytes.fromhex(one) for one in path])


def test_a_tree_that_grows_leaf_by_leaf_has_the_root_of_the_definition_at_every_size() -> None:
    leaves, frontier = hashes(300), Frontier()
    known: dict[Subtree, bytes] = {}
    for size in range(1, 301):
        known.update(frontier.extend([leaves[size - 1]]))
        known[0, size - 1] = leaves[size - 1]
        assert fold(frontier.peaks) == naive_root(leaves[:size])
        assert frontier.peaks == [known[one] for one in peaks_of(size)]
        for level, number in peaks_of(size):
            assert known[level, number] == complete_root(
                b"".join(leaves[number << level : number + 1 << level])
            )


def test_every_leaf_of_every_size_up_to_300_is_proved() -> None:
    leaves = hashes(300)
    frontier = Frontier()
    known = {(0, at): leaf for at, leaf in enumerate(leaves)}
    known.update(frontier.extend(leaves))
    roots = [EMPTY_ROOT, *(tree_root(leaves[:size]) for size in range(1, 301))]
    for size in range(1, 301):
        for index in range(0, size, 1 + size // 20):
            path = [span_root(span, known) for span in inclusion_path(index, size)]
            assert root_from_inclusion(leaves[index], index, size, path) == roots[size]
        for old in range(1, size + 1, 1 + size // 20):
            path = [span_root(span, known) for span in consistency_path(old, size)]
            verify_consistency(old, roots[old], size, roots[size], path)


@given(st.integers(1, 2**40), st.data())
def test_paths_tile_the_tree_whatever_its_size(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    spans = sorted([*inclusion_path(index, size), (index, index + 1)])
    assert spans[0][0] == 0
    assert spans[-1][1] == size
    assert all(left[1] == right[0] for left, right in pairwise(spans))
    for start, end in spans:
        parts = subtrees((start, end))
        assert next(number << level for level, number in parts) == start
        assert sum(1 << level for level, _ in parts) == end - start


@given(st.integers(1, 700), st.data())
def test_no_altered_inclusion_proof_leads_to_the_root(size: int, data: st.DataObject) -> None:
    leaves = hashes(size)
    index = data.draw(st.integers(0, size - 1))
    path = of_spans(leaves, inclusion_path(index, size))
    root = tree_root(leaves)
    assert root_from_inclusion(leaves[index], index, size, path) == root

    other = data.draw(st.integers(0, size).filter(lambda number: number != index))
    assert _leads_elsewhere(leaves[index], other, size, path, root)
    assert _leads_elsewhere(leaf_hash(b"another"), index, size, path, root)
    assert _leads_elsewhere(leaves[index], index, size, [*path, EMPTY_ROOT], root)
    if path:
        at = data.draw(st.integers(0, len(path) - 1))
        assert _leads_elsewhere(leaves[index], index, size, path[:at] + path[at + 1 :], root)
        assert _leads_elsewhere(leaves[index], index, size, [*path[:at], EMPTY_ROOT, *path[at + 1 :]], root)


def _leads_elsewhere(leaf: bytes, index: int, size: int, path: list[bytes], root: bytes) -> bool:
    try:
        return root_from_inclusion(leaf, index, size, path) != root
    except ProofFailed:
        return True


@given(st.integers(2, 700), st.data())
def test_no_altered_consistency_proof_is_taken(size: int, data: st.DataObject) -> None:
    leaves = hashes(size)
    old = data.draw(st.integers(1, size - 1))
    path = of_spans(leaves, consistency_path(old, size))
    was, now = tree_root(leaves[:old]), tree_root(leaves)
    verify_consistency(old, was, size, now, path)

    at = data.draw(st.integers(0, len(path) - 1))
    wrong = [
        (old, now, now, path),
        (old, was, was, path),
        (old, was, now, [*path[:at], EMPTY_ROOT, *path[at + 1 :]]),
        (old, was, now, path[:at] + path[at + 1 :]),
        (old, was, now, [*path, EMPTY_ROOT]),
        (size, was, now, path),
        (size + 1, was, now, path),
        (0, was, now, path),
    ]
    for claimed, older, newer, given_path in wrong:
        with pytest.raises(ProofFailed):
            verify_consistency(claimed, older, size, newer, given_path)


def test_a_tree_has_no_leaf_outside_it() -> None:
    with pytest.raises(ValueError, match="no leaf"):
        inclusion_path(3, 3)
    with pytest.raises(ValueError, match="not the beginning"):
        consistency_path(4, 3)
    with pytest.raises(ProofFailed, match="no leaf"):
        root_from_inclusion(EMPTY_ROOT, 1, 1, [])


def test_hashes_in_a_row_come_apart_again() -> None:
    leaves = hashes(5)
    assert split(b"".join(leaves)) == leaves
    assert merkle.HASH_BYTES == 32

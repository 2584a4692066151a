"""The Merkle tree of RFC 6962, section 2.1, and how proofs about it are verified (RFC 9162). No I/O.

A hash is 32 bytes; several in a row are one `bytes`. A subtree is complete when it has 2**level leaves; it is
named by its level and by its number within that level, both from 0: `(8, 3)` holds the leaves 768 to 1023.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Final

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = sha256(b"").digest()
"""The root of a tree without leaves."""

Subtree = tuple[int, int]
"""Level and number of a complete subtree."""

Span = tuple[int, int]
"""Leaves from the first to before the second."""


class ProofFailed(Exception):
    """The proof does not lead from what it speaks of to the root."""


def leaf_hash(text: bytes) -> bytes:
    """The hash of a leaf."""
    return sha256(b"\x00" + text).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of a node above two subtrees."""
    return sha256(b"\x01" + left + right).digest()


def split(hashes: bytes) -> list[bytes]:
    """Hashes that stand in a row, one by one."""
    return [hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES)]


def complete_root(hashes: bytes) -> bytes:
    """The root of 2**n leaves, given in a row. The one loop here that runs for every transfer."""
    while len(hashes) > HASH_BYTES:
        hashes = b"".join(
            [sha256(b"\x01" + hashes[at : at + 64]).digest() for at in range(0, len(hashes), 2 * HASH_BYTES)]
        )
    return hashes


def fold(peaks: Sequence[bytes]) -> bytes:
    """The root above subtrees that stand side by side, each smaller than the one before it.

    A ragged tree splits off its largest complete subtree on the left, again and again.
    """
    if not peaks:
        return EMPTY_ROOT
    root = peaks[-1]
    for peak in reversed(peaks[:-1]):
        root = node_hash(peak, root)
    return root


class Frontier:
    """The right edge of a growing tree: the roots of the complete subtrees that no larger one covers yet."""

    def __init__(self, count: int = 0, peaks: Iterable[bytes] = ()) -> None:
        """`count` leaves, or subtrees of one size; `peaks` as `peaks_of(count)` names them."""
        self.count = count
        self.peaks = list(peaks)

    def append(self, root: bytes) -> Iterator[tuple[Subtree, bytes]]:
        """Grows by one, and gives each subtree that this completes, smallest first; run it to its end."""
        number, level = self.count, 0
        self.count += 1
        while number % 2:
            root = node_hash(self.peaks.pop(), root)
            number, level = number // 2, level + 1
            yield (level, number), root
        self.peaks.append(root)

    def extend(self, roots: Iterable[bytes]) -> list[tuple[Subtree, bytes]]:
        """Grows by several; the subtrees that this completes."""
        return [made for root in roots for made in self.append(root)]


def tree_root(leaves: Sequence[bytes]) -> bytes:
    """The root of any number of leaf hashes."""
    frontier = Frontier()
    frontier.extend(leaves)
    return fold(frontier.peaks)


def peaks_of(count: int) -> list[Subtree]:
    """The complete subtrees that a tree of so many leaves is made of, from left to right."""
    return subtrees((0, count))


def subtrees(span: Span) -> list[Subtree]:
    """The complete subtrees that a subtree of some tree is made of, from left to right, largest first."""
    at, end = span
    found = []
    while at < end:
        level = (end - at).bit_length() - 1
        found.append((level, at >> level))
        at += 1 << level
    return found


def span_root(span: Span, roots: Mapping[Subtree, bytes]) -> bytes:
    """The root above a span, from those of its `subtrees`."""
    return fold([roots[one] for one in subtrees(span)])


def _left_of(size: int) -> int:
    """The largest power of two below the size: so many leaves stand left of the root."""
    return 1 << ((size - 1).bit_length() - 1)


def inclusion_path(index: int, size: int) -> list[Span]:
    """The spans whose roots prove that leaf `index` is in a tree of `size`, from the leaf upwards.

    RFC 6962, section 2.1.1. Raises ValueError unless 0 <= index < size.
    """
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} has no leaf {index}")
    path: list[Span] = []
    at, end = 0, size
    while end - at > 1:
        middle = at + _left_of(end - at)
        if index < middle:
            path.append((middle, end))
            end = middle
        else:
            path.append((at, middle))
            at = middle
    return path[::-1]


def consistency_path(old: int, new: int) -> list[Span]:
    """The spans whose roots prove that the tree of `old` leaves is the beginning of that of `new`.

    RFC 6962, section 2.1.2. Empty where the sizes are equal. Raises ValueError unless 0 < old <= new.
    """
    if not 0 < old <= new:
        raise ValueError(f"a tree of {old} is not the beginning of one of {new}")
    path: list[Span] = []
    at, end = 0, new
    while old < end:
        middle = at + _left_of(end - at)
        if old <= middle:
            path.append((middle, end))
            end = middle
        else:
            path.append((at, middle))
            at = middle
    if at > 0:  # else the old tree is itself a left subtree of the new one, and its root is known
        path.append((at, end))
    return path[::-1]


def _turns(node: int, last: int, path: Sequence[bytes]) -> Iterator[tuple[bytes, bool]]:
    """The hashes on the way up, and whether each stands on the left (RFC 9162, section 2.1.3.2)."""
    for sibling in path:
        if last == 0:
            raise ProofFailed("the path is too long")
        left = node % 2 == 1 or node == last
        while left and not node % 2 and node:
            node, last = node >> 1, last >> 1
        node, last = node >> 1, last >> 1
        yield sibling, left
    if last:
        raise ProofFailed("the path is too short")


def root_from_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """The root to which an inclusion proof leads: the tree's, if the proof is true.

    RFC 9162, section 2.1.3.2. Raises ProofFailed where the path has another length than the sizes demand.
    """
    if not 0 <= index < size:
        raise ProofFailed(f"a tree of {size} leaves has no leaf {index}")
    root = leaf
    for sibling, left in _turns(index, size - 1, path):
        root = node_hash(sibling, root) if left else node_hash(root, sibling)
    return root


def verify_consistency(old: int, old_root: bytes, new: int, new_root: bytes, path: Sequence[bytes]) -> None:
    """Checks that the tree of `old` leaves is the beginning of that of `new`.

    RFC 9162, section 2.1.4.2. Raises ProofFailed.
    """
    if not 0 < old <= new:
        raise ProofFailed(f"a tree of {old} leaves is not the beginning of one of {new}")
    if old == new:
        if path or old_root != new_root:
            raise ProofFailed("two trees of one size differ")
        return
    hashes = [old_root, *path] if old & (old - 1) == 0 else path
    if not hashes:
        raise ProofFailed("the path is too short")
    node, last = old - 1, new - 1
    while node % 2:
        node, last = node >> 1, last >> 1
    was = now = hashes[0]
    for sibling, left in _turns(node, last, hashes[1:]):
        if left:
            was = node_hash(sibling, was)
        now = node_hash(sibling, now) if left else node_hash(now, sibling)
    if was != old_root:
        raise ProofFailed("the path does not lead to the old root")
    if now != new_root:
        raise ProofFailed("the path does not lead to the new root")

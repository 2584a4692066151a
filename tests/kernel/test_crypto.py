import os
import stat
from pathlib import Path

import pytest

from florin.kernel.crypto import KeyRing, SealBroken


@pytest.fixture
def ring() -> KeyRing:
    return KeyRing({"k2": os.urandom(32), "k1": os.urandom(32)})


def test_what_is_sealed_opens_where_it_belongs(ring: KeyRing) -> None:
    sealed = ring.seal(b"secret", bound_to="tenant:1")
    assert b"secret" not in sealed
    assert ring.open(sealed, bound_to="tenant:1") == b"secret"


def test_a_moved_or_altered_value_does_not_open(ring: KeyRing) -> None:
    sealed = ring.seal(b"secret", bound_to="tenant:1")
    with pytest.raises(SealBroken):
        ring.open(sealed, bound_to="tenant:2")
    for at in range(len(sealed)):
        altered = bytearray(sealed)
        altered[at] ^= 1
        with pytest.raises(SealBroken):
            ring.open(bytes(altered), bound_to="tenant:1")
    with pytest.raises(SealBroken):
        ring.open(b"", bound_to="tenant:1")


def test_the_newest_key_seals_and_older_ones_still_open() -> None:
    old = KeyRing({"k1": b"1" * 32})
    sealed = old.seal(b"v", bound_to="x")
    both = KeyRing({"k2": b"2" * 32, "k1": b"1" * 32})
    assert both.open(sealed, bound_to="x") == b"v"
    assert both.seal(b"v", bound_to="x")[1:3] == b"k2"
    with pytest.raises(SealBroken, match="not on the ring"):
        KeyRing({"k2": b"2" * 32}).open(sealed, bound_to="x")


def test_the_file_is_private_and_made_once(tmp_path: Path) -> None:
    path = tmp_path / "key_ring"
    sealed = KeyRing.from_file(path).seal(b"v", bound_to="x")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert KeyRing.from_file(path).open(sealed, bound_to="x") == b"v"


@pytest.mark.parametrize("keys", [{}, {"k1": b"short"}, {"": b"1" * 32}, {"é": b"1" * 32}])
def test_a_bad_ring_is_refused(keys: dict[str, bytes]) -> None:
    with pytest.raises(ValueError, match="key"):
        KeyRing(keys)

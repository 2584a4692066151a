import os
import stat
from base64 import b64encode
from pathlib import Path

import pytest

from florin.kernel.crypto import BadKeyRing, KeyRing, SealBroken, add_key, drop_key


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


def test_an_id_that_stands_twice_is_refused() -> None:
    key = b64encode(b"1" * 32).decode()
    with pytest.raises(BadKeyRing, match="twice"):
        KeyRing.parse(f"k1:{key},k1:{key}")


def test_a_ring_follows_its_file(tmp_path: Path) -> None:
    path = tmp_path / "key_ring"
    ring, other = KeyRing.from_file(path), KeyRing.from_file(path)
    before = ring.seal(b"v", bound_to="x")
    assert add_key(path) == "k2"
    sealed = ring.seal(b"v", bound_to="x")
    assert (ring.ids, sealed[1:3]) == (("k2", "k1"), b"k2")
    assert other.open(sealed, bound_to="x") == b"v"
    drop_key(path, "k1")
    assert ring.ids == ("k2",)
    with pytest.raises(SealBroken, match="not on the ring"):
        ring.open(before, bound_to="x")


def test_a_file_that_became_wrong_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "key_ring"
    ring = KeyRing.from_file(path)
    text = path.read_text()
    for wrong, mode in (("nonsense", 0o600), (text, 0o644)):
        path.write_text(wrong)
        path.chmod(mode)
        assert ring.open(ring.seal(b"v", bound_to="x"), bound_to="x") == b"v"
        with pytest.raises(BadKeyRing):
            KeyRing.from_file(path)
    path.unlink()
    assert ring.current == "k1"


def test_the_key_that_seals_and_keys_that_are_not_there_do_not_leave(tmp_path: Path) -> None:
    path = tmp_path / "key_ring"
    KeyRing.from_file(path)
    with pytest.raises(BadKeyRing, match="put another in front"):
        drop_key(path, "k1")
    with pytest.raises(BadKeyRing, match="no key 'k7'"):
        drop_key(path, "k7")

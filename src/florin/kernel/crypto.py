"""Encryption at rest: AES-256-GCM under a ring of keys, newest first.

A sealed value is `key id . nonce . ciphertext` in bytes; the id says which key opens it, so keys can
be added and old ones kept until everything is sealed anew. What the value belongs to is bound in as
associated data: a ciphertext moved to another row does not open.

A ring that comes from a file follows it: a key that is put in front seals from the next value on, in every
process, and a value under a key that is not known yet makes it look again before it gives up.
"""

import binascii
import os
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from florin.kernel import ring_file

log = structlog.get_logger(__name__)

_NONCE_BYTES = 12
_KEY_BYTES = 32
_MAX_ID_BYTES = 32
_ID: Final = re.compile(r"[!-~]{1,32}")
"""Printable ASCII."""


class SealBroken(Exception):
    """The value was altered, moved, or sealed under a key that is not on the ring."""


class BadKeyRing(ValueError):
    """The keys that were given make no ring."""


@dataclass(frozen=True, slots=True)
class _Keys:
    """What a ring holds at one moment."""

    current: str
    ciphers: Mapping[str, AESGCM]


class KeyRing:
    """Keys by id. The first seals; all open."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self._keys = _checked(keys)
        self._file: Path | None = None
        self._seen: ring_file.Stamp | None = None

    @classmethod
    def parse(cls, text: str) -> "KeyRing":
        """From `id:base64,id:base64` or one pair a line, newest first. Raises BadKeyRing."""
        return cls(pairs_of(text))

    @classmethod
    def from_file(cls, path: Path) -> "KeyRing":
        """From a file of mode 600, made with a fresh key when it is missing, as is its directory.

        Raises:
            BadKeyRing: others may read it, or what it holds is no ring.
        """
        if not path.exists():
            ring_file.create(path, written({"k1": new_key()}))
        seen = ring_file.stamp(path)
        ring = cls.parse(_text_of(path))
        ring._file, ring._seen = path, seen
        return ring

    @property
    def file(self) -> Path | None:
        """Where the keys come from; None: they were given, and stay what they are."""
        return self._file

    @property
    def current(self) -> str:
        """The id of the key that seals."""
        self.refresh()
        return self._keys.current

    @property
    def ids(self) -> tuple[str, ...]:
        """All ids, the one that seals first."""
        self.refresh()
        return tuple(self._keys.ciphers)

    def refresh(self) -> None:
        """Takes over what the file holds by now. A file that is no ring changes nothing, and is logged."""
        if self._file is None:
            return
        try:
            stamp = ring_file.stamp(self._file)
            if stamp == self._seen:
                return
            self._seen = stamp  # a file that is wrong is complained of once
            self._keys = _checked(pairs_of(_text_of(self._file)))
        except (OSError, BadKeyRing) as error:
            log.warning("key_ring_unusable", error=str(error))

    def seal(self, value: bytes, *, bound_to: str) -> bytes:
        """Encrypts `value`; only with the same `bound_to` does it open again."""
        self.refresh()
        keys = self._keys
        nonce = os.urandom(_NONCE_BYTES)
        key_id = keys.current.encode()
        body = keys.ciphers[keys.current].encrypt(nonce, value, bound_to.encode())
        return bytes([len(key_id)]) + key_id + nonce + body

    def open(self, sealed: bytes, *, bound_to: str) -> bytes:
        """The value.

        Raises:
            SealBroken: altered, moved, or its key is not on the ring.
        """
        if not sealed:
            raise SealBroken("empty")
        start = 1 + sealed[0]
        key_id = sealed[1:start].decode("ascii", "replace")
        if key_id not in self._keys.ciphers:
            self.refresh()
        cipher = self._keys.ciphers.get(key_id)
        if cipher is None:
            raise SealBroken("its key is not on the ring")
        nonce, body = sealed[start : start + _NONCE_BYTES], sealed[start + _NONCE_BYTES :]
        try:
            return cipher.decrypt(nonce, body, bound_to.encode())
        except (InvalidTag, ValueError) as error:
            raise SealBroken("altered, or moved from where it belongs") from error


def new_key() -> bytes:
    """32 random bytes."""
    return os.urandom(_KEY_BYTES)


def pairs_of(text: str) -> dict[str, bytes]:
    """Keys by id, newest first, of `id:base64` pairs parted by commas or lines.

    Raises:
        BadKeyRing: a pair is none, or an id stands twice.
    """
    keys: dict[str, bytes] = {}
    for part in re.split(r"[,\n]", text):
        if not part.strip():
            continue
        key_id, _, key = part.strip().partition(":")
        if key_id in keys:
            raise BadKeyRing(f"key id {key_id!r} stands twice")
        try:
            keys[key_id] = b64decode(key, validate=True)
        except binascii.Error as error:
            raise BadKeyRing(f"a key is not base64: {error}") from None
    return keys


def written(keys: Mapping[str, bytes]) -> str:
    """The ring as its file has it: one pair a line, newest first."""
    return "".join(f"{key_id}:{b64encode(key).decode()}\n" for key_id, key in keys.items())


def add_key(path: Path) -> str:
    """Puts a fresh key in front of a ring's file, which every process follows; its id.

    Raises:
        BadKeyRing: the file is no ring.
    """
    made: list[str] = []

    def with_another(text: str) -> str:
        keys = pairs_of(text)
        _checked(keys)
        numbers = [int(key_id[1:]) for key_id in keys if re.fullmatch(r"k\d{1,9}", key_id)]
        made.append(f"k{max(numbers, default=0) + 1}")
        return written({made[0]: new_key(), **keys})

    _change(path, with_another)
    return made[0]


def drop_key(path: Path, key_id: str) -> None:
    """Takes a key off a ring's file. What it sealed opens no more: see to that first.

    Raises:
        BadKeyRing: it is not on the ring, or is the one that seals.
    """

    def without(text: str) -> str:
        keys = pairs_of(text)
        if key_id not in keys:
            raise BadKeyRing(f"there is no key {key_id!r} on the ring")
        if key_id == next(iter(keys)):
            raise BadKeyRing(f"{key_id!r} is the key that seals; put another in front first")
        return written({one: key for one, key in keys.items() if one != key_id})

    _change(path, without)


def _checked(keys: Mapping[str, bytes]) -> _Keys:
    if not keys:
        raise BadKeyRing("a key ring needs at least one key")
    for key_id, key in keys.items():
        if len(key) != _KEY_BYTES:
            raise BadKeyRing(f"key {key_id!r} has {len(key)} bytes, not {_KEY_BYTES}")
        if not _ID.fullmatch(key_id):
            raise BadKeyRing(f"key id {key_id!r} is not 1 to {_MAX_ID_BYTES} ASCII characters")
    return _Keys(next(iter(keys)), {key_id: AESGCM(key) for key_id, key in keys.items()})


def _text_of(path: Path) -> str:
    try:
        return ring_file.read(path)
    except ring_file.NotPrivate as error:
        raise BadKeyRing(str(error)) from None
    except OSError as error:
        raise BadKeyRing(f"{path} cannot be read: {error.strerror}") from None


def _change(path: Path, changed: Callable[[str], str]) -> None:
    try:
        ring_file.change(path, changed)
    except ring_file.NotPrivate as error:
        raise BadKeyRing(str(error)) from None
    except OSError as error:
        raise BadKeyRing(f"{path} cannot be written: {error.strerror}") from None

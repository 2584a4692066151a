"""Encryption at rest: AES-256-GCM under a ring of keys, newest first.

A sealed value is `key id . nonce . ciphertext` in bytes; the id says which key opens it, so keys can
be added and old ones kept until everything is sealed anew. What the value belongs to is bound in as
associated data: a ciphertext moved to another row does not open.
"""

import binascii
import os
from base64 import b64decode, b64encode
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12
_KEY_BYTES = 32
_MAX_ID_BYTES = 32


class SealBroken(Exception):
    """The value was altered, moved, or sealed under a key that is not on the ring."""


class BadKeyRing(ValueError):
    """The keys that were given make no ring."""


class KeyRing:
    """Keys by id. The first seals; all open."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        if not keys:
            raise BadKeyRing("a key ring needs at least one key")
        for key_id, key in keys.items():
            if len(key) != _KEY_BYTES:
                raise BadKeyRing(f"key {key_id!r} has {len(key)} bytes, not {_KEY_BYTES}")
            if not key_id.isascii() or not 1 <= len(key_id) <= _MAX_ID_BYTES:
                raise BadKeyRing(f"key id {key_id!r} is not 1 to {_MAX_ID_BYTES} ASCII characters")
        self._current = next(iter(keys))
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.items()}

    @classmethod
    def parse(cls, text: str) -> "KeyRing":
        """From `id:base64,id:base64`, newest first. Raises BadKeyRing."""
        pairs = (part.strip().partition(":") for part in text.split(",") if part.strip())
        try:
            return cls({key_id: b64decode(key, validate=True) for key_id, _, key in pairs})
        except binascii.Error as error:
            raise BadKeyRing(f"a key is not base64: {error}") from None

    @classmethod
    def from_file(cls, path: Path) -> "KeyRing":
        """From a file of mode 600, made with a fresh key when it is missing, as is its directory."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        except FileExistsError:
            return cls.parse(path.read_text())
        with os.fdopen(descriptor, "w") as file:
            file.write(f"k1:{b64encode(os.urandom(_KEY_BYTES)).decode()}\n")
        return cls.parse(path.read_text())

    def seal(self, value: bytes, *, bound_to: str) -> bytes:
        """Encrypts `value`; only with the same `bound_to` does it open again."""
        nonce = os.urandom(_NONCE_BYTES)
        key_id = self._current.encode()
        body = self._ciphers[self._current].encrypt(nonce, value, bound_to.encode())
        return bytes([len(key_id)]) + key_id + nonce + body

    def open(self, sealed: bytes, *, bound_to: str) -> bytes:
        """The value.

        Raises:
            SealBroken: altered, moved, or its key is not on the ring.
        """
        if not sealed:
            raise SealBroken("empty")
        start = 1 + sealed[0]
        cipher = self._ciphers.get(sealed[1:start].decode("ascii", "replace"))
        if cipher is None:
            raise SealBroken("its key is not on the ring")
        nonce, body = sealed[start : start + _NONCE_BYTES], sealed[start + _NONCE_BYTES :]
        try:
            return cipher.decrypt(nonce, body, bound_to.encode())
        except (InvalidTag, ValueError) as error:
            raise SealBroken("altered, or moved from where it belongs") from error

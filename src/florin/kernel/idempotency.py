"""Idempotency keys: what a client sends, as the digests that the database keeps.

Draft-ietf-httpapi-idempotency-key-header-07: scope by actor, operation and key; the body's digest
tells a retry from a mistake. Only digests are stored (see migrations/0001_kernel).
"""

from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

import orjson

from florin.kernel.errors import IdempotencyKeyMissing, InvalidRequest

MAX_KEY_LENGTH = 255


@dataclass(frozen=True, slots=True)
class Idempotency:
    """Where a key's answer is kept (`slot`) and what body it belongs to (`digest`)."""

    slot: UUID
    digest: UUID


def idempotency(actor: str, operation: str, key: str | None, body: bytes) -> Idempotency:
    """The slot and digest of a request.

    Args:
        actor: who asks, unique within the tenant (a partner's id, or the tenant itself).
        operation: method and path template, so that one key may serve two operations.
        key: the Idempotency-Key header.
        body: the JSON body; its members' order and spacing do not matter.

    Raises:
        IdempotencyKeyMissing: no key.
        InvalidRequest: the key is empty, longer than 255 characters, or not printable ASCII.
    """
    if key is None:
        raise IdempotencyKeyMissing
    if not 1 <= len(key) <= MAX_KEY_LENGTH:
        raise InvalidRequest(
            f"Idempotency-Key has {len(key)} characters; 1 to {MAX_KEY_LENGTH} are allowed",
            param="Idempotency-Key",
        )
    if not (key.isascii() and key.isprintable()):
        raise InvalidRequest(
            "Idempotency-Key holds something else than printable ASCII characters", param="Idempotency-Key"
        )
    canonical = orjson.dumps(orjson.loads(body), option=orjson.OPT_SORT_KEYS) if body else b""
    return Idempotency(slot=_digest(f"{actor}\0{operation}\0{key}".encode()), digest=_digest(canonical))


def _digest(data: bytes) -> UUID:
    return UUID(bytes=sha256(data).digest()[:16])

"""The keys that sign checkpoints: Ed25519, the private half sealed by the key ring. No I/O."""

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from florin.kernel import clock
from florin.kernel.crypto import KeyRing
from florin.ledger.seals.model import SealKey


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key with its private half, which signs."""

    key: SealKey
    private: bytes = field(repr=False)


def _bound_to(key: SealKey) -> str:
    return f"ledger.seal_keys/{key.tenant_id}/{key.id}"


def generate(tenant_id: int) -> SigningKey:
    """A fresh key."""
    private = Ed25519PrivateKey.generate()
    key = SealKey(tenant_id, private.public_key().public_bytes_raw(), clock.now())
    return SigningKey(key, private.private_bytes_raw())


def sealed(ring: KeyRing, signing: SigningKey) -> bytes:
    """The private half as it is stored: it opens for this tenant and this key only."""
    return ring.seal(signing.private, bound_to=_bound_to(signing.key))


def opened(ring: KeyRing, key: SealKey, private_key: bytes) -> SigningKey:
    """The key with its private half, as `sealed` stored it. Raises SealBroken."""
    return SigningKey(key, ring.open(private_key, bound_to=_bound_to(key)))


def is_own(ring: KeyRing, key: SealKey, private_key: bytes) -> bool:
    """Whether whoever made this key had the ring. Raises SealBroken where the private half does not open."""
    private = Ed25519PrivateKey.from_private_bytes(opened(ring, key, private_key).private)
    return private.public_key().public_bytes_raw() == key.public_key

"""Keys: their private halves open for their own ring, tenant and id only."""

from dataclasses import replace

import pytest

from florin.kernel.crypto import KeyRing, SealBroken
from florin.ledger.seals import keys

RING = KeyRing({"k1": bytes(32)})
SIGNING, STRANGER = keys.generate(7), keys.generate(7)


def test_a_key_is_its_rings_own_only_with_its_private_half() -> None:
    stored = keys.sealed(RING, SIGNING)
    assert keys.opened(RING, SIGNING.key, stored) == SIGNING
    assert keys.is_own(RING, SIGNING.key, stored)
    assert SIGNING.private not in stored
    assert SIGNING.private.hex() not in repr(SIGNING)
    forged = keys.sealed(RING, replace(SIGNING, private=STRANGER.private))
    assert not keys.is_own(RING, SIGNING.key, forged)


def test_a_private_half_moved_to_another_key_or_tenant_does_not_open() -> None:
    stored = keys.sealed(RING, SIGNING)
    with pytest.raises(SealBroken):
        keys.opened(RING, STRANGER.key, stored)
    with pytest.raises(SealBroken):
        keys.opened(RING, replace(SIGNING.key, tenant_id=8), stored)
    with pytest.raises(SealBroken):
        keys.opened(KeyRing({"k2": bytes(32)}), SIGNING.key, stored)

from base64 import b64decode
from uuid import uuid4

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from florin.kernel.clock import now
from florin.kernel.crypto import KeyRing, SealBroken
from florin.webhooks.signing import headers, new_secret, seal, unseal

KEYS = KeyRing({"k1": b"1" * 32})


def test_secrets_are_whsec_and_32_random_bytes() -> None:
    one, other = new_secret(), new_secret()
    assert one != other
    assert one.startswith("whsec_") and len(b64decode(one.removeprefix("whsec_"))) == 32


def test_every_secret_of_a_rotation_verifies() -> None:
    old, new, foreign = new_secret(), new_secret(), new_secret()
    body = '{"type":"thing.made"}'
    sent = headers("evt_1", now(), body, [new, old])
    assert len(sent["webhook-signature"].split(" ")) == 2
    for secret in (old, new):
        assert Webhook(secret).verify(body, sent) == {"type": "thing.made"}
    with pytest.raises(WebhookVerificationError):
        Webhook(foreign).verify(body, sent)
    with pytest.raises(WebhookVerificationError):
        Webhook(new).verify(body + " ", sent)


def test_a_sealed_secret_opens_for_its_endpoint_only() -> None:
    endpoint_id, secret = uuid4(), new_secret()
    sealed = seal(KEYS, secret, tenant_id=1, endpoint_id=endpoint_id)
    assert secret.encode() not in sealed
    assert unseal(KEYS, sealed, tenant_id=1, endpoint_id=endpoint_id) == secret
    for tenant_id, other in ((2, endpoint_id), (1, uuid4())):
        with pytest.raises(SealBroken):
            unseal(KEYS, sealed, tenant_id=tenant_id, endpoint_id=other)

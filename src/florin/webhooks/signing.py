"""Standard Webhooks: secrets and signatures (https://www.standardwebhooks.com, specification 1.0)."""

import secrets
from base64 import b64encode
from collections.abc import Iterable
from datetime import datetime
from typing import Final
from uuid import UUID

from standardwebhooks import Webhook

from florin.kernel.crypto import KeyRing

_SECRET_BYTES: Final = 32  # the specification asks for 24 to 64


def new_secret() -> str:
    """`whsec_` and 32 random bytes in base 64."""
    return "whsec_" + b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def seal(keys: KeyRing, secret: str, *, tenant_id: int, endpoint_id: UUID) -> bytes:
    """The secret as the database keeps it: it opens for this endpoint and no other."""
    return keys.seal(secret.encode(), bound_to=_bound_to(tenant_id, endpoint_id))


def unseal(keys: KeyRing, sealed: bytes, *, tenant_id: int, endpoint_id: UUID) -> str:
    """The secret. Raises SealBroken."""
    return keys.open(sealed, bound_to=_bound_to(tenant_id, endpoint_id)).decode()


def _bound_to(tenant_id: int, endpoint_id: UUID) -> str:
    return f"webhooks.secrets:{tenant_id}:{endpoint_id}"


def headers(message_id: str, at: datetime, body: str, with_secrets: Iterable[str]) -> dict[str, str]:
    """The three headers of a webhook: one signature per secret, the current one's first."""
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(Webhook(secret).sign(message_id, at, body) for secret in with_secrets),
    }

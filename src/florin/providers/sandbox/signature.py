"""How the sandbox's webhooks are signed.

`sandbox-timestamp` is the sending time in Unix seconds; `sandbox-signature` is `v1=` and the
HMAC-SHA256, in hex, of timestamp, a full stop and the body. A signature older or newer than five
minutes is refused, so a recorded webhook cannot be played back for long.
"""

import hmac
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Final

from pydantic import ValidationError

from florin.providers.provider import InvalidWebhook, ProviderEvent
from florin.providers.sandbox.wire import read_event

TIMESTAMP: Final = "sandbox-timestamp"
SIGNATURE: Final = "sandbox-signature"
TOLERANCE_S: Final = 300
_MAX_TIMESTAMP_DIGITS: Final = 12


def sign(key: bytes, body: bytes, at: datetime) -> dict[str, str]:
    """The headers of a webhook with this body sent at `at`."""
    timestamp = str(int(at.timestamp()))
    return {
        "content-type": "application/json",
        TIMESTAMP: timestamp,
        SIGNATURE: f"v1={_mac(key, timestamp, body)}",
    }


def verify(key: bytes, headers: Mapping[str, str], body: bytes, at: datetime) -> None:
    """Does nothing if the body was signed with `key` about `at`.

    Raises:
        InvalidWebhook: a header is missing, the time is off, or the signature is not ours.
    """
    lowered = {name.lower(): value for name, value in headers.items()}
    timestamp, signature = lowered.get(TIMESTAMP, ""), lowered.get(SIGNATURE, "")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= _MAX_TIMESTAMP_DIGITS):
        raise InvalidWebhook("the time of the webhook is missing or not a number", param=TIMESTAMP)
    if abs(at.timestamp() - int(timestamp)) > TOLERANCE_S:
        raise InvalidWebhook(f"the webhook was not signed within {TOLERANCE_S} s of now", param=TIMESTAMP)
    expected = f"v1={_mac(key, timestamp, body)}"
    if not hmac.compare_digest(expected.encode(), signature.encode()):
        raise InvalidWebhook("the signature is not that of this body", param=SIGNATURE)


def parse_webhook(key: bytes, headers: Mapping[str, str], body: bytes, at: datetime) -> list[ProviderEvent]:
    """The news in a signed webhook, one piece.

    Raises:
        InvalidWebhook: see `verify`; or the body is not an event.
    """
    verify(key, headers, body, at)
    try:
        return [read_event(body)]
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InvalidWebhook(f"{where or 'body'}: {first['msg']}", param=where or None) from None


def _mac(key: bytes, timestamp: str, body: bytes) -> str:
    return hmac.new(key, timestamp.encode() + b"." + body, sha256).hexdigest()

"""How keys are shown: over HTTP, on the command line, and in events."""

from typing import Any
from uuid import UUID

from florin.access import addresses
from florin.access.model import ApiKey
from florin.kernel.clock import now
from florin.kernel.events import Snapshot, instant
from florin.kernel.ids import encode_id


def key(found: ApiKey, *, live: bool) -> dict[str, Any]:
    """The fields of an ApiKeyShown."""
    return {
        **{name: getattr(found, name) for name in ApiKey.__slots__},
        "live": live,
        "status": found.status(now()),
        "allowed_addresses": addresses.shown(found.allowed_addresses),
        "last_used_address": None if found.last_used_address is None else str(found.last_used_address),
    }


def render_ending(snapshot: Snapshot) -> dict[str, Any]:
    """What `access.tell_endings` wrote of a key, in the public shape."""
    partner_id = snapshot["partner_id"]
    return {
        "id": encode_id("key", UUID(snapshot["id"])),
        "object": "api_key",
        "partner": None if partner_id is None else encode_id("ptnr", UUID(partner_id)),
        **{name: snapshot[name] for name in ("prefix", "name", "scopes")},
        "within_days": snapshot["warned_days"],
        **{name: instant(snapshot[name]) for name in ("created_at", "expires_at", "last_used_at")},
    }

"""Permissions: what there is to be allowed, and which permission covers which.

A permission is `area:verb`; `area:*` covers all of an area, `*` everything that is a tenant's. Keys call
theirs scopes. `platform:` stands outside of `*`: it is for users and keys of the tenant PLATFORM alone.
"""

from collections.abc import Collection, Iterable
from typing import Final

PERMISSIONS: Final = frozenset(
    {
        "payments:read",
        "payments:write",
        "refunds:read",
        "refunds:write",
        "ledger:read",
        "ledger:write",
        "webhooks:read",
        "webhooks:write",
        "tenancy:read",
        "tenancy:write",
        "keys:read",
        "keys:write",
        "users:read",
        "users:write",
        "roles:read",
        "roles:write",
        "events:read",
        "audit:read",
        "audit:export",
        "personal:read",
        "personal:erase",
        "platform:read",
        "platform:write",
    }
)
"""Every permission that an endpoint asks for."""

EVERYTHING: Final = "*"
SELF: Final = "self"
"""What endpoints ask for that show a signed-in user what is his own: no role is needed."""

_PLATFORM: Final = "platform:"


def covers(held: Collection[str], wanted: str) -> bool:
    """Whether these permissions allow the wanted one (which may itself be `area:*` or `*`)."""
    if wanted in held:
        return True
    if wanted.startswith(_PLATFORM):
        return f"{_PLATFORM}*" in held
    return EVERYTHING in held or f"{wanted.partition(':')[0]}:*" in held


def beyond(held: Collection[str], wanted: Iterable[str]) -> list[str]:
    """The wanted permissions that the held ones do not cover, sorted."""
    return sorted({one for one in wanted if not covers(held, one)})


def unknown(wanted: Iterable[str]) -> list[str]:
    """Those that are neither a permission, nor a whole area of them, nor everything, sorted."""
    areas = {f"{one.partition(':')[0]}:*" for one in PERMISSIONS}
    return sorted({one for one in wanted if one not in PERMISSIONS | areas and one != EVERYTHING})

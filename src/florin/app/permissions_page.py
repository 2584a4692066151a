"""What each endpoint asks of whoever calls it, read off the routes; docs/permissions.md is made of it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from fastapi.routing import APIRoute
from starlette.routing import Route

from florin.kernel.http.call import OpenToAll, Permission
from florin.kernel.http.gate import permission_of
from florin.kernel.permissions import SELF

OUTSIDE: Final = {
    "/": "The first page.",
    "/docs": "The API reference.",
    "/docs/{name}": "What its page is made of.",
    "/openapi.json": "The API's description.",
    "/healthz": "For load balancers.",
    "/readyz": "For load balancers.",
    "/metrics": "For Prometheus: keep it inside with your proxy.",
    "/providers/{name}/webhooks": "Where payment providers report: authentic by their signature.",
}
"""Paths that are not under /v1 and ask for no credential, and why."""

_HEAD = """# Permissions

What each request needs. An API key has permissions as its scopes, a user through roles: in the whole tenant,
or in a business unit and all below it. `payments:*` covers all of an area, `*` all that is a tenant's;
permissions of the platform are for the tenant PLATFORM alone.

- **tenant** - a partner's key or user is refused, whatever it is allowed.
- **by unit** - whoever has the permission in some business units only sees and changes what belongs to these.
  Elsewhere he is refused with 403.
- **platform** - only the tenant PLATFORM may.
- **noted** - the audit log notes each use, although nothing changes.

This page is written by the tests from the routes themselves; a route that asks for nothing fails them.

| method | path | permission | |
|---|---|---|---|
"""

_OUTSIDE_HEAD = """
## Outside of /v1

No credential is asked for here.

| method | path | |
|---|---|---|
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """One endpoint, and what it asks for; None: nothing was declared."""

    method: str
    path: str
    asks: Permission | OpenToAll | None


def asked(routes: Iterable[object]) -> Iterator[Asked]:
    """Every endpoint of the application."""
    for route in routes:
        if isinstance(route, Route):
            found = permission_of(route) if isinstance(route, APIRoute) else None
            asks = found if isinstance(found, Permission | OpenToAll) else None
            for method in sorted(set(route.methods or ()) - {"HEAD"}):
                yield Asked(method, route.path_format, asks)


def permissions_page(routes: Iterable[object]) -> str:
    """docs/permissions.md."""
    found = sorted(asked(routes), key=lambda one: (one.path, one.method))
    inside = "".join(_row(one) for one in found if one.path.startswith("/v1/"))
    outside = "".join(
        f"| {one.method} | `{one.path}` | {OUTSIDE.get(one.path, '')} |\n"
        for one in found
        if not one.path.startswith("/v1/")
    )
    return f"{_HEAD}{inside}{_OUTSIDE_HEAD}{outside}"


def _row(one: Asked) -> str:
    match one.asks:
        case OpenToAll(why):
            needs, flags = "none", why
        case Permission() as permission:
            needs = "signed in" if permission.scope == SELF else f"`{permission.scope}`"
            flags = ", ".join(
                name
                for name, on in (
                    ("tenant", permission.tenants_only),
                    ("by unit", permission.by_unit),
                    ("platform", permission.platform),
                    ("noted", permission.privileged),
                )
                if on
            )
        case None:
            needs, flags = "**undeclared**", ""
    return f"| {one.method} | `{one.path}` | {needs} | {flags} |\n"

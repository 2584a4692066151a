"""Who is calling, and with what: the one thing that the gate hands to every endpoint."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast
from uuid import UUID

from fastapi import Request

from florin.kernel.errors import Forbidden, TenantsOnly
from florin.kernel.http.body import METHODS_WITH_BODY, raw_body_of
from florin.kernel.http.strict import refuse_unasked
from florin.kernel.idempotency import Idempotency, idempotency
from florin.kernel.ids import encode_id
from florin.kernel.provenance import Provenance

T = TypeVar("T")

CALL = "florin.call"
"""The key under which the gate leaves the Call in the ASGI scope."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Whom a key speaks for."""

    tenant_id: int
    partner_id: UUID | None
    """None: the tenant itself."""

    key_id: UUID
    scopes: frozenset[str]
    live: bool

    @property
    def actor(self) -> str:
        """Names the principal within its tenant, for idempotency and logs."""
        return str(self.partner_id) if self.partner_id else "tenant"


class Rooms:
    """What the process has opened, by type: `rooms[Ledger]`. Filled once, at start-up."""

    def __init__(self) -> None:
        self._rooms: dict[type[Any], Any] = {}

    def add(self, room: object) -> None:
        """Makes `room` known under its own type."""
        self._rooms[type(room)] = room

    def take_over(self, other: "Rooms") -> None:
        """Knows what the other knows."""
        self._rooms.update(other._rooms)

    def __getitem__(self, kind: type[T]) -> T:
        return cast(T, self._rooms[kind])


@dataclass(slots=True)
class Call:
    """One authenticated request under /v1."""

    principal: Principal
    rooms: Rooms
    request_id: str
    method: str
    headers: Mapping[bytes, bytes]
    body: bytes = b""
    address: str | None = None
    """Where the request came from, as far as the socket knows."""

    operation: str = ""
    """Method and path template, set by the route."""

    answer_headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    """What the gate adds to the answer's headers."""

    @property
    def tenant_id(self) -> int:
        """The tenant whose context every query of this call takes."""
        return self.principal.tenant_id

    @property
    def writes(self) -> bool:
        """Whether its method is one that carries a body."""
        return self.method in METHODS_WITH_BODY

    @property
    def idempotency_key(self) -> str | None:
        """The Idempotency-Key header, if there is one."""
        raw = self.headers.get(b"idempotency-key")
        return None if raw is None else raw.decode("latin-1")

    def provenance(self, reason: str | None = None) -> Provenance:
        """To whom the audit log puts down what this call changes, and why."""
        return Provenance(
            actor=encode_id("key", self.principal.key_id),
            reason=reason,
            address=self.address,
            user_agent=self.headers.get(b"user-agent", b"").decode("latin-1") or None,
            request_id=self.request_id,
        )

    def idempotency(self) -> Idempotency:
        """Slot and digest of this request. Raises IdempotencyKeyMissing."""
        return idempotency(self.principal.actor, self.operation, self.idempotency_key, self.body)

    def mark_replayed(self) -> None:
        """Tells the client that its key was used before and this is that request's answer."""
        self.answer_headers.append((b"idempotent-replayed", b"true"))

    def require(self, permission: "Permission") -> None:
        """Raises Forbidden unless the key has the scope, its family (`payments:*`) or `*`.

        And TenantsOnly when a partner's key asks for what is the tenant's own.
        """
        scope, scopes = permission.scope, self.principal.scopes
        if scope not in scopes and "*" not in scopes and f"{scope.partition(':')[0]}:*" not in scopes:
            raise Forbidden(f"the key has no scope {scope}", scope=scope)
        if permission.tenants_only and self.principal.partner_id is not None:
            raise TenantsOnly


@dataclass(frozen=True, slots=True)
class Permission:
    """What a key needs for an endpoint."""

    scope: str
    tenants_only: bool = False
    """Whether a partner's key is refused, whatever its scopes."""


def requires(scope: str, *, tenants_only: bool = False) -> Callable[[Request], "Any"]:
    """The dependency that gives an endpoint its Call.

    Use as `call: Annotated[Call, Depends(requires("ledger:read"))]`. The function's `permission`
    attribute says what it asks for, so that routes can be listed with it.
    """
    permission = Permission(scope, tenants_only)

    async def call(request: Request) -> Call:
        found: Call = request.scope[CALL]
        found.require(permission)
        route = request.scope["route"]
        found.operation = f"{request.method} {route.path_format}"
        asked = found.writes and raw_body_of(route.endpoint) is None
        refuse_unasked(route, request.scope["query_string"], found.body if asked else b"")
        return found

    call.permission = permission  # type: ignore[attr-defined]
    return call

"""Who is calling, and with what: the one thing that the gate hands to every endpoint.

An endpoint says what it asks for in one of three ways, and a test refuses one that says nothing:
`requires("ledger:read")`, `requires_user()` for what is a signed-in user's own, and `open_to_all("why")`
for what nobody can have a credential for yet.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar, cast
from uuid import UUID

from fastapi import Request

from florin.kernel.errors import Forbidden, PlatformOnly, TenantsOnly, UsersOnly
from florin.kernel.http.body import METHODS_WITH_BODY, raw_body_of
from florin.kernel.http.strict import refuse_unasked
from florin.kernel.idempotency import Idempotency, idempotency
from florin.kernel.ids import encode_id
from florin.kernel.permissions import SELF, covers
from florin.kernel.provenance import Provenance

T = TypeVar("T")

CALL = "florin.call"
"""The key under which the gate leaves the Call in the ASGI scope."""

KNOCK = "florin.knock"
"""The key under which it leaves the Knock of a request that needs no credential."""


class PrincipalKind(StrEnum):
    """What a principal showed."""

    KEY = "key"
    """An API key, or an access token that an OAuth client got for one."""

    USER = "user"
    """An access token of a session."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls: a key or a user of a tenant, or of one of its partners."""

    tenant_id: int
    partner_id: UUID | None
    """None: the tenant itself."""

    id: UUID
    """Of the key or the user."""

    scopes: frozenset[str]
    """Permissions in the whole tenant."""

    live: bool
    kind: PrincipalKind = PrincipalKind.KEY
    session_id: UUID | None = None
    """Of a user."""

    unit_scopes: Mapping[UUID, frozenset[str]] = field(default_factory=dict)
    """Permissions in business units only: for each unit, those given there or above it."""

    platform: bool = False
    """Whether its tenant is PLATFORM, who runs the house."""

    @property
    def actor(self) -> str:
        """Names the principal within its tenant, for idempotency."""
        if self.kind is PrincipalKind.USER:
            return f"user:{self.id}"
        return str(self.partner_id) if self.partner_id else "tenant"

    def held_at(self, unit_id: UUID | None) -> frozenset[str]:
        """Permissions in a business unit, those in the whole tenant included; None: in the whole tenant."""
        return self.scopes if unit_id is None else self.scopes | self.unit_scopes.get(unit_id, frozenset())

    @property
    def name(self) -> str:
        """`key_...` or `user_...`: how the audit log and rows remember who it was."""
        return encode_id(self.kind, self.id)


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
class Knock:
    """One request that needs no credential, such as a sign-in."""

    rooms: Rooms
    request_id: str
    method: str
    headers: Mapping[bytes, bytes]
    body: bytes = b""
    address: str | None = None
    """Where the request came from: the client's, behind proxies that the operator trusts."""

    def provenance(self, actor: str, reason: str | None = None) -> Provenance:
        """To whom the audit log puts down what this request changes."""
        return _provenance(self, actor, reason)


@dataclass(slots=True)
class Call:
    """One authenticated request."""

    principal: Principal
    rooms: Rooms
    request_id: str
    method: str
    headers: Mapping[bytes, bytes]
    body: bytes = b""
    address: str | None = None
    """Where the request came from: the client's, behind proxies that the operator trusts."""

    units: frozenset[UUID] | None = None
    """The business units that the call is confined to; None: the whole tenant. Set by `require`."""

    privileged: bool = False
    """Whether the audit log notes this use. Set by `require`."""

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
        return _provenance(self, self.principal.name, reason, self.principal.session_id)

    def idempotency(self) -> Idempotency:
        """Slot and digest of this request. Raises IdempotencyKeyMissing."""
        return idempotency(self.principal.actor, self.operation, self.idempotency_key, self.body)

    def mark_replayed(self) -> None:
        """Tells the client that its key was used before and this is that request's answer."""
        self.answer_headers.append((b"idempotent-replayed", b"true"))

    def may(self, permission: str, unit_id: UUID | None = None) -> bool:
        """Whether the principal holds it in the whole tenant, or in this business unit or above."""
        return covers(self.principal.held_at(unit_id), permission)

    def reaches(self, unit_id: UUID | None) -> bool:
        """Whether what belongs to this business unit (None: to none) is within `units`."""
        return self.units is None or unit_id in self.units

    def require(self, permission: "Permission") -> None:
        """Passes a principal who may; confines one who may in some business units only to those.

        Raises:
            UsersOnly: this is a signed-in user's own, and a key asks.
            PlatformOnly: this is for the tenant PLATFORM.
            Forbidden: no such permission; or in business units only, and the endpoint knows no units.
            TenantsOnly: a partner's key asks for what is the tenant's own.
        """
        who, scope = self.principal, permission.scope
        if scope == SELF:
            if who.kind is not PrincipalKind.USER:
                raise UsersOnly
            return
        if permission.platform and not who.platform:
            raise PlatformOnly
        if not covers(who.scopes, scope):
            units = frozenset(unit for unit, held in who.unit_scopes.items() if covers(held, scope))
            if not units or not permission.by_unit:
                where = "in the whole tenant" if units else ""
                raise Forbidden(f"this needs the permission {scope} {where}".rstrip(), scope=scope)
            self.units = units
        if permission.tenants_only and who.partner_id is not None:
            raise TenantsOnly
        self.privileged = self.privileged or permission.privileged


@dataclass(frozen=True, slots=True)
class Permission:
    """What a principal needs for an endpoint."""

    scope: str
    tenants_only: bool = False
    """Whether a partner's key is refused, whatever its scopes."""

    by_unit: bool = False
    """Whether the endpoint shows and changes only what belongs to `call.units` when they are set."""

    platform: bool = False
    """Whether only the tenant PLATFORM may."""

    privileged: bool = False
    """Whether the audit log notes each use, although nothing changes: see florin.kernel.http.notes."""


@dataclass(frozen=True, slots=True)
class OpenToAll:
    """What stands in a Permission's place where no credential is asked for."""

    why: str


def requires(
    scope: str,
    *,
    tenants_only: bool = False,
    by_unit: bool = False,
    platform: bool = False,
    privileged: bool = False,
) -> Callable[[Request], "Any"]:
    """The dependency that gives an endpoint its Call. For the arguments see Permission.

    Use as `call: Annotated[Call, Depends(requires("ledger:read"))]`. The function's `permission`
    attribute says what it asks for, so that routes can be listed with it.
    """
    return _asking(Permission(scope, tenants_only, by_unit, platform, privileged))


def requires_user() -> Callable[[Request], "Any"]:
    """The dependency of an endpoint that shows a signed-in user what is his own."""
    return _asking(Permission(SELF))


def open_to_all(why: str) -> Callable[[Request], "Any"]:
    """The dependency that gives an endpoint its Knock: anybody may ask, as often as an address may.

    Only for paths without parameters. `why` nobody can have a credential for it yet.
    """

    async def knock(request: Request) -> Knock:
        found: Knock = request.scope[KNOCK]
        _refuse_unasked(request, found)
        return found

    knock.permission = OpenToAll(why)  # type: ignore[attr-defined]
    return knock


def _asking(permission: Permission) -> Callable[[Request], "Any"]:
    async def call(request: Request) -> Call:
        found: Call = request.scope[CALL]
        found.require(permission)
        found.operation = f"{request.method} {request.scope['route'].path_format}"
        _refuse_unasked(request, found)
        return found

    call.permission = permission  # type: ignore[attr-defined]
    return call


def _refuse_unasked(request: Request, found: Call | Knock) -> None:
    route = request.scope["route"]
    asked = found.method in METHODS_WITH_BODY and raw_body_of(route.endpoint) is None
    refuse_unasked(route, request.scope["query_string"], found.body if asked else b"")


def _provenance(
    request: Call | Knock, actor: str, reason: str | None, session_id: UUID | None = None
) -> Provenance:
    return Provenance(
        actor=actor,
        reason=reason,
        address=request.address,
        user_agent=request.headers.get(b"user-agent", b"").decode("latin-1") or None,
        request_id=request.request_id,
        session_id=None if session_id is None else encode_id("ses", session_id),
    )

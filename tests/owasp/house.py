"""One platform in this process, on a Unix socket, and who is in it.

Two tenants, two partners and a business unit who own one of everything; PLATFORM; people who have signed in.
"""

import asyncio
import socket
import threading
from collections.abc import Coroutine, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar, cast
from uuid import UUID, uuid4

import httpx
import psycopg
from fastapi import FastAPI
from fastapi.routing import APIRoute
from psycopg import sql
from starlette.types import Receive, Scope, Send

from florin.access.people.model import Grant
from florin.access.people.roles import create_role
from florin.access.people.room import People
from florin.access.service import Access, create_key
from florin.access.sessions.model import TokenPair
from florin.app.asgi import ROUTERS, build
from florin.app.serve import Server
from florin.kernel.http.call import Permission, Principal, PrincipalKind, Rooms
from florin.kernel.http.gate import Authenticator, Gate, Headers, RateLimiter, permission_of
from florin.kernel.ids import decode_id, encode_id
from florin.kernel.permissions import PERMISSIONS, SELF
from florin.kernel.provenance import Provenance, acting_as
from florin.kernel.settings import Settings
from florin.tenancy.model import TenantDetails, TenantType
from florin.tenancy.platform import ensure_platform
from florin.tenancy.service import Tenancy, create_tenant
from tests.flows import world
from tests.flows.world import Operation, Tenant
from tests.owasp.documented import check_documented
from tests.owasp.residents import OPERATOR, Resident, let_in, move_in

T = TypeVar("T")

OPERATIONS = list(world.operations(everybodys=True))
ROUTES: dict[tuple[str, str], APIRoute] = {
    (method, route.path_format): route
    for router in ROUTERS
    for route in router.routes
    if isinstance(route, APIRoute)
    for method in route.methods or ()
}
BOOKKEEPING = frozenset(
    {
        "tenancy.usage",
        "access.rate_windows",
        "access.api_keys",
        "access.lock_outs",
        "access.address_failures",
        "access.send_quotas",
        "audit.heads",
        "kernel.idempotency_keys",
    }
)
"""What a refused request may leave behind: that it was made or tried, and that its key was used."""

LOGGED = sql.SQL("SELECT * FROM audit.log WHERE action IN ('created', 'changed', 'deleted')")
"""Of the audit log what it says of changes; who was shown or refused what may be added."""

FROM = "x-from"
"""A header of these tests: the address that a request is to come from, which a Unix socket does not tell."""

UNIT = UUID(int=0xB05)
"""A business unit in which nothing is."""


def permission(operation: Operation) -> Any:
    """What the operation's route asks for."""
    return permission_of(ROUTES[operation.method, operation.path])


class Door:
    """The platform's own, and principals whom a test has made up."""

    def __init__(self, authenticator: Authenticator, limiter: RateLimiter) -> None:
        self._authenticator = authenticator
        self._limiter = limiter
        self.made_up: dict[bytes, Principal] = {}
        self.strangers = 0
        """How often somebody without a credential was let in or turned away."""

    async def authenticate(self, headers: Mapping[bytes, bytes], address: str | None) -> Principal:
        known = self.made_up.get(headers.get(b"authorization", b""))
        return known or await self._authenticator.authenticate(headers, address)

    async def admit(self, principal: Principal) -> Headers:
        # A walk through everything is more than a user may do in a minute.
        walks = principal.kind is PrincipalKind.USER or principal in self.made_up.values()
        return [] if walks else await self._limiter.admit(principal)

    async def admit_stranger(self, address: str | None) -> Headers:
        self.strangers += 1
        return await self._limiter.admit_stranger(address)


@dataclass
class House:
    """The platform and who is in it.

    `ours`, `theirs`, `partner`, `other_partner` are keys that may do everything, of two tenants and of two
    partners of `ours`, with ids of what is theirs; `unit` is a business unit's administrator with what is in
    the unit, and `own` a user with what is his own.
    """

    rooms: Rooms
    door: Door
    root: str
    client: httpx.Client
    loop: asyncio.AbstractEventLoop
    ours: Tenant = field(init=False)
    theirs: Tenant = field(init=False)
    partner: Tenant = field(init=False)
    other_partner: Tenant = field(init=False)
    unit: Tenant = field(init=False)
    own: Tenant = field(init=False)
    tenant_id: int = field(init=False)
    their_tenant_id: int = field(init=False)
    admin: Resident = field(init=False)
    """May do everything in `ours`."""

    colleague: Resident = field(init=False)
    """A viewer of `ours`."""

    foreigner: Resident = field(init=False)
    """May do everything in `theirs`."""

    clerk: Resident = field(init=False)
    """Of `partner`, where he may do everything."""

    other_clerk: Resident = field(init=False)
    manager: Resident = field(init=False)
    """Administers the business unit and nothing else."""

    operator: Resident = field(init=False)
    """Administers PLATFORM."""

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine where the platform runs."""

        async def by_operator() -> T:
            with acting_as(lambda: Provenance("cli:owasp")):
                return await work

        return asyncio.run_coroutine_threadsafe(by_operator(), self.loop).result(30)

    def furnish(self) -> None:
        """Makes tenants, partners, people, and one of everything for each."""
        self.tenant_id, self.ours = self._tenant("OURS")
        self.their_tenant_id, self.theirs = self._tenant("OTHER")
        for tenant_id, tenant in ((self.tenant_id, self.ours), (self.their_tenant_id, self.theirs)):
            world.furnish(tenant)
            tenant.ids["ses"] = self.session_of(tenant_id, tenant.ids["user"])
        self.admin = self.resident(Grant("tenant_admin"))
        self.colleague = self.resident(Grant("viewer"))
        self.foreigner = self.resident(Grant("tenant_admin"), tenant_id=self.their_tenant_id)
        self.own = self.as_user(self.admin)
        self.own.ids["ses"] = self.session_of(self.tenant_id, self.admin.name)
        self.run(self._make_role())
        self.partner, self.clerk = self._partner("First")
        self.other_partner, self.other_clerk = self._partner("Second")
        self.unit = self._unit()
        twins, _ = self.run(ensure_platform(self.rooms[Tenancy], "ops@platform.example"))
        assert twins.live is not None
        self.operator = self.resident(Grant("platform_admin"), tenant_id=twins.live.tenant_id)

    def resident(
        self, *grants: Grant, tenant_id: int | None = None, partner_id: UUID | None = None
    ) -> Resident:
        """A real user with these roles, of ours unless it is said whose, who has signed in."""
        made = move_in(self.rooms, tenant_id or self.tenant_id, grants, partner_id=partner_id)
        return self.run(made)

    def tokens_of(self, tenant_id: int, user: str) -> TokenPair:
        """Those of one more session of a user."""
        return self.run(let_in(self.rooms, tenant_id, decode_id("user", user)))

    def session_of(self, tenant_id: int, user: str) -> str:
        """One more session of a user, `ses_...`."""
        return encode_id("ses", self.tokens_of(tenant_id, user).session_id)

    def as_user(self, who: Resident, things: Tenant | None = None) -> Tenant:
        """A real user as a caller, with the ids of `things`, else of ours and his own."""
        ids = self.ours.ids | {"user": who.name, "ses": who.session} if things is None else dict(things.ids)
        return replace(things or self.ours, key=who.tokens.access_token, ids=ids)

    def able(self, operation: Operation) -> Tenant:
        """Whoever may use it."""
        asked = permission(operation)
        if isinstance(asked, Permission) and asked.scope == SELF:
            return self.own
        if isinstance(asked, Permission) and asked.platform:
            return self.as_user(self.operator)
        return self.ours

    def caller(self, who: Tenant) -> Tenant:
        """The same, with ids of ours for what he has nothing of."""
        if who is self.theirs:
            return who
        return replace(
            who, ids={**self.ours.ids, **who.ids}, accounts=self.ours.accounts, names=self.ours.names
        )

    def principal(self, *scopes: str, **others: Any) -> Tenant:
        """Somebody of our tenant with these permissions, as a caller."""
        made = Principal(
            self.tenant_id, others.pop("partner_id", None), uuid4(), frozenset(scopes), live=False
        )
        made = replace(made, **others)
        token = f"made-up-{made.id}"
        self.door.made_up[f"Bearer {token}".encode()] = made
        return replace(self.ours, key=token)

    def user(self, *scopes: str, **others: Any) -> Tenant:
        """A user."""
        return self.principal(*scopes, kind=PrincipalKind.USER, **others)

    def digest(self) -> dict[str, tuple[int, str]]:
        """Rows, and a digest of them, of each table that belongs to tenants."""
        found: dict[str, tuple[int, str]] = {}
        with psycopg.connect(self.root, autocommit=True) as connection:
            tables = connection.execute(
                "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
                " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'"
                " WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'"
            ).fetchall()
            for schema, table in tables:
                if f"{schema}.{table}" in BOOKKEEPING:
                    continue
                name = sql.Identifier(schema, table)
                rows = LOGGED if (schema, table) == ("audit", "log") else sql.SQL("TABLE {}").format(name)
                row = connection.execute(
                    sql.SQL(
                        "SELECT count(*), md5(string_agg(t::text, '' ORDER BY t::text)) FROM ({}) t"
                    ).format(rows)
                ).fetchone()
                assert row is not None
                found[f"{schema}.{table}"] = (row[0], row[1])
        return found

    def _tenant(self, code: str) -> tuple[int, Tenant]:
        details = TenantDetails(
            name=code,
            type=TenantType.BANK,
            contact_email="ops@tenant.example",
            country="US",
            timezone="UTC",
            currency="USD",
        )
        _, twin = self.run(create_tenant(self.rooms[Tenancy], code, details))
        unlimited = dict.fromkeys(("per_minute", "per_hour", "per_day"))
        made = self.run(
            create_key(self.rooms[Access], twin.tenant_id, name="all", scopes=["*"], limits=unlimited)
        )
        return twin.tenant_id, Tenant("http://florin", made.secret, client=self.client)

    async def _make_role(self) -> None:
        """One that allows everything, and that partners' users may have."""
        await create_role(
            self.rooms[People],
            self.tenant_id,
            code="everything",
            name="Everything",
            description="",
            permissions=["*"],
            by=OPERATOR,
        )

    def _unit(self) -> Tenant:
        """A business unit's administrator, and one of everything that a unit has."""
        unit = self.ours.made("/v1/business-units", {"name": "Inside", "type": "RETAIL"})["id"]
        unit_id = decode_id("bu", unit)
        self.manager = self.resident(Grant("business_unit_admin", unit_id))
        someone = self.resident(Grant("viewer", unit_id))
        ids = {"bu": unit, "user": someone.name, "ses": someone.session}
        customer = {"reference": uuid4().hex, "business_unit_id": unit}
        ids["cus"] = self.ours.made("/v1/customers", customer)["id"]
        shown = self.ours.made(f"/v1/assignments?user_id={someone.name}", method="GET")
        ids["asg"] = shown["data"][0]["id"]
        own = {"type": "BOOLEAN", "value": True, "business_unit_id": unit}
        self.ours.made("/v1/config/fraud.enabled", own, "PUT")
        return replace(self.ours, key=self.manager.tokens.access_token, ids=ids)

    def _partner(self, name: str) -> tuple[Tenant, Resident]:
        """A partner of ours with a key and a user, and one of everything that partners have."""
        email = f"{uuid4().hex}@shop.example"
        partner = self.ours.made("/v1/partners", {"name": name, "email": email})["id"]
        partner_id = decode_id("ptnr", partner)
        unlimited = dict.fromkeys(("per_minute", "per_hour", "per_day"))
        made = self.run(
            create_key(
                self.rooms[Access],
                self.tenant_id,
                name=name,
                scopes=["*"],
                partner_id=partner_id,
                limits=unlimited,
            )
        )
        clerk = self.resident(Grant("everything"), partner_id=partner_id)
        shop = Tenant("http://florin", made.secret, client=self.client)
        ids = shop.ids = {"ptnr": partner}
        ids["cus"] = shop.made("/v1/customers", {"reference": uuid4().hex})["id"]
        ids["key"] = shop.made("/v1/api-keys", {"name": "k", "scopes": ["events:read"]})["id"]
        ids["user"] = shop.made("/v1/users", {"user_name": f"u{uuid4().hex[:20]}"})["id"]
        ids["asg"] = shop.made("/v1/assignments", {"user_id": ids["user"], "role": "viewer"})["id"]
        ids["ses"] = self.session_of(self.tenant_id, ids["user"])
        payment = {"amount": 9900, "currency": "USD", "method": {"type": "card", "token": "tok_success"}}
        ids["pay"] = shop.made("/v1/payments", {**payment, "capture_method": "manual"})["id"]
        completed = shop.made("/v1/payments", payment)["id"]
        ids["re"] = shop.made("/v1/refunds", {"payment": completed, "amount": 1000})["id"]
        ids["evt"] = shop.made("/v1/events", method="GET")["data"][0]["id"]
        endpoint = {"url": "https://shop.example/webhooks", "events": ["*"]}
        ids["we"] = shop.made("/v1/webhook-endpoints", endpoint)["id"]
        ids["whd"] = shop.made(f"/v1/webhook-endpoints/{ids['we']}/test")["id"]
        return shop, clerk


def open_house(directory: Path, app_url: str, root_url: str) -> Iterator[House]:
    """Starts the platform in a thread of its own, furnished; stops it afterwards."""
    path = str(directory / "api")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(path)
        listening.listen(100)
        settings = Settings(
            data_dir=directory,
            port=8000,
            email_sender="file",
            argon2_memory_kib=1024,
            argon2_iterations=1,
            argon2_lanes=1,
        )
        gate = cast(Gate, build(settings, app_url))
        door = Door(gate._authenticator, gate._limiter)
        gate._authenticator = gate._limiter = door
        loop, started = asyncio.new_event_loop(), threading.Event()
        servers: list[Server] = []
        thread = threading.Thread(target=_serve, args=(loop, gate, listening, servers, started), daemon=True)
        thread.start()
        assert started.wait(30), "the platform does not start"
        app = cast(FastAPI, gate._app)
        hooks = {"response": [check_documented]}
        with httpx.Client(transport=httpx.HTTPTransport(uds=path), timeout=30, event_hooks=hooks) as client:
            house = House(app.state.rooms, door, root_url, client, loop)
            house.furnish()
            yield house
        servers[0].should_exit = True
        thread.join(30)


def _serve(
    loop: asyncio.AbstractEventLoop,
    gate: Gate,
    listening: socket.socket,
    servers: list[Server],
    started: threading.Event,
) -> None:
    async def addressed(scope: Scope, receive: Receive, send: Send) -> None:
        given = dict(scope.get("headers", ())).get(FROM.encode())
        await gate({**scope, "client": (given.decode(), 1)} if given else scope, receive, send)

    async def serve() -> None:
        server = Server(addressed)
        servers.append(server)
        task = asyncio.create_task(server.serve([listening]))
        while not server.started or not server.servers:
            await asyncio.sleep(0.01)
            if task.done():
                task.result()
        started.set()
        await task

    asyncio.set_event_loop(loop)
    loop.run_until_complete(serve())
    loop.close()


def path_ids(operation: Operation) -> dict[str, str]:
    """Of the operation's path: parameters that are ids, and their prefixes."""
    return {
        one["name"]: prefix
        for one in operation.parameters
        if one["in"] == "path" and (prefix := world.prefix_of(one["schema"])) is not None
    }


def send(who: Tenant, operation: Operation, path: str, body: Any = None) -> httpx.Response:
    """One request; imports get an empty file."""
    if operation.takes_file:
        return who.request(operation.method, path, content=b"", headers={"content-type": "text/csv"})
    return who.request(operation.method, path, json=body)


ALL = tuple(sorted(PERMISSIONS))

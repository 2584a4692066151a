"""One platform in this process, on a Unix socket: two tenants and two partners who own one of everything."""

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

from florin.access.service import Access, create_key
from florin.app.asgi import ROUTERS, build
from florin.app.serve import Server
from florin.kernel.http.call import Principal, PrincipalKind, Rooms
from florin.kernel.http.gate import Authenticator, Gate, Headers, RateLimiter, permission_of
from florin.kernel.ids import decode_id
from florin.kernel.permissions import PERMISSIONS
from florin.kernel.settings import Settings
from florin.tenancy.model import TenantDetails, TenantType
from florin.tenancy.service import Tenancy, create_tenant
from tests.flows import world
from tests.flows.world import Operation, Tenant

T = TypeVar("T")

OPERATIONS = list(world.operations())
ROUTES: dict[tuple[str, str], APIRoute] = {
    (method, route.path_format): route
    for router in ROUTERS
    for route in router.routes
    if isinstance(route, APIRoute)
    for method in route.methods or ()
}
BOOKKEEPING = frozenset(
    {"tenancy.usage", "access.rate_windows", "access.api_keys", "kernel.idempotency_keys"}
)
"""What a refused request may leave behind: that it was made, and that its key was used."""

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
        return [] if principal in self.made_up.values() else await self._limiter.admit(principal)

    async def admit_stranger(self, address: str | None) -> Headers:
        self.strangers += 1
        return await self._limiter.admit_stranger(address)


@dataclass
class House:
    """The platform and who is in it. `partner` and `other_partner` are keys of partners of `ours`."""

    rooms: Rooms
    door: Door
    root: str
    client: httpx.Client
    loop: asyncio.AbstractEventLoop
    ours: Tenant = field(init=False)
    theirs: Tenant = field(init=False)
    partner: Tenant = field(init=False)
    other_partner: Tenant = field(init=False)
    tenant_id: int = field(init=False)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine where the platform runs."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def furnish(self) -> None:
        """Makes tenants, partners and one of everything for each."""
        self.tenant_id, self.ours = self._tenant("OURS")
        _, self.theirs = self._tenant("THEIRS")
        for tenant in (self.ours, self.theirs):
            world.furnish(tenant)
        self.partner, self.other_partner = self._partner("First"), self._partner("Second")

    def caller(self, who: Tenant) -> Tenant:
        """The same, with ids of ours for what partners have nothing of."""
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
                row = connection.execute(
                    sql.SQL(
                        "SELECT count(*), md5(string_agg(t::text, '' ORDER BY t::text)) FROM {} t"
                    ).format(sql.Identifier(schema, table))
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

    def _partner(self, name: str) -> Tenant:
        """A partner of ours with a key, and one of everything that partners have."""
        email = f"{uuid4().hex}@shop.example"
        partner = self.ours.made("/v1/partners", {"name": name, "email": email})["id"]
        unlimited = dict.fromkeys(("per_minute", "per_hour", "per_day"))
        made = self.run(
            create_key(
                self.rooms[Access],
                self.tenant_id,
                name=name,
                scopes=["*"],
                partner_id=decode_id("ptnr", partner),
                limits=unlimited,
            )
        )
        shop = Tenant("http://florin", made.secret, client=self.client)
        ids = shop.ids = {"ptnr": partner}
        ids["cus"] = shop.made("/v1/customers", {"reference": uuid4().hex})["id"]
        ids["key"] = shop.made("/v1/api-keys", {"name": "k", "scopes": ["events:read"]})["id"]
        payment = {"amount": 9900, "currency": "USD", "method": {"type": "card", "token": "tok_success"}}
        ids["pay"] = shop.made("/v1/payments", {**payment, "capture_method": "manual"})["id"]
        completed = shop.made("/v1/payments", payment)["id"]
        ids["re"] = shop.made("/v1/refunds", {"payment": completed, "amount": 1000})["id"]
        ids["evt"] = shop.made("/v1/events", method="GET")["data"][0]["id"]
        endpoint = {"url": "https://shop.example/webhooks", "events": ["*"]}
        ids["we"] = shop.made("/v1/webhook-endpoints", endpoint)["id"]
        ids["whd"] = shop.made(f"/v1/webhook-endpoints/{ids['we']}/test")["id"]
        return shop


def open_house(directory: Path, app_url: str, root_url: str) -> Iterator[House]:
    """Starts the platform in a thread of its own, furnished; stops it afterwards."""
    path = str(directory / "api")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(path)
        listening.listen(100)
        gate = cast(Gate, build(Settings(data_dir=directory, port=8000), app_url))
        door = Door(gate._authenticator, gate._limiter)
        gate._authenticator = gate._limiter = door
        loop, started = asyncio.new_event_loop(), threading.Event()
        servers: list[Server] = []
        thread = threading.Thread(target=_serve, args=(loop, gate, listening, servers, started), daemon=True)
        thread.start()
        assert started.wait(30), "the platform does not start"
        app = cast(FastAPI, gate._app)
        with httpx.Client(transport=httpx.HTTPTransport(uds=path), timeout=30) as client:
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
    async def serve() -> None:
        server = Server(gate)
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

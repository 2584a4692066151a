"""Users with sessions, and processes that know of them, for the tests of signing, sessions and tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import httpx
from fastapi import FastAPI

from florin.access import http as access_http
from florin.access.service import Access
from florin.access.sessions import http as sessions_http
from florin.access.sessions.model import TokenPair
from florin.access.sessions.service import Sessions, begin
from florin.access.signing.service import SigningKeys
from florin.access.tokens import http as tokens_http
from florin.access.tokens import well_known
from florin.access.tokens.callers import TokenCallers
from florin.access.tokens.rooms import open_tokens
from florin.audit.reads import open_witness
from florin.kernel.clock import now
from florin.kernel.crypto import KeyRing
from florin.kernel.db import Database
from florin.kernel.http.call import Rooms
from florin.kernel.http.framework import install_problems
from florin.kernel.http.gate import Gate
from florin.kernel.ids import new_id
from florin.kernel.notify import Listener, Notifier
from florin.kernel.settings import Settings
from florin.tenancy import http as tenancy_http
from florin.tenancy.service import Tenancy
from tests.tenancy.conftest import PATIENT

from .conftest import Clock

RING = KeyRing({"k1": b"1" * 32})
SETTINGS = Settings(public_url="https://pay.bank.example")


@dataclass(frozen=True, slots=True)
class Process:
    """What one API process has open."""

    access: Access
    keys: SigningKeys
    sessions: Sessions
    callers: TokenCallers
    clock: Clock

    async def sign_in(self, tenant_id: int, user_id: UUID) -> TokenPair:
        return await begin(
            self.sessions, tenant_id, user_id, ["pwd"], address="198.51.100.7", user_agent="curl"
        )


def process(database: Database, *, clock: Clock | None = None, listener: Listener | None = None) -> Process:
    """Another process on the same database."""
    clock = clock or Clock()
    access = Access(database, Notifier(database), listener=listener, clock=clock, settings=PATIENT)
    keys, sessions, callers = open_tokens(SETTINGS, database, RING, access, listener, clock=clock)
    return Process(access, keys, sessions, callers, clock)


async def new_user(
    database: Database,
    tenant_id: int,
    roles: Sequence[str] = (),
    *,
    partner_id: UUID | None = None,
    unit_id: UUID | None = None,
    expires_at: datetime | None = None,
) -> UUID:
    """An active user with these built-in roles, in a business unit or in the whole tenant."""
    person_id, user_id, at = new_id(), new_id(), now()
    async with database.tenant(tenant_id) as connection:
        await connection.execute(
            "INSERT INTO kernel.people (tenant_id, id, kind, wrapped, created_at) "
            "VALUES (%s, %s, 'user', '', %s)",
            (tenant_id, person_id, at),
        )
        await connection.execute(
            "INSERT INTO access.users (tenant_id, id, person_id, partner_id, status, user_name, created_at, "
            "created_by, updated_at) VALUES (%s, %s, %s, %s, 'ACTIVE', %s, %s, 'test', %s)",
            (tenant_id, user_id, person_id, partner_id, f"u{user_id.hex[-20:]}", at, at),
        )
        for role in roles:
            await connection.execute(
                "INSERT INTO access.assignments (tenant_id, id, user_id, built_in, business_unit_id, "
                "expires_at, assigned_at, assigned_by) VALUES (%s, %s, %s, %s, %s, %s, %s, 'test')",
                (tenant_id, new_id(), user_id, role, unit_id, expires_at, at),
            )
    return user_id


async def set_status(database: Database, tenant_id: int, user_id: UUID, status: str) -> None:
    """Suspends a user, or makes him active again."""
    async with database.tenant(tenant_id) as connection:
        await connection.execute(
            "UPDATE access.users SET status = %s WHERE tenant_id = %s AND id = %s",
            (status, tenant_id, user_id),
        )


def http(here: Process, tenancy: Tenancy) -> httpx.AsyncClient:
    """The API of one process, behind the real gate."""
    app = FastAPI()
    install_problems(app)
    routers = (
        *tenancy_http.routers,
        *access_http.routers,
        sessions_http.router,
        tokens_http.router,
        well_known.router,
    )
    for router in routers:
        app.router.routes.extend(router.routes)
    rooms = Rooms()
    for room in (
        open_witness(tenancy.database),
        tenancy,
        here.access,
        here.keys,
        here.sessions,
        here.callers,
    ):
        rooms.add(room)
    rooms.add(open_witness(here.access.database))
    app.state.rooms = rooms
    gate = Gate(
        app,
        routes=app.routes,
        rooms=rooms,
        authenticator=here.access,
        limiter=here.access,
        max_body_bytes=262_144,
    )
    transport = httpx.ASGITransport(gate, client=("198.51.100.7", 4711))
    return httpx.AsyncClient(transport=transport, base_url="http://florin")


def as_holder(token: str) -> dict[str, str]:
    """The header that shows a token."""
    return {"authorization": f"Bearer {token}"}

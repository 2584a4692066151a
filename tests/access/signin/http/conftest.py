"""Signing in behind the real gate."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from florin.access.senders import Channel, Senders
from florin.access.service import create_key
from florin.access.sessions import http as sessions_http
from florin.access.signin import http as signin_http
from florin.access.signin.room import SignIn
from florin.audit.reads import open_witness
from florin.kernel.db import Database
from florin.kernel.http.call import Rooms
from florin.kernel.http.framework import install_problems
from florin.kernel.http.gate import Gate
from florin.kernel.vault import Vault
from florin.tenancy.model import Tenant
from florin.tenancy.service import Tenancy
from tests.access.signin.conftest import (
    PASSWORD,
    SETTINGS,
    MovableClock,
    Outbox,
    User,
    ann,
    clock,
    database,
    make_user,
    new_tenant,
    outbox,
    partner,
    tenancy,
    twins,
)
from tests.access.tokens_world import RING, Process, process

__all__ = ["ann", "clock", "database", "make_user", "new_tenant", "outbox", "partner", "tenancy", "twins"]


class TokenClock:
    """The same clock in seconds, for sessions and tokens."""

    def __init__(self, clock: MovableClock) -> None:
        self._clock = clock

    @property
    def at(self) -> float:
        return self._clock.timestamp()

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def here(database: Database, clock: MovableClock) -> Process:
    return process(database, clock=TokenClock(clock))  # type: ignore[arg-type]


@pytest.fixture
def room(database: Database, tenancy: Tenancy, here: Process, outbox: Outbox, clock: MovableClock) -> SignIn:
    senders = Senders(dict.fromkeys(Channel, outbox))
    vault = Vault(database, RING)
    return SignIn(database, vault, tenancy, here.sessions, senders, SETTINGS, clock=clock)


class Client:
    """The API as a browser sees it."""

    def __init__(self, client: httpx.AsyncClient, room: SignIn) -> None:
        self._client = client
        self.room = room

    async def __call__(
        self, method: str, path: str, body: Any = None, token: str | None = None
    ) -> httpx.Response:
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        answer = await self._client.request(method, f"/v1/{path}", json=body, headers=headers)
        await self.room.settle()
        return answer

    async def sign_in(self, user: User, password: str = PASSWORD) -> Any:
        """The answer's body."""
        answer = await self(
            "POST",
            "auth/sign-in",
            {"tenant": user.tenant.code, "live": user.tenant.live, "login": user.email, "password": password},
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def token(self, user: User) -> str:
        """An access token."""
        found: str = (await self.sign_in(user))["access_token"]
        return found


@pytest.fixture
async def client(room: SignIn, here: Process) -> AsyncIterator[Client]:
    app = FastAPI()
    install_problems(app)
    for router in (*signin_http.routers, sessions_http.router):
        app.router.routes.extend(router.routes)
    rooms = Rooms()
    rooms.add(open_witness(here.access.database))
    rooms.add(room)
    rooms.add(here.sessions)
    rooms.add(here.access)
    gate = Gate(
        app,
        routes=app.routes,
        rooms=rooms,
        authenticator=here.access,
        limiter=here.access,
        max_body_bytes=65_536,
    )
    transport = httpx.ASGITransport(gate, client=("198.51.100.7", 4711))
    async with httpx.AsyncClient(transport=transport, base_url="http://florin") as opened:
        yield Client(opened, room)


@pytest.fixture
async def key(here: Process, twins: tuple[Tenant, Tenant]) -> str:
    """An API key of the test twin that may do everything."""
    return (await create_key(here.access, twins[1].tenant_id, name="all", scopes=["*"])).secret

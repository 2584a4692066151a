"""Tenants of one's own, and the API of tenancy and access behind the real gate."""

from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from typing import Protocol

import httpx
import pytest
from fastapi import FastAPI

from florin.access import http as access_http
from florin.access.service import Access, create_key
from florin.audit.reads import open_witness
from florin.kernel.crypto import KeyRing
from florin.kernel.db import Database
from florin.kernel.http.call import Rooms
from florin.kernel.http.framework import install_problems
from florin.kernel.http.gate import Gate
from florin.kernel.notify import Notifier
from florin.kernel.settings import Settings
from florin.kernel.vault import Vault
from florin.tenancy import http as tenancy_http
from florin.tenancy.model import Partner, Tenant, TenantDetails, TenantType
from florin.tenancy.service import Tenancy, create_partner, create_tenant

_numbers = count(1)

PATIENT = Settings(stranger_limit_per_minute=0, stranger_limit_per_hour=0, stranger_limit_per_day=0)
"""Tests knock from one address more often than anybody honest does."""

DETAILS = TenantDetails(
    name="Demo Bank",
    type=TenantType.BANK,
    contact_email="ops@demo.example",
    country="ZA",
    timezone="Africa/Johannesburg",
    currency="ZAR",
)


class Urls(Protocol):
    """Connection strings of the test database."""

    app: str
    root: str


@pytest.fixture
async def database(database_urls: Urls) -> AsyncIterator[Database]:
    async with Database(database_urls.app) as opened:
        yield opened


@pytest.fixture
def tenancy(database: Database) -> Tenancy:
    ring = KeyRing({"k1": bytes(32)})
    return Tenancy(database, Notifier(database), ring, Vault(database, ring))


@pytest.fixture
def access(database: Database) -> Access:
    return Access(database, Notifier(database), settings=PATIENT)


@pytest.fixture
def new_tenant(tenancy: Tenancy) -> Callable[[], Awaitable[tuple[Tenant, Tenant]]]:
    """Makes a tenant that nobody else has: its live and its test twin."""
    return lambda: create_tenant(tenancy, f"T{next(_numbers)}", DETAILS)


@pytest.fixture
async def twins(new_tenant: Callable[[], Awaitable[tuple[Tenant, Tenant]]]) -> tuple[Tenant, Tenant]:
    return await new_tenant()


@pytest.fixture
async def partner(tenancy: Tenancy, twins: tuple[Tenant, Tenant]) -> Partner:
    """A partner of the live twin."""
    return await create_partner(tenancy, twins[0].tenant_id, name="Shop", email="pay@shop.example")


def application(tenancy: Tenancy, access: Access) -> Gate:
    """The routes of both rooms behind the gate, refusals rendered as the API does."""
    app = FastAPI()
    install_problems(app)
    for router in (*tenancy_http.routers, *access_http.routers):
        app.include_router(router)
    rooms = Rooms()
    rooms.add(open_witness(tenancy.database))
    rooms.add(tenancy)
    rooms.add(access)
    return Gate(
        app, routes=app.routes, rooms=rooms, authenticator=access, limiter=access, max_body_bytes=262_144
    )


class Api:
    """The API as one key's holder sees it."""

    def __init__(self, client: httpx.AsyncClient, secret: str) -> None:
        self._client = client
        self._headers = {"authorization": f"Bearer {secret}"}

    async def __call__(self, method: str, path: str, body: object = None, **query: str) -> httpx.Response:
        return await self._client.request(
            method, f"/v1/{path}", json=body, params=query, headers=self._headers
        )

    async def send(self, method: str, path: str, content: bytes) -> httpx.Response:
        """A body as it is, right or wrong."""
        headers = {**self._headers, "content-type": "application/json"}
        return await self._client.request(method, f"/v1/{path}", content=content, headers=headers)


@pytest.fixture
async def client(tenancy: Tenancy, access: Access) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(application(tenancy, access))
    async with httpx.AsyncClient(transport=transport, base_url="http://florin") as client:
        yield client


@pytest.fixture
async def api(client: httpx.AsyncClient, access: Access, twins: tuple[Tenant, Tenant]) -> Api:
    """With a key of the live twin that may do everything."""
    made = await create_key(access, twins[0].tenant_id, name="all", scopes=["*"])
    return Api(client, made.secret)


@pytest.fixture
async def partner_api(
    client: httpx.AsyncClient, access: Access, twins: tuple[Tenant, Tenant], partner: Partner
) -> Api:
    """With a key of the partner that may do everything."""
    made = await create_key(access, twins[0].tenant_id, name="shop", scopes=["*"], partner_id=partner.id)
    return Api(client, made.secret)


@pytest.fixture
async def other_api(
    client: httpx.AsyncClient, access: Access, new_tenant: Callable[[], Awaitable[tuple[Tenant, Tenant]]]
) -> Api:
    """With a key of another tenant that may do everything."""
    made = await create_key(access, (await new_tenant())[0].tenant_id, name="all", scopes=["*"])
    return Api(client, made.secret)

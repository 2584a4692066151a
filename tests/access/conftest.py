"""Tenants, keys and a room of access on this module's own database."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Protocol

import pytest

from florin.access.service import Access
from florin.kernel.clock import now
from florin.kernel.crypto import KeyRing
from florin.kernel.db import Connection, Database
from florin.kernel.notify import Notifier
from florin.tenancy.model import Tenant, TenantDetails, TenantType
from florin.tenancy.service import Tenancy, create_tenant

_numbers = count(1)

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


class CountingDatabase(Database):
    """Counts how often a connection is borrowed."""

    borrowed = 0

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        self.borrowed += 1
        async with super().connection() as connection:
            yield connection


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.at = now().timestamp()

    def __call__(self) -> float:
        return self.at


@pytest.fixture
async def counting(database_urls: Urls) -> AsyncIterator[CountingDatabase]:
    database = CountingDatabase(database_urls.app)
    async with database:
        yield database


def bearer(secret: str) -> dict[bytes, bytes]:
    return {b"authorization": b"Bearer " + secret.encode()}


@pytest.fixture
async def database(database_urls: Urls) -> AsyncIterator[Database]:
    async with Database(database_urls.app) as opened:
        yield opened


@pytest.fixture
def tenancy(database: Database) -> Tenancy:
    return Tenancy(database, Notifier(database), KeyRing({"k1": bytes(32)}))


@pytest.fixture
def access(database: Database) -> Access:
    return Access(database, Notifier(database))


@pytest.fixture
def new_tenant(tenancy: Tenancy) -> Callable[[], Awaitable[tuple[Tenant, Tenant]]]:
    """Makes a tenant that nobody else has: its live and its test twin."""
    return lambda: create_tenant(tenancy, f"T{next(_numbers)}", DETAILS)


@pytest.fixture
async def twins(new_tenant: Callable[[], Awaitable[tuple[Tenant, Tenant]]]) -> tuple[Tenant, Tenant]:
    return await new_tenant()

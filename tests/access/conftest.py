"""A database that counts and a clock that stands still; tenants and the API as in tests/tenancy."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from florin.access.model import Presented, parse
from florin.kernel.clock import now
from florin.kernel.db import Connection, Database
from tests.tenancy.conftest import (
    Urls,
    access,
    api,
    client,
    database,
    new_tenant,
    other_api,
    partner,
    partner_api,
    tenancy,
    twins,
)

__all__ = [
    "Urls",
    "access",
    "api",
    "client",
    "database",
    "new_tenant",
    "other_api",
    "partner",
    "partner_api",
    "tenancy",
    "twins",
]


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


def presented(secret: str) -> Presented:
    """What a well-formed key says of itself."""
    found = parse(secret)
    assert found is not None
    return found

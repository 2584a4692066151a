"""A ledger on a real database, and a tenant per test."""

from collections.abc import AsyncIterator

import psycopg
import pytest

from florin.kernel.db import Database
from florin.ledger.service import Ledger
from tests.conftest import AllDatabaseUrls
from tests.ledger.books import Books


@pytest.fixture(scope="module")
async def ledger(database_urls: AllDatabaseUrls) -> AsyncIterator[Ledger]:
    """A ledger as the API's process opens it."""
    async with Database(database_urls.app) as database:
        yield Ledger(database)


def new_tenant(url: str) -> int:
    """A fresh tenant's number."""
    with psycopg.connect(url, autocommit=True) as root:
        row = root.execute(
            "INSERT INTO tenancy.registry (code, live)"
            " VALUES ('L' || upper(substr(md5(random()::text), 1, 12)), true) RETURNING tenant_id"
        ).fetchone()
    assert row is not None
    return int(row[0])


@pytest.fixture
async def books(ledger: Ledger, database_urls: AllDatabaseUrls) -> Books:
    """A tenant of the test's own, without accounts."""
    return Books(ledger, new_tenant(database_urls.root))


@pytest.fixture
async def other_books(ledger: Ledger, database_urls: AllDatabaseUrls) -> Books:
    """Another tenant."""
    return Books(ledger, new_tenant(database_urls.root))

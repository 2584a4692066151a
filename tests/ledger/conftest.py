"""A ledger on a real database, and a tenant per test."""

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass

import psycopg
import pytest

from florin.kernel.db import Database
from florin.ledger.service import Ledger
from tests.ledger.books import Books


@dataclass(frozen=True)
class Urls:
    owner: str
    app: str
    root: str


@pytest.fixture(scope="module")
def database_urls() -> Urls:
    where = "127.0.0.1:5599/" + os.environ["FLORIN_TEST_DATABASE"]
    return Urls(*(f"postgresql://{role}@{where}" for role in ("florin_owner", "florin_app", "root")))


@pytest.fixture(scope="module")
async def ledger(database_urls: Urls) -> AsyncIterator[Ledger]:
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
async def books(ledger: Ledger, database_urls: Urls) -> Books:
    """A tenant of the test's own, without accounts."""
    return Books(ledger, new_tenant(database_urls.root))


@pytest.fixture
async def other_books(ledger: Ledger, database_urls: Urls) -> Books:
    """Another tenant."""
    return Books(ledger, new_tenant(database_urls.root))

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from florin.kernel.clock import now
from florin.kernel.db import Database
from florin.kernel.housekeeping import ensure_partitions, forget_idempotency_keys, kernel_jobs


@pytest.fixture
async def database(database_urls: Any) -> AsyncIterator[Database]:
    async with Database(database_urls.app, size=2) as opened:
        yield opened


async def test_only_missing_partitions_are_made(database: Database, database_urls: Any) -> None:
    assert await ensure_partitions(database) == 0
    with psycopg.connect(database_urls.owner, autocommit=True) as owner:
        found = owner.execute(
            "SELECT max(c.oid::regclass::text) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
            " WHERE i.inhparent = 'kernel.events'::regclass"
        ).fetchone()
        assert found is not None
        owner.execute(f"DROP TABLE {found[0]}".encode())
    assert await ensure_partitions(database) == 1


async def test_only_keys_of_this_tenant_older_than_seven_days_are_forgotten(database: Database) -> None:
    ages = (timedelta(days=6, hours=23), timedelta(days=7, seconds=1), timedelta(days=40))
    for tenant_id in (1, 2):
        async with database.tenant(tenant_id) as connection:
            for age in ages:
                await connection.execute(
                    "INSERT INTO kernel.idempotency_keys (tenant_id, slot, digest, resource_id, created_at)"
                    " VALUES (%s, %s, %s, %s, %s)",
                    (tenant_id, uuid4(), uuid4(), uuid4(), now() - age),
                )
    assert await forget_idempotency_keys(database, 1) == 2
    assert await forget_idempotency_keys(database, 1) == 0
    left = {}
    for tenant_id in (1, 2):
        async with database.tenant(tenant_id) as connection:
            cursor = await connection.execute("SELECT count(*) FROM kernel.idempotency_keys")
            left[tenant_id] = await cursor.fetchone()
    assert left == {1: (1,), 2: (3,)}


def test_the_kernel_wants_partitions_and_retention(database_urls: Any) -> None:
    names = {job.name for job in kernel_jobs(Database(database_urls.app))}
    assert names == {"kernel.partitions", "kernel.idempotency_retention"}

"""A process with sessions, and a user who may sign in."""

from collections.abc import AsyncIterator
from uuid import UUID

import httpx
import pytest

from florin.kernel.db import Database
from florin.tenancy.model import Tenant
from florin.tenancy.service import Tenancy
from tests.access.conftest import counting, database, new_tenant, partner, tenancy, twins
from tests.access.tokens_world import Process, http, new_user, process

__all__ = ["counting", "database", "new_tenant", "partner", "tenancy", "twins"]


@pytest.fixture
def here(database: Database) -> Process:
    return process(database)


@pytest.fixture
async def user_id(database: Database, twins: tuple[Tenant, Tenant]) -> UUID:
    """A viewer of the live twin."""
    return await new_user(database, twins[0].tenant_id, ["viewer"])


@pytest.fixture
async def client(here: Process, tenancy: Tenancy) -> AsyncIterator[httpx.AsyncClient]:
    async with http(here, tenancy) as client:
        yield client

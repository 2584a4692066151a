"""A process with sessions, and a user who may sign in."""

from uuid import UUID

import pytest

from florin.kernel.db import Database
from florin.tenancy.model import Tenant
from tests.access.conftest import counting, database, new_tenant, partner, tenancy, twins
from tests.access.tokens_world import Process, new_user, process

__all__ = ["counting", "database", "new_tenant", "partner", "tenancy", "twins"]


@pytest.fixture
def here(database: Database) -> Process:
    return process(database)


@pytest.fixture
async def user_id(database: Database, twins: tuple[Tenant, Tenant]) -> UUID:
    """A viewer of the live twin."""
    return await new_user(database, twins[0].tenant_id, ["viewer"])

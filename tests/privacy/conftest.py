"""A tenant with one of everything that is sealed, and a ring in a file that can be turned."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Protocol

import pytest

from florin.kernel.crypto import KeyRing
from florin.kernel.db import Database
from florin.kernel.notify import Notifier
from florin.kernel.vault import Vault
from florin.tenancy.model import TenantDetails, TenantType
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
    owner: str
    readonly: str
    root: str


@dataclass(frozen=True)
class House:
    """What the tests of this room work in. The ring's file is the process's own."""

    tenancy: Tenancy
    tenant_id: int
    ring: KeyRing

    @property
    def database(self) -> Database:
        return self.tenancy.database

    @property
    def ring_file(self) -> Path:
        assert self.ring.file is not None
        return self.ring.file


@pytest.fixture
async def database(database_urls: Urls) -> AsyncIterator[Database]:
    async with Database(database_urls.app) as opened:
        yield opened


@pytest.fixture
async def house(database: Database, tmp_path: Path) -> House:
    """A tenant that nobody else has."""
    ring = KeyRing.from_file(tmp_path / "key_ring")
    tenancy = Tenancy(database, Notifier(database), ring, Vault(database, ring))
    live, _ = await create_tenant(tenancy, f"P{next(_numbers)}", DETAILS)
    return House(tenancy, live.tenant_id, ring)

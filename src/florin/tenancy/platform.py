"""Tenants as the tenant PLATFORM sees them: both twins of each."""

from dataclasses import dataclass

from florin.kernel.db import Connection, set_tenant
from florin.tenancy import store
from florin.tenancy.errors import TenantNotFound
from florin.tenancy.model import PLATFORM, Tenant, TenantDetails, TenantType
from florin.tenancy.service import Tenancy, create_tenant


@dataclass(frozen=True, slots=True)
class Twins:
    """A tenant's live and test twin; None: registered and never furnished."""

    code: str
    live: Tenant | None
    test: Tenant | None


async def list_twins(tenancy: Tenancy, *, after: str | None = None, count: int = 100) -> list[Twins]:
    """Up to `count` tenants in order of their codes, each twin read in its own context."""
    async with tenancy.database.platform() as connection:
        codes = await store.registered(connection, after, count)
        return [await _twins(connection, code) for code in codes]


async def get_twins(tenancy: Tenancy, code: str) -> Twins:
    """One tenant. Raises TenantNotFound."""
    async with tenancy.database.platform() as connection:
        found = await _twins(connection, code)
    if found.live is None and found.test is None:
        raise TenantNotFound
    return found


async def ensure_platform(tenancy: Tenancy, contact_email: str) -> tuple[Twins, bool]:
    """The tenant PLATFORM, made unless it is there. True: it was made now."""
    async with tenancy.database.platform() as connection:
        found = await _twins(connection, PLATFORM)
    if found.live is not None:
        return found, False
    details = TenantDetails(
        name="Platform",
        type=TenantType.FINTECH,
        contact_email=contact_email,
        country="US",
        timezone="UTC",
        currency="USD",
    )
    return Twins(PLATFORM, *await create_tenant(tenancy, PLATFORM, details)), True


async def _twins(connection: Connection, code: str) -> Twins:
    by_mode: dict[bool, Tenant | None] = {}
    for tenant_id, _, live in await store.registry(connection, code):
        await connection.execute(set_tenant(tenant_id))
        by_mode[live] = await store.tenant(connection, tenant_id)
    return Twins(code, by_mode.get(True), by_mode.get(False))

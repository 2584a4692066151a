"""What all calls of a partner, and of a tenant, may be together."""

from uuid import UUID

from florin.access.model import Limits
from florin.access.store import CEILINGS
from florin.kernel.coalescer import Coalescer
from florin.kernel.db import Database


class Ceilings:
    """Looks ceilings up, for all who ask at once together."""

    def __init__(self, database: Database, tenants: Limits) -> None:
        """`tenants`: those of a tenant that has none of its own, period by period."""
        self._find: Coalescer[UUID | None, tuple[Limits, Limits]] = Coalescer(database, CEILINGS)
        self._tenants = tenants

    async def of(self, tenant_id: int, partner_id: UUID | None) -> tuple[Limits, Limits]:
        """The partner's and the tenant's. Raises Unavailable."""
        partner, tenant = await self._find.call(tenant_id, partner_id)
        return partner, Limits(
            tenant.per_minute or self._tenants.per_minute,
            tenant.per_hour or self._tenants.per_hour,
            tenant.per_day or self._tenants.per_day,
        )

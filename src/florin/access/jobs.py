"""Background work of access."""

from datetime import timedelta

from florin.access import store
from florin.access.limits import NOBODY
from florin.access.service import Access
from florin.kernel.clock import now
from florin.tenancy import store as tenancy_store

_SLACK = timedelta(hours=1)


async def forget_windows(access: Access) -> int:
    """Deletes rate windows that are over: tenant by tenant, and those of addresses. How many. Run it hourly.

    An hour late: a process whose clock is behind must not find an old window empty again.
    """
    before = now() - _SLACK
    async with access.database.platform() as connection:
        registered = await tenancy_store.registry(connection)
    gone = 0
    for tenant_id in (NOBODY, *(tenant_id for tenant_id, _, _ in registered)):
        async with access.database.tenant(tenant_id) as connection:
            gone += await store.forget_windows(connection, tenant_id, before)
    return gone

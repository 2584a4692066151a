"""What can be asked of monitors, one function per use case.

The events are written by `ledger.tell_monitors`, inside whatever posts. What changes here is changed under
the lock of the account: every posting comes wholly before it or wholly after it, so that from the
moment a call returns no crossing is missed and none is told twice.
"""

from uuid import UUID

from florin.kernel import clock
from florin.kernel.db import Connection
from florin.kernel.ids import new_id
from florin.kernel.provenance import Provenance
from florin.ledger.errors import AccountClosed, AccountNotFound
from florin.ledger.model import AccountStatus
from florin.ledger.monitors import store
from florin.ledger.monitors.errors import MonitorNotFound, TooManyMonitors
from florin.ledger.monitors.model import MAX_ACTIVE, Monitor, NewMonitor
from florin.ledger.service import Ledger
from florin.ledger.store import lock_account


async def create_monitor(ledger: Ledger, tenant_id: int, new: NewMonitor, by: Provenance) -> Monitor:
    """Watches a condition from now on; the answer says whether it holds already. Locks the account.

    Raises:
        AccountNotFound, AccountClosed, TooManyMonitors
    """
    monitor_id = new_id()
    async with ledger.database.tenant(tenant_id, by=by) as connection:
        status = await lock_account(connection, tenant_id, new.account_id)
        if status is None:
            raise AccountNotFound(param="account")
        if status is AccountStatus.CLOSED:
            raise AccountClosed(param="account")
        await _refuse_one_too_many(connection, tenant_id, new.account_id)
        await store.insert_monitor(connection, tenant_id, monitor_id, new, clock.now())
        await store.mark_account(connection, tenant_id, new.account_id)
        (made,) = await store.monitors(connection, tenant_id, limit=1, monitor_id=monitor_id)
    return made


async def change_monitor(
    ledger: Ledger,
    tenant_id: int,
    monitor_id: UUID,
    by: Provenance,
    *,
    name: str | None = None,
    threshold_minor: int | None = None,
    active: bool | None = None,
) -> Monitor:
    """Changes what is given, and says how the condition stands after it. Locks the account.

    A change is nobody's posting and writes no event: what holds from here on is in the answer.

    Raises:
        MonitorNotFound, TooManyMonitors
    """
    async with ledger.database.tenant(tenant_id, by=by) as connection:
        account_id = await store.account_of(connection, tenant_id, monitor_id)
        if account_id is None:
            raise MonitorNotFound
        await lock_account(connection, tenant_id, account_id)
        (before,) = await store.monitors(connection, tenant_id, limit=1, monitor_id=monitor_id)
        if active and not before.active:
            await _refuse_one_too_many(connection, tenant_id, account_id)
        await store.update_monitor(
            connection, tenant_id, monitor_id, name=name, threshold_minor=threshold_minor, active=active
        )
        await store.mark_account(connection, tenant_id, account_id)
        (changed,) = await store.monitors(connection, tenant_id, limit=1, monitor_id=monitor_id)
    return changed


async def _refuse_one_too_many(connection: Connection, tenant_id: int, account_id: UUID) -> None:
    if await store.active_count(connection, tenant_id, account_id) >= MAX_ACTIVE:
        raise TooManyMonitors(f"{MAX_ACTIVE} monitors look at this account already")


async def monitor(ledger: Ledger, tenant_id: int, monitor_id: UUID) -> Monitor:
    """The monitor. Raises MonitorNotFound."""
    async with ledger.database.tenant(tenant_id) as connection:
        found = await store.monitors(connection, tenant_id, limit=1, monitor_id=monitor_id)
    if not found:
        raise MonitorNotFound
    return found[0]


async def monitors(
    ledger: Ledger,
    tenant_id: int,
    *,
    limit: int,
    account_id: UUID | None = None,
    active: bool | None = None,
    starting_after: UUID | None = None,
) -> list[Monitor]:
    """Monitors, newest first."""
    async with ledger.database.tenant(tenant_id) as connection:
        return await store.monitors(
            connection,
            tenant_id,
            limit=limit,
            account_id=account_id,
            active=active,
            starting_after=starting_after,
        )

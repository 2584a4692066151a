"""The background process: events to webhooks, and what is done again and again."""

import asyncio

from florin.access.jobs import forget_windows
from florin.access.service import Access, tell_endings
from florin.access.sessions.service import Sessions, end_expired
from florin.access.signin.jobs import forget as forget_sign_ins
from florin.access.signing.service import SigningKeys, rotate_if_due
from florin.app.processes import stop_with_parent
from florin.app.rooms import open_rooms
from florin.app.upkeep import Upkeep
from florin.kernel.crypto import KeyRing
from florin.kernel.db import Database
from florin.kernel.housekeeping import ensure_partitions, kernel_jobs
from florin.kernel.http.call import Rooms
from florin.kernel.jobs import Job, Jobs, Periodic, PerTenant, Tenants, every
from florin.kernel.notify import Listener, Notifier
from florin.kernel.settings import Settings
from florin.ledger.archive.service import archive_due
from florin.ledger.clearing.service import tell_overdue
from florin.ledger.seals.service import Seals
from florin.ledger.service import Ledger, expire_holds
from florin.payments.recovery import recover
from florin.payments.room import Payments
from florin.privacy.jobs import privacy_jobs
from florin.privacy.room import Privacy
from florin.tenancy.jobs import measure_usage
from florin.tenancy.service import Tenancy
from florin.webhooks import store as webhook_store
from florin.webhooks.delivery import Deliverer
from florin.webhooks.service import Webhooks
from florin.webhooks.worker import run_worker


def jobs_of(rooms: Rooms, tenants: Tenants) -> list[Job]:
    """Every periodic job of every room."""
    ledger, payments, sessions = rooms[Ledger], rooms[Payments], rooms[Sessions]
    upkeep = Upkeep(ledger, rooms[Seals], tenants)
    return [
        *kernel_jobs(rooms[Database]),
        PerTenant("payments.recover", every(5), lambda tenant_id: recover(payments, tenant_id), urgent=True),
        PerTenant(
            "ledger.expire_holds", every(10), lambda tenant_id: expire_holds(ledger, tenant_id), urgent=True
        ),
        PerTenant("ledger.tell_overdue", every(3600), lambda tenant_id: tell_overdue(ledger, tenant_id)),
        Periodic("ledger.upkeep", every(5), upkeep.run),
        Periodic(
            "ledger.archive",
            "20 2 * * *",
            lambda: archive_due(rooms[Database], rooms[Settings].ledger_months_kept),
        ),
        Periodic("tenancy.usage", every(3600), lambda: measure_usage(rooms[Tenancy])),
        *privacy_jobs(rooms[Privacy], rooms[KeyRing]),
        Periodic("access.rate_windows", every(3600), lambda: forget_windows(rooms[Access])),
        PerTenant(
            "access.tell_endings", every(3600), lambda tenant_id: tell_endings(rooms[Access], tenant_id)
        ),
        Periodic("access.signing_keys", every(3600), lambda: rotate_if_due(rooms[SigningKeys])),
        PerTenant("access.sessions", "50 3 * * *", lambda tenant_id: end_expired(sessions, tenant_id)),
        PerTenant(
            "access.sign_ins", every(3600), lambda tenant_id: forget_sign_ins(rooms[Database], tenant_id)
        ),
    ]


async def work_in_background(settings: Settings) -> None:
    """Works until the parent says stop, through restarts of the database."""
    assert settings.app_database_url is not None, "florin run passes the database on"
    url = settings.app_database_url.get_secret_value()
    stop = asyncio.Event()
    stop_with_parent(stop)
    async with open_rooms(settings, url) as rooms:
        database = rooms[Database]
        await ensure_partitions(database)  # a platform that slept for months wakes with room to write

        async def tenants() -> list[int]:
            return list(await webhook_store.tenants(database))

        deliverer = Deliverer(database, rooms[KeyRing], rooms[Webhooks].confinement, tenants=tenants)
        jobs = Jobs(url, tenants, jobs_of(rooms, tenants))
        working = asyncio.create_task(run_worker(deliverer, jobs, rooms[Listener], rooms[Notifier]))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        working.cancel()
        stopping.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)
        if not stop.is_set():
            working.result()  # it ended by itself: say why, and let the parent start another

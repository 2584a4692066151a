"""Background work of access."""

from florin.access.jobs import forget_windows
from florin.access.service import Access
from florin.kernel.db import Database
from florin.tenancy.model import Tenant

from .conftest import Clock
from .test_limits import holder

Twins = tuple[Tenant, Tenant]


async def test_windows_that_are_over_are_deleted_an_hour_late(
    access: Access, twins: Twins, database: Database
) -> None:
    past = Clock()
    past.at -= 3 * 3600
    key = await holder(access, twins, 5, 5)
    await Access(database, access.notifier, clock=past).admit(key)
    await Access(database, access.notifier).admit(key)
    assert await forget_windows(access) == 2
    assert await forget_windows(access) == 0


async def test_windows_of_addresses_are_deleted_too(access: Access, database: Database) -> None:
    past = Clock()
    past.at -= 2 * 86_400
    for room in (Access(database, access.notifier, clock=past), Access(database, access.notifier)):
        await room.admit_stranger("198.51.100.99")
    assert await forget_windows(access) == 3, "a minute, an hour and a day of the past"
    assert await forget_windows(access) == 0

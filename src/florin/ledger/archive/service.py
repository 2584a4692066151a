"""Moves months past their retention out of the way of postings.

A move needs the tables for itself for some milliseconds. It waits for them half a second at most, because
everybody else waits behind it, and then lets the others go first.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import date
from random import uniform
from typing import Final, TypeVar

from psycopg.errors import InvalidParameterValue, LockNotAvailable

from florin.kernel.db import Connection, Database
from florin.kernel.errors import Unavailable
from florin.ledger.archive import store
from florin.ledger.errors import ArchiveBusy, MonthNotArchivable

PATIENCE_S: Final = 60.0

Answer = TypeVar("Answer")


async def archivable_months(database: Database, keep: int) -> list[date]:
    """Months that are due where `keep` whole months before the present one stay, oldest first."""
    async with database.platform() as connection:
        return await store.archivable_months(connection, keep)


async def archive_month(database: Database, month: date, *, patience_s: float = PATIENCE_S) -> list[str]:
    """Moves a month's transfers and entries to the archive tables; which partitions moved.

    Both or neither, and once: called again it moves nothing. Reads find the month as before.

    Raises:
        MonthNotArchivable: it is no first of a month, or not before the previous one.
        ArchiveBusy: the tables could not be had in time.
    """
    deadline = asyncio.get_running_loop().time() + patience_s
    while not await _patiently(database, deadline, lambda c: store.prepare_archive(c, month)):
        pass  # each step is a transaction of its own
    return await _patiently(database, deadline, lambda c: store.archive_month(c, month))


async def archive_due(database: Database, keep: int) -> list[date]:
    """Archives every month that is due; for a job, daily. `keep` 0: nothing ever is.

    Raises:
        ArchiveBusy
    """
    if keep == 0:
        return []
    months = await archivable_months(database, keep)
    for month in months:
        await archive_month(database, month)
    return months


async def _patiently(
    database: Database, deadline: float, step: Callable[[Connection], Awaitable[Answer]]
) -> Answer:
    while True:
        try:
            async with database.platform() as connection:
                return await step(connection)
        except InvalidParameterValue as error:
            raise MonthNotArchivable(error.diag.message_primary, param="month") from None
        except Unavailable as error:
            if not isinstance(error.__cause__, LockNotAvailable):
                raise
            if asyncio.get_running_loop().time() > deadline:
                raise ArchiveBusy from error
        await asyncio.sleep(uniform(0.5, 2))  # noqa: S311 - jitter, not a secret

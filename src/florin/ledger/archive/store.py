"""The only caller of `queries.sql`. A transaction of the platform's: partitions have no tenant."""

from datetime import date
from pathlib import Path
from typing import Any

import aiosql

from florin.kernel.db import Connection

_queries: Any = aiosql.from_path(Path(__file__).with_name("queries.sql"), "apsycopg")


async def archivable_months(connection: Connection, keep: int) -> list[date]:
    """Months that are due where `keep` whole months before the present one stay, oldest first."""
    return [month async for (month,) in _queries.archivable_months(connection, keep=keep)]


async def prepare_archive(connection: Connection, month: date) -> bool:
    """Takes a step towards the move; whether none is left. Raises LockNotAvailable, InvalidParameterValue."""
    return bool(await _queries.prepare_archive(connection, month=month) == "ready")


async def archive_month(connection: Connection, month: date) -> list[str]:
    """Moves the month; the tables that moved. Raises LockNotAvailable, InvalidParameterValue."""
    moved: list[str] = await _queries.archive_month(connection, month=month)
    return moved

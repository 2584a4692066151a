"""Background work of signing in."""

from datetime import timedelta
from typing import Final

from florin.access.signin import store
from florin.access.signin.policy import FORGOTTEN_AFTER
from florin.kernel.clock import now
from florin.kernel.db import Database

_COUNTED_FOR: Final = FORGOTTEN_AFTER + timedelta(hours=1)
_ENDED_FOR: Final = timedelta(days=30)
"""Codes and challenges are kept so long after their end: somebody may ask whether one was sent."""


async def forget(database: Database, tenant_id: int) -> int:
    """Deletes failures that count no more, and codes and challenges that are long over. Returns how many."""
    at = now()
    async with database.tenant(tenant_id) as connection:
        return await store.forget(
            connection, tenant_id, counted_before=at - _COUNTED_FOR, ended_before=at - _ENDED_FOR
        )

"""What can be done with shared limits, one function per use case."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from psycopg.errors import CheckViolation, UniqueViolation

from florin.kernel import clock
from florin.kernel.ids import new_id
from florin.kernel.provenance import Provenance
from florin.ledger import service
from florin.ledger.errors import BoundsOutOfOrder, CurrencyUnknown, LimitNotFound
from florin.ledger.limits import store
from florin.ledger.limits.errors import LimitNameTaken
from florin.ledger.limits.model import LimitMismatch, NewLimit, SharedLimit
from florin.ledger.model import Account
from florin.ledger.service import Ledger
from florin.ledger.store import UNSET


async def create_limit(
    ledger: Ledger, tenant_id: int, new: NewLimit, *, by: Provenance | None = None
) -> SharedLimit:
    """Makes a limit without members.

    Raises:
        LimitNameTaken, CurrencyUnknown, BoundsOutOfOrder
    """
    limit_id = new_id()
    try:
        async with ledger.database.tenant(tenant_id, by=by) as connection:
            if not await store.insert_limit(connection, tenant_id, limit_id, new, clock.now()):
                raise CurrencyUnknown(
                    f"{new.currency} is not a currency of ISO 4217 with a minor unit", param="currency"
                )
            [made] = await store.limits(connection, tenant_id, limit=1, limit_id=limit_id)
    except UniqueViolation:
        raise LimitNameTaken(f"another limit has the name {new.name}", param="name") from None
    except CheckViolation:
        raise BoundsOutOfOrder(param="min_balance") from None
    return made


async def limit(ledger: Ledger, tenant_id: int, limit_id: UUID) -> SharedLimit:
    """The limit with its running sums. Raises LimitNotFound."""
    async with ledger.database.tenant(tenant_id) as connection:
        found = await store.limits(connection, tenant_id, limit=1, limit_id=limit_id)
    if not found:
        raise LimitNotFound
    return found[0]


async def limits(
    ledger: Ledger, tenant_id: int, *, limit: int, starting_after: UUID | None = None
) -> list[SharedLimit]:
    """Limits, newest first."""
    async with ledger.database.tenant(tenant_id) as connection:
        return await store.limits(connection, tenant_id, limit=limit, starting_after=starting_after)


async def change_limit(
    ledger: Ledger,
    tenant_id: int,
    limit_id: UUID,
    *,
    name: str | None = None,
    min_balance_minor: Any = UNSET,
    max_balance_minor: Any = UNSET,
    by: Provenance | None = None,
) -> SharedLimit:
    """Changes what is given; for a bound, None removes it. Locks the limit, and so its members' postings.

    Raises:
        LimitNotFound, LimitNameTaken, BoundsOutOfOrder
    """
    try:
        async with ledger.database.tenant(tenant_id, by=by) as connection:
            if not await store.lock_limit(connection, tenant_id, limit_id):
                raise LimitNotFound
            await store.update_limit(
                connection,
                tenant_id,
                limit_id,
                name=name,
                min_balance_minor=min_balance_minor,
                max_balance_minor=max_balance_minor,
            )
            [changed] = await store.limits(connection, tenant_id, limit=1, limit_id=limit_id)
    except UniqueViolation:
        raise LimitNameTaken(f"another limit has the name {name}", param="name") from None
    except CheckViolation:
        raise BoundsOutOfOrder(param="min_balance") from None
    return changed


async def share(
    ledger: Ledger,
    tenant_id: int,
    account_ids: Sequence[UUID],
    limit_id: UUID | None,
    *,
    by: Provenance | None = None,
) -> None:
    """Lets accounts share the limit, all or none of them; with None they share no limit any more.

    Raises:
        AccountNotFound, LimitNotFound, LimitCurrencyMismatch, LimitSideMismatch
    """
    async with ledger.database.tenant(tenant_id, by=by) as connection:
        await service.share_limit(connection, tenant_id, list(account_ids), limit_id, param="limit")


async def members(
    ledger: Ledger, tenant_id: int, limit_id: UUID, *, limit: int, starting_after: UUID | None = None
) -> list[Account]:
    """The accounts that share the limit, newest first."""
    return await service.accounts(
        ledger, tenant_id, limit=limit, starting_after=starting_after, limit_id=limit_id
    )


async def mismatches(ledger: Ledger, tenant_id: int) -> list[LimitMismatch]:
    """Limits whose running sums are not those of their members: none, or the books are wrong."""
    async with ledger.database.tenant(tenant_id) as connection:
        return await store.limit_sums(connection, tenant_id)

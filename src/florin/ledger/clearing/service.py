"""What can be asked of clearing accounts, one function per use case."""

from datetime import datetime
from itertools import islice
from uuid import UUID

from florin.kernel.ids import uuid_of
from florin.kernel.provenance import Provenance
from florin.ledger.clearing import store
from florin.ledger.clearing.errors import NotAClearingAccount
from florin.ledger.clearing.model import (
    MAX_TRAIL,
    ClearingAccount,
    Item,
    Trail,
    TrailEvent,
    TrailTransfer,
)
from florin.ledger.errors import TransferNotFound
from florin.ledger.service import Ledger


async def clearing_accounts(
    ledger: Ledger,
    tenant_id: int,
    *,
    limit: int,
    at: datetime | None = None,
    starting_after: UUID | None = None,
) -> list[ClearingAccount]:
    """Accounts that are to return to zero, as they stood at an instant of recording; newest first."""
    async with ledger.database.tenant(tenant_id) as connection:
        return await store.accounts(connection, tenant_id, at=at, limit=limit, starting_after=starting_after)


async def clearing_account(
    ledger: Ledger, tenant_id: int, account_id: UUID, *, at: datetime | None = None
) -> ClearingAccount:
    """One of them. Raises NotAClearingAccount."""
    async with ledger.database.tenant(tenant_id) as connection:
        found = await store.accounts(connection, tenant_id, at=at, limit=1, account_id=account_id)
    if not found:
        raise NotAClearingAccount
    return found[0]


async def open_items(
    ledger: Ledger,
    tenant_id: int,
    account_id: UUID,
    *,
    limit: int,
    at: datetime | None = None,
    overdue: bool | None = None,
    starting_after: UUID | None = None,
) -> list[Item]:
    """What had not cleared on the account at an instant of recording, oldest first.

    Args:
        at: ages are taken here too; in the future, how old today's items will be then.
        overdue: only those that are, or are not.
        starting_after: the transfer that opened the last item of the page before.

    Raises:
        NotAClearingAccount
    """
    async with ledger.database.tenant(tenant_id) as connection:
        rule = await store.rule(connection, tenant_id, account_id)
        if rule is None:
            raise NotAClearingAccount
        return await store.items(
            connection,
            tenant_id,
            account_id,
            clears_within=rule[0],
            match_by=rule[1],
            at=at,
            limit=limit,
            overdue=overdue,
            starting_after=starting_after,
        )


async def trail(ledger: Ledger, tenant_id: int, account_id: UUID, transfer_id: UUID) -> Trail:
    """From a transfer on a clearing account back to what left its amount there, and on to what cleared it.

    Everything with the same correlation id, what that reverses or came from, its reversals, and the
    events about whatever of ours the correlation and causation ids name (a payment, an event).

    Raises:
        NotAClearingAccount
        TransferNotFound: there is none, or it has nothing to do with this account.
    """
    async with ledger.database.tenant(tenant_id) as connection:
        rule = await store.rule(connection, tenant_id, account_id)
        if rule is None:
            raise NotAClearingAccount
        row = await store.touches(connection, tenant_id, account_id, transfer_id)
        if row is None:
            raise TransferNotFound
        item = await store.item_of(
            connection,
            tenant_id,
            account_id,
            transfer_id,
            row[0],
            clears_within=rule[0],
            match_by=rule[1],
        )
        transfers = await store.trail_transfers(
            connection, tenant_id, account_id, transfer_id, row[0], MAX_TRAIL + 1
        )
        names = {name for one in transfers for name in (one.correlation_id, one.causation_id) if name}
        objects = [found for name in names if (found := uuid_of(name)) is not None]
        events = await store.trail_events(
            connection,
            tenant_id,
            objects,
            [found for name in names if name.startswith("evt_") and (found := uuid_of(name)) is not None],
            MAX_TRAIL + 1,
        )
    return Trail(
        item=item,
        steps=tuple(sorted([*islice(transfers, MAX_TRAIL), *islice(events, MAX_TRAIL)], key=_when)),
        complete=len(transfers) <= MAX_TRAIL and len(events) <= MAX_TRAIL,
    )


def _when(step: TrailTransfer | TrailEvent) -> datetime:
    return step.recorded_at if isinstance(step, TrailTransfer) else step.occurred_at


async def tell_overdue(ledger: Ledger, tenant_id: int) -> int:
    """Writes `clearing.overdue` for every item that has become so, once each; how many. For a job.

    A transaction per account: what an interrupted run has told stays told, and the next one goes on.
    """
    by = Provenance(actor="job:ledger.tell_overdue")
    async with ledger.database.tenant(tenant_id) as connection:
        accounts = await store.account_ids(connection, tenant_id)
    told = 0
    for account_id in accounts:
        async with ledger.database.tenant(tenant_id, by=by) as connection:
            told += await store.tell_overdue(connection, tenant_id, account_id)
    return told

"""The books made anew from the log, to be compared with those that are there, or put in their place.

The log and its entries are never written. What is: where each account stands, the sums of shared
limits, and the projections, which their own job then makes anew.
"""

from collections.abc import Callable
from typing import Final, NamedTuple
from uuid import UUID

from florin.kernel.db import Connection
from florin.ledger.proof import store
from florin.ledger.proof.model import Fault
from florin.ledger.proof.plan import HIGHEST, LOWEST
from florin.ledger.proof.service import GRACE, complete_before
from florin.ledger.proof.verify import OF_ACCOUNTS, snapshot
from florin.ledger.service import Ledger

_TRANSFERS_EACH: Final = 50_000

_ACCOUNTS_RULES: Final = tuple(rule for rule in OF_ACCOUNTS if rule != "accounts_at_last_entry")
_BOOKS_RULES: Final = ("holds_fold", "limits_add_up")
_LOG_RULES: Final = ("legs_have_entries", "reversals_recorded", "reversals_add_up")

Report = Callable[[int], None]
"""Hears how many transfers have been added up, each time that some more have."""


class Rebuilt(NamedTuple):
    """What a rebuild has put in its place."""

    accounts: list[UUID]
    limits: list[UUID]
    projected: list[UUID]
    """Accounts whose snapshots, dated totals and open items are made anew by their job."""


async def compare(
    ledger: Ledger,
    tenant_id: int,
    *,
    transfers_each: int = _TRANSFERS_EACH,
    report: Report = lambda _transfers: None,
) -> list[Fault]:
    """Makes the books anew from the log and says where those that are there differ.

    What was added up before an interruption is not added up again. Nobody is kept from posting until
    the end, when what has come meanwhile is added up and compared in one transaction.

    Raises:
        Unavailable: the server is away; call again to go on.
    """
    await _add_up(ledger, tenant_id, transfers_each, report)
    async with ledger.database.tenant(tenant_id) as connection:
        await store.shut(connection, tenant_id)
        found = await _add_up_rest(connection, tenant_id)
        found += await store.rebuilt_differently(connection, tenant_id)
        await store.forget_rebuild(connection, tenant_id)
    async with snapshot(ledger, tenant_id) as connection:
        for rule in _ACCOUNTS_RULES:
            found += await store.faults_of(
                connection, rule, tenant_id, from_account=LOWEST, to_account=HIGHEST
            )
        for rule in _BOOKS_RULES:
            found += await store.faults_of(connection, rule, tenant_id)
    return list(dict.fromkeys(found))


async def write(
    ledger: Ledger,
    tenant_id: int,
    *,
    transfers_each: int = _TRANSFERS_EACH,
    report: Report = lambda _transfers: None,
) -> Rebuilt:
    """Makes the books anew from the log and puts what differs in place; nobody posts in the last step.

    Raises:
        Unavailable: the server is away; nothing was put in place unless the commit itself was cut off.
        CheckViolation: where the log leaves an account breaks a rule of its row (closed, yet not empty).
    """
    await _add_up(ledger, tenant_id, transfers_each, report)
    async with ledger.database.tenant(tenant_id) as connection:
        await store.shut(connection, tenant_id)
        await _add_up_rest(connection, tenant_id)
        accounts = await store.write_accounts(connection, tenant_id)
        limits = await store.write_limits(connection, tenant_id)
        await store.forget_rebuild(connection, tenant_id)
    projected: set[UUID] = set()
    while wrong := await _wrongly_projected(ledger, tenant_id):
        async with ledger.database.tenant(tenant_id) as connection:
            await store.drop_projections(connection, tenant_id, sorted(wrong))
        projected |= wrong
    return Rebuilt(accounts, limits, sorted(projected))


async def _wrongly_projected(ledger: Ledger, tenant_id: int) -> set[UUID]:
    async with snapshot(ledger, tenant_id) as connection:
        return {
            fault.account_id
            for rule in _ACCOUNTS_RULES
            for fault in await store.faults_of(
                connection, rule, tenant_id, from_account=LOWEST, to_account=HIGHEST
            )
            if fault.account_id is not None
        }


async def _add_up(ledger: Ledger, tenant_id: int, transfers_each: int, report: Report) -> None:
    """Adds up range by range, each in a transaction of its own, up to the mark."""
    mark = await complete_before(ledger, tenant_id, GRACE) or LOWEST
    async with ledger.database.tenant(tenant_id) as connection:
        if await store.rebuilt_before(connection, tenant_id) is None:
            await store.begin_rebuild(connection, tenant_id)
    while True:
        async with ledger.database.tenant(tenant_id) as connection:
            from_id = await store.lock_rebuild(connection, tenant_id)
            if from_id >= mark:
                return
            to_id = await store.skip_transfers(connection, tenant_id, from_id, transfers_each)
            to_id = mark if to_id is None else min(to_id, mark)
            await _add_up_range(connection, tenant_id, from_id, to_id)
            transfers, _ = await store.count_legs(connection, tenant_id, from_id, to_id)
        report(transfers)


async def _add_up_rest(connection: Connection, tenant_id: int) -> list[Fault]:
    """Adds up what lies behind the mark; all faults of the log. The caller has shut the books."""
    from_id = await store.lock_rebuild(connection, tenant_id)
    await _add_up_range(connection, tenant_id, from_id, HIGHEST)
    return await store.faults_of_rebuild(connection, tenant_id)


async def _add_up_range(connection: Connection, tenant_id: int, from_id: UUID, to_id: UUID) -> None:
    found = [
        fault
        for rule in _LOG_RULES
        for fault in await store.faults_of(connection, rule, tenant_id, from_id=from_id, to_id=to_id)
    ]
    await store.rebuild_range(connection, tenant_id, from_id, to_id, found)

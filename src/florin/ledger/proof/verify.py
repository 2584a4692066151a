"""The whole books verified: every rule, over everything, while posting goes on.

Each piece is judged in a snapshot of its own, so no transaction is long. Two pieces at a time; the
server does the work, and what is kept here are a few numbers per piece.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

from florin.kernel.db import Connection
from florin.ledger.proof import store
from florin.ledger.proof.model import AccountRange, Fault
from florin.ledger.proof.plan import LOWEST, MAX_SEQ, Plan, ranges_of_accounts
from florin.ledger.proof.service import complete_before
from florin.ledger.service import Ledger

OF_THE_LOG: Final = ("transfers_shaped", "reversals_recorded", "reversals_add_up")
"""Asked of every range of the log; what else is asked of it shows in the sums first."""

OF_ACCOUNTS: Final = ("accounts_at_last_entry", "snapshots_match", "dated_totals_match", "open_items_match")
"""Asked of every range of accounts."""

OF_THE_BOOKS: Final = (
    "holds_fold",
    "holds_are_pending",
    "limits_add_up",
    "limits_fit_members",
    "closed_at_zero",
    "monitored_where_marked",
    "trial_balance_is_zero",
    "audit_chained",
    "periods_audited",
    "templates_audited",
)
"""Asked once."""

Verifier = Callable[[Ledger, int], AsyncIterator[object]]
"""What else verifies some books: it yields a Fault where it finds one, and anything else as it goes on."""

Report = Callable[[Plan, str], None]
"""Hears what is going on: the plan as it stands, and what is being done."""

_GRACE: Final = timedelta(seconds=30)
_TRANSFERS_EACH: Final = 50_000
_ENTRIES_EACH: Final = 200_000
_ACCOUNTS_AT_A_TIME: Final = 10_000
_AT_ONCE: Final = 2


@asynccontextmanager
async def snapshot(ledger: Ledger, tenant_id: int) -> AsyncIterator[Connection]:
    """A transaction that sees one moment of the books, with memory to sort and hash a piece in."""
    async with ledger.database.snapshot(tenant_id) as connection:
        await connection.execute("SET LOCAL work_mem = '32MB'")
        # The pieces keep the cores busy; a plan that is compiled or forks for one piece only costs.
        await connection.execute("SET LOCAL max_parallel_workers_per_gather = 0")
        await connection.execute("SET LOCAL jit = off")
        yield connection


async def plan_verification(
    ledger: Ledger,
    tenant_id: int,
    *,
    grace: timedelta = _GRACE,
    transfers_each: int = _TRANSFERS_EACH,
    entries_each: int = _ENTRIES_EACH,
) -> Plan:
    """Cuts the books into pieces. `grace`: how old a transfer must be to be final (ledger.advance)."""
    mark = await complete_before(ledger, tenant_id, grace) or LOWEST
    async with snapshot(ledger, tenant_id) as connection:
        bounds = [LOWEST]
        while bounds[-1] < mark:
            following = await store.skip_transfers(connection, tenant_id, bounds[-1], transfers_each)
            bounds.append(mark if following is None else min(following, mark))
        accounts: list[tuple[UUID, int]] = []
        while page := await store.accounts_after(
            connection, tenant_id, accounts[-1][0] if accounts else LOWEST, _ACCOUNTS_AT_A_TIME
        ):
            accounts += page
    return Plan(
        tenant_id=tenant_id,
        bounds=bounds,
        accounts=ranges_of_accounts(accounts, entries_each),
        entries_expected=sum(entries for _, entries in accounts),
    )


async def verify(
    ledger: Ledger,
    plan: Plan,
    *,
    report: Report = lambda _plan, _text: None,
    keep: Path | None = None,
    also: Sequence[Verifier] = (),
) -> list[Fault]:
    """Does what is left of the plan; returns the faults of all of it, at most a hundred per rule and piece.

    Args:
        keep: a file that the plan is written to after every piece, so that it can go on from there.
        also: what else verifies these books.

    Raises:
        Unavailable: the server is away; the plan keeps what is done.
    """
    work = deque[tuple[str, int]]()
    work.extend(("log", part) for part in range(1, len(plan.bounds) + 1) if part not in plan.legs_done)
    work.extend(("accounts", n) for n in range(len(plan.accounts)) if n not in plan.entries_done)

    async def worker() -> None:
        while work:
            kind, number = work.popleft()
            async with snapshot(ledger, plan.tenant_id) as connection:
                if kind == "log":
                    await _verify_log(connection, plan, number)
                else:
                    await _verify_accounts(connection, plan, number)
            if keep is not None:
                plan.save(keep)
            report(plan, "log against entries")

    workers = [asyncio.create_task(worker()) for _ in range(_AT_ONCE)]
    try:
        await asyncio.gather(*workers)
    finally:
        for task in workers:
            task.cancel()
        await asyncio.gather(*workers, return_exceptions=True)

    found = list(plan.faults)
    for part in plan.unequal():
        report(plan, "a difference, row by row")
        async with snapshot(ledger, plan.tenant_id) as connection:
            found += await _compare(connection, plan.tenant_id, *plan.range_of(part))
    for rule in OF_THE_BOOKS:
        report(plan, rule.replace("_", " "))
        async with snapshot(ledger, plan.tenant_id) as connection:
            found += await store.faults_of(connection, rule, plan.tenant_id)
    for verifier in also:
        report(plan, "seals")
        async for one in verifier(ledger, plan.tenant_id):
            if isinstance(one, Fault):
                found.append(one)
            report(plan, "seals")
    return list(dict.fromkeys(found))


async def _verify_log(connection: Connection, plan: Plan, part: int) -> None:
    from_id, to_id = plan.range_of(part)
    seen = await store.sum_of_legs(connection, plan.tenant_id, from_id, to_id)
    rules = OF_THE_LOG if seen.balanced else ("legs_balance", *OF_THE_LOG)
    for rule in rules:
        plan.faults += await store.faults_of(connection, rule, plan.tenant_id, from_id=from_id, to_id=to_id)
    if part == len(plan.bounds):
        # Not final: entries of the same moment are compared one by one.
        plan.faults += await _compare(connection, plan.tenant_id, from_id, to_id)
    plan.legs_done[part] = seen


async def _compare(connection: Connection, tenant_id: int, from_id: UUID, to_id: UUID) -> list[Fault]:
    return [
        fault
        for rule in ("legs_have_entries", "entries_have_legs")
        for fault in await store.faults_of(connection, rule, tenant_id, from_id=from_id, to_id=to_id)
    ]


async def _verify_accounts(connection: Connection, plan: Plan, number: int) -> None:
    accounts = plan.accounts[number]
    sums = [one async for one in store.sums_of_entries(connection, plan.tenant_id, plan.bounds, accounts)]
    faults: list[Fault] = []
    if not all(one.follows for one in sums):
        faults += await store.faults_of(connection, "entries_chained", plan.tenant_id, **accounts._asdict())
    if accounts.to_seq == MAX_SEQ:  # all of these accounts, or the last piece of a large one
        faults += await _of_accounts(connection, plan.tenant_id, accounts)
    plan.faults += faults
    plan.add_entries(number, sums)


async def _of_accounts(connection: Connection, tenant_id: int, accounts: AccountRange) -> list[Fault]:
    return [
        fault
        for rule in OF_ACCOUNTS
        for fault in await store.faults_of(
            connection,
            rule,
            tenant_id,
            from_account=accounts.from_account,
            to_account=accounts.to_account,
        )
    ]

"""Balances and statements of the past, the closing of periods, and the projections behind them.

Nothing here moves money. What is read goes through the coalescers of `Ledger`.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from uuid import UUID

from florin.kernel.clock import rfc3339
from florin.kernel.ids import new_id
from florin.kernel.provenance import Provenance
from florin.ledger.errors import AccountNotFound
from florin.ledger.model import NORMAL_SIDE, Direction, TrialBalanceLine
from florin.ledger.service import Ledger
from florin.ledger.times import store
from florin.ledger.times.errors import PeriodAlreadyClosed, PeriodNotOver, PeriodOutOfOrder
from florin.ledger.times.model import (
    BalanceAt,
    Moment,
    PeriodClosing,
    Projected,
    Restatement,
    Statement,
    StatementLine,
    TimeAxis,
)

PAGE_LINES = 1000
_TOGETHER = 100
_LOOK_THROUGH = 20_000
_ENTRIES = 10_000


async def balance_at(
    ledger: Ledger,
    tenant_id: int,
    account_id: UUID,
    *,
    at: datetime | None = None,
    known_at: datetime | None = None,
) -> BalanceAt:
    """What counts by `at` of what was recorded by `known_at`; None: now. Raises AccountNotFound."""
    return await ledger.balances_at.call(tenant_id, Moment(account_id, at, known_at))


async def trial_balance_at(
    ledger: Ledger, tenant_id: int, *, at: datetime | None = None, known_at: datetime | None = None
) -> list[TrialBalanceLine]:
    """Sums of past balances by currency, type and side: per currency, debits equal credits."""
    async with ledger.database.tenant(tenant_id) as connection:
        return await store.trial_balance_at(connection, tenant_id, effective_at=at, known_at=known_at)


async def statement(
    ledger: Ledger,
    tenant_id: int,
    account_id: UUID,
    *,
    since: datetime,
    until: datetime,
    by: TimeAxis = TimeAxis.RECORDED,
    known_at: datetime | None = None,
) -> Statement:
    """An account from `since` to before `until`, with opening and closing balance; `pages` reads its lines.

    What is posted after this call is no part of it: read in pages, it is still one statement.

    Raises:
        AccountNotFound, PeriodOutOfOrder
    """
    if since > until:
        raise PeriodOutOfOrder(f"{rfc3339(since)} is after {rfc3339(until)}", param="from")
    return await ledger.statements.call(tenant_id, store.Period(account_id, by, since, until, known_at))


async def pages(
    ledger: Ledger, tenant_id: int, statement: Statement, *, size: int = PAGE_LINES
) -> AsyncIterator[list[StatementLine]]:
    """The statement's lines in its order, in pages of up to `size`; none of them is empty."""
    if statement.axis is TimeAxis.EFFECTIVE and statement.has_dated:
        async for page in _effective_pages(ledger, tenant_id, statement, size):
            yield page
        return
    for first in range(statement.first_seq, statement.last_seq + 1, size):
        yield await ledger.recorded_pages.call(
            tenant_id,
            store.RecordedPage(
                statement.account_id,
                first,
                min(first + size - 1, statement.last_seq),
                statement.since,
                statement.until,
            ),
        )


async def _effective_pages(
    ledger: Ledger, tenant_id: int, statement: Statement, size: int
) -> AsyncIterator[list[StatementLine]]:
    sign = 1 if NORMAL_SIDE[statement.type] is Direction.DEBIT else -1
    balance_minor = statement.opening_balance_minor
    first_seq, after, after_seq = statement.first_seq, statement.since, 0
    while True:
        found = await ledger.effective_pages.call(
            tenant_id,
            store.EffectivePage(
                statement.account_id,
                first_seq,
                statement.last_seq,
                after,
                after_seq,
                statement.until,
                statement.known_seq,
                size,
            ),
        )
        lines = []
        for line in found:
            balance_minor += sign * line.amount_minor
            lines.append(line._replace(balance_after_minor=balance_minor))
            after, after_seq = line.effective_at, line.seq
            if line.effective_at == line.recorded_at:
                first_seq = line.seq + 1  # every ordinary entry before it has come
        if lines:
            yield lines
        if len(lines) < size:
            return


async def restatement(
    ledger: Ledger,
    tenant_id: int,
    account_id: UUID,
    *,
    at: datetime,
    known_at: datetime,
    limit: int,
    after_seq: int = 0,
) -> Restatement:
    """The balance at `at` as it was known at `known_at` and as it is known now, and what made the difference.

    `after_seq`: the page of entries after this one. Raises AccountNotFound.
    """
    then = await balance_at(ledger, tenant_id, account_id, at=at, known_at=known_at)
    now = await balance_at(ledger, tenant_id, account_id, at=at)
    lines = await ledger.restated_pages.call(
        tenant_id,
        store.RestatedPage(
            account_id,
            max(then.known_seq, after_seq),
            now.entry_seq,
            now.known_seq,
            at,
            known_at,
            limit + 1,
        ),
    )
    return Restatement(then, now, tuple(lines[:limit]), has_more=len(lines) > limit)


async def close_period(
    ledger: Ledger, tenant_id: int, *, closed_before: datetime, name: str, by: Provenance
) -> PeriodClosing:
    """Closes the books before an instant, for good; what is wrong in there is corrected in the open period.

    Takes the ledger's door alone: it waits for postings that are under way, and new ones wait for it.

    Raises:
        PeriodNotOver, PeriodAlreadyClosed
    """
    closing_id = new_id()
    async with ledger.database.tenant(tenant_id, by=by) as connection:
        refusal, reaches, closed_at = await store.close_period(
            connection, tenant_id, closing_id, closed_before, name
        )
    if refusal == PeriodNotOver.code:
        raise PeriodNotOver(
            f"it is {rfc3339(closed_at)}; a period can be closed up to now", param="closed_before"
        )
    if refusal is not None:
        assert reaches is not None
        raise PeriodAlreadyClosed(
            f"the books are closed before {rfc3339(reaches)}; the next closing reaches further",
            param="closed_before",
        )
    return PeriodClosing(closing_id, name, closed_before, closed_at)


async def closings(
    ledger: Ledger, tenant_id: int, *, limit: int, starting_after: UUID | None = None
) -> list[PeriodClosing]:
    """The closings of the books, newest first."""
    async with ledger.database.tenant(tenant_id) as connection:
        return await store.closings(connection, tenant_id, limit=limit, starting_after=starting_after)


async def project_due(ledger: Ledger, tenant_id: int) -> Projected:
    """Brings every projection up to date that new entries have made due. For a job, every few seconds.

    Can be stopped at any time: what was taken in is committed account by account, the rest comes again.
    """
    accounts = entries = 0
    while True:
        async with ledger.database.tenant(tenant_id) as connection:
            due, mark, more = await store.due_projections(connection, tenant_id, _LOOK_THROUGH)
        accounts += len(due)
        entries += await project(ledger, tenant_id, due)
        async with ledger.database.tenant(tenant_id) as connection:
            await store.mark_projected(connection, tenant_id, mark)
        if not more:
            return Projected(accounts, entries)


async def project(ledger: Ledger, tenant_id: int, account_ids: Sequence[UUID]) -> int:
    """Brings these accounts' projections up to their last entries, in bounded steps; how many were taken in.

    Accounts that another worker is at are left to it.
    """
    entries = 0
    for start in range(0, len(account_ids), _TOGETHER):
        some = account_ids[start : start + _TOGETHER]
        while taken := await project_some(ledger, tenant_id, some):
            entries += taken
    return entries


async def project_some(ledger: Ledger, tenant_id: int, account_ids: Sequence[UUID]) -> int:
    """One step of `project`: a transaction with at most some ten thousand entries per account; 0: done."""
    async with ledger.database.tenant(tenant_id) as connection:
        per_account = max(_ENTRIES // max(len(account_ids), 1), 1000)
        return await store.project(connection, tenant_id, account_ids, per_account)


async def unproject(ledger: Ledger, tenant_id: int, account_ids: Sequence[UUID]) -> None:
    """Empties the accounts' projections, to be made anew: after a change of how an account matches, too."""
    async with ledger.database.tenant(tenant_id) as connection:
        await store.unproject(connection, tenant_id, account_ids)


async def account_pages(
    ledger: Ledger, tenant_id: int, *, size: int = _TOGETHER
) -> AsyncIterator[list[UUID]]:
    """The ids of all accounts, ascending, in pages: for whoever rebuilds."""
    last: UUID | None = None
    while True:
        async with ledger.database.tenant(tenant_id) as connection:
            page = await store.account_page(connection, tenant_id, starting_after=last, limit=size)
        if page:
            yield page
        if len(page) < size:
            return
        last = page[-1]


async def account_by(ledger: Ledger, tenant_id: int, code: str) -> UUID:
    """The id of the account with this code. Raises AccountNotFound."""
    async with ledger.database.tenant(tenant_id) as connection:
        found = await store.account_id_of_code(connection, tenant_id, code)
    if found is None:
        raise AccountNotFound
    return found

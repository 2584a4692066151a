"""Reports as streams. Each page is a transaction of its own, and all pages see the books as of one instant.

Entries are never changed, so whoever knows up to when he reads (`Period.known_at`) may read in as many
transactions as he likes: a slow reader of a long statement holds neither a connection nor a snapshot.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, TypeVar
from uuid import UUID

from florin.kernel import clock
from florin.ledger.errors import AccountNotFound
from florin.ledger.reports import store
from florin.ledger.reports.errors import ReportTooLarge, ScopeAmbiguous
from florin.ledger.reports.model import (
    NOTHING_MOVED,
    Head,
    JournalTransfer,
    Line,
    Part,
    Period,
    Scope,
    Section,
    SectionEnd,
    Total,
    Totals,
    TrialRow,
)
from florin.ledger.service import Ledger
from florin.ledger.times.errors import PeriodOutOfOrder
from florin.ledger.times.model import TimeAxis

ACCOUNTS_PER_PAGE: Final = 200
LINES_PER_PAGE: Final = 1000
MAX_NODES: Final = 10_000
MAX_CAMT053_LINES: Final = 50_000
MAX_PDF_LINES: Final = 5_000

_SETTLED: Final = timedelta(minutes=5)
"""What was recorded longer ago than this is committed, or never will be."""

T = TypeVar("T")


class BooksDoNotAddUp(RuntimeError):
    """The lines of a statement do not lead from its opening to its closing balance."""


async def open_report(
    ledger: Ledger,
    tenant_id: int,
    scope: Scope,
    *,
    since: datetime,
    until: datetime | None = None,
    by: TimeAxis = TimeAxis.RECORDED,
    known_at: datetime | None = None,
) -> Period:
    """The period of a report, fixed: what is posted from now on does not come into it.

    Args:
        until: the end, which is not part of it; None: now.
        known_at: what was recorded later is left out; None: nothing is.

    Raises:
        ScopeAmbiguous: an account and a subtree are named.
        AccountNotFound: there is no such account, or none below the code.
        PeriodOutOfOrder: it ends before it begins.
    """
    if scope.under is not None and scope.is_single:
        raise ScopeAmbiguous(param="under")
    async with ledger.database.tenant(tenant_id) as connection:
        if scope.is_single and not await store.accounts(connection, tenant_id, scope, after=None, limit=1):
            raise AccountNotFound(param="account")
        if scope.under is not None and not await store.has_accounts(connection, tenant_id, scope.under):
            raise AccountNotFound(f"no account has the code {scope.under} or one below it", param="under")
    now = clock.now()
    settled = now - _SETTLED
    is_past = (known_at is not None and known_at < settled) or (
        by is TimeAxis.RECORDED and until is not None and until < settled
    )
    if not is_past:
        async with ledger.database.tenant(tenant_id) as connection:
            now = await store.present(connection, tenant_id)
    known_at = now if known_at is None else min(known_at, now)
    until = known_at if until is None else until
    if until < since:
        raise PeriodOutOfOrder(f"{clock.rfc3339(since)} is after {clock.rfc3339(until)}", param="from")
    return Period(since, until, by, known_at)


async def sections(ledger: Ledger, tenant_id: int, scope: Scope, period: Period) -> AsyncIterator[Section]:
    """The figures of every account in the order of codes; of many, those that are not blank.

    Raises:
        BooksDoNotAddUp
    """
    after: str | None = None
    while True:
        async with ledger.database.tenant(tenant_id) as connection:
            heads = await store.accounts(connection, tenant_id, scope, after=after, limit=ACCOUNTS_PER_PAGE)
            if not heads:
                return
            edges = await store.edges(connection, tenant_id, [head.id for head in heads], period)
            turnovers = await store.turnovers(connection, tenant_id, edges, period)
        for head in heads:
            section = Section(head, edges[head.id], turnovers.get(head.id, NOTHING_MOVED))
            if not section.adds_up:
                raise BooksDoNotAddUp(f"account {head.id}: {section}")
            if scope.is_single or not section.is_blank:
                yield section
        after = heads[-1].code


async def statement(
    ledger: Ledger, tenant_id: int, scope: Scope, period: Period, *, against: bool = False
) -> AsyncIterator[Part]:
    """A statement of every account of the scope: section, lines, end of section; at last the totals.

    Args:
        against: whether lines name the accounts on the other side; only the general ledger does.

    Raises:
        BooksDoNotAddUp
    """
    totals = Totals()
    async for section in sections(ledger, tenant_id, scope, period):
        totals.add(section)
        yield section
        balance_minor = section.opening_minor
        if section.turnover.entries:
            async for batch in _lines(ledger, tenant_id, section, period, against=against):
                balance_minor = batch[-1].balance_minor
                yield batch
        if balance_minor != section.closing_minor:
            raise BooksDoNotAddUp(
                f"account {section.head.id}: {balance_minor} by its lines, not {section.closing_minor}"
            )
        yield SectionEnd(section)
    yield totals


async def _lines(
    ledger: Ledger, tenant_id: int, section: Section, period: Period, *, against: bool
) -> AsyncIterator[list[Line]]:
    head = section.head
    balance_minor = section.opening_minor
    cursor = store.beginning(section, period)
    while True:
        others: dict[UUID, Head] = {}
        async with ledger.database.tenant(tenant_id) as connection:
            page, cursor = await store.lines(
                connection, tenant_id, section, period, after=cursor, limit=LINES_PER_PAGE
            )
            if not page:
                return
            notes = await store.notes(connection, tenant_id, [line.transfer_id for line in page])
            if against:
                ids = {one for note in notes.values() for one in note.account_ids} - {head.id}
                others = await store.heads(connection, tenant_id, list(ids))
        batch = []
        for raw in page:
            balance_minor += head.sign * raw.amount_minor
            batch.append(_line(raw, notes[raw.transfer_id], balance_minor, others))
        yield batch
        if len(page) < LINES_PER_PAGE:
            return


def _line(raw: store.RawLine, note: store.Note, balance_minor: int, others: Mapping[UUID, Head]) -> Line:
    return Line(
        raw.seq,
        raw.transfer_id,
        note.kind,
        raw.recorded_at,
        raw.effective_at,
        raw.amount_minor,
        balance_minor,
        note.description,
        note.correlation_id,
        tuple([others[one].code for one in note.account_ids if one in others]),
    )


async def collected(parts: AsyncIterator[Part], *, max_lines: int, format: str) -> list[Part]:
    """A whole statement in memory, for formats that need it there; a section counts as a line.

    Raises:
        ReportTooLarge
    """
    found: list[Part] = []
    count = 0
    async for part in parts:
        count += part.turnover.entries + 1 if isinstance(part, Section) else 0
        if count > max_lines:
            raise ReportTooLarge(
                f"{format} takes {max_lines} lines; ask for a shorter period, or for csv", param="format"
            )
        found.append(part)
    return found


async def journal(
    ledger: Ledger, tenant_id: int, scope: Scope, period: Period
) -> AsyncIterator[list[JournalTransfer]]:
    """What moved money in a period, in batches, in the order of the log (by effective time: of that time)."""
    place = store.Place()
    while True:
        async with ledger.database.tenant(tenant_id) as connection:
            page, place = await store.journal(
                connection, tenant_id, scope, period, after=place, limit=LINES_PER_PAGE
            )
        if page:
            yield page
        if len(page) < LINES_PER_PAGE:
            return


async def trial_balance(
    ledger: Ledger, tenant_id: int, scope: Scope, period: Period, *, depth: int | None = None
) -> AsyncIterator[TrialRow | Totals]:
    """Rows and, last, the totals: over the whole books, debits equal credits in all three pairs.

    Args:
        depth: None: a row per account. Else a row per node of the chart down to it and currency: a node is
            the beginning of codes up to a colon (`assets:bank` has depth 2) and sums all accounts at or below
            it. Rows of several depths count the same money; the totals count it once.

    Raises:
        ReportTooLarge: more than `MAX_NODES` rows of nodes; before the first row.
    """
    if depth is None:
        return _rows_of_accounts(ledger, tenant_id, scope, period)
    return _as_stream(await _rows_of_nodes(ledger, tenant_id, scope, period, depth))


async def _rows_of_accounts(
    ledger: Ledger, tenant_id: int, scope: Scope, period: Period
) -> AsyncIterator[TrialRow | Totals]:
    totals = Totals()
    async for section in sections(ledger, tenant_id, scope, period):
        head = section.head
        totals.add(section)
        total = Total(head.currency, head.exponent)
        total.add(section)
        yield TrialRow(head.code, head.name, head.id, head.type, total)
    yield totals


async def _rows_of_nodes(
    ledger: Ledger, tenant_id: int, scope: Scope, period: Period, depth: int
) -> list[TrialRow | Totals]:
    totals = Totals()
    rows: dict[tuple[str, str], Total] = {}
    async for section in sections(ledger, tenant_id, scope, period):
        head = section.head
        totals.add(section)
        steps = head.code.split(":")
        for length in range(1, min(depth, len(steps)) + 1):
            key = (":".join(steps[:length]), head.currency)
            rows.setdefault(key, Total(head.currency, head.exponent)).add(section)
        if len(rows) > MAX_NODES:
            raise ReportTooLarge(f"more than {MAX_NODES} nodes; ask for a smaller depth", param="depth")
    ordered = sorted(rows, key=lambda key: (key[0].split(":"), key[1]))
    async with ledger.database.tenant(tenant_id) as connection:
        names = await store.names(connection, tenant_id, [code for code, _ in ordered])
    return [*(TrialRow(key[0], names.get(key[0]), None, None, rows[key]) for key in ordered), totals]


async def _as_stream(items: Sequence[T]) -> AsyncIterator[T]:
    for item in items:
        yield item


async def collected_rows(
    rows: AsyncIterator[TrialRow | Totals], *, max_lines: int
) -> list[TrialRow | Totals]:
    """A whole trial balance in memory.

    Raises:
        ReportTooLarge
    """
    found: list[TrialRow | Totals] = []
    async for row in rows:
        if len(found) > max_lines:
            raise ReportTooLarge(f"pdf takes {max_lines} rows; ask for csv", param="format")
        found.append(row)
    return found

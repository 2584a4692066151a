"""Reports as CSV (RFC 4180, UTF-8, a header line), one flat table each, as streams."""

import csv
from collections.abc import AsyncIterator, Iterable
from io import StringIO
from typing import Final

from florin.kernel.cells import safe_cell
from florin.kernel.clock import rfc3339
from florin.kernel.ids import encode_id
from florin.ledger.reports.model import (
    Head,
    JournalTransfer,
    Line,
    Part,
    Section,
    SectionEnd,
    Total,
    Totals,
    TrialRow,
)
from florin.ledger.reports.render.text import amount_text, signed_cells

STATEMENT_COLUMNS: Final = (
    *("row", "account", "account_name", "currency", "seq", "recorded_at", "effective_at", "transfer", "kind"),
    *("description", "correlation_id", "debit", "credit", "balance"),
)
JOURNAL_COLUMNS: Final = (
    *("transfer", "recorded_at", "effective_at", "kind", "description", "correlation_id"),
    *("account", "account_name", "currency", "debit", "credit"),
)
TRIAL_BALANCE_COLUMNS: Final = (
    *("row", "code", "name", "type", "currency", "opening_debits", "opening_credits"),
    *("debits", "credits", "closing_debits", "closing_credits"),
)
_BATCH: Final = 500
"""Rows of a trial balance that are sent together."""


def _encoded(rows: Iterable[Iterable[object]]) -> bytes:
    buffer = StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue().encode()


async def statement_csv(parts: AsyncIterator[Part], *, against: bool = False) -> AsyncIterator[bytes]:
    """A statement: rows `opening`, `entry`, `closing` per account; at the end `total_...` per currency.

    Args:
        against: with a last column of the codes on the other side: the general ledger.
    """
    more = ("against",) if against else ()
    yield _encoded([(*STATEMENT_COLUMNS, *more)])
    section: Section | None = None
    async for part in parts:
        match part:
            case Section():
                section = part
                yield _encoded([_section_row("opening", part.head, "", "", part.opening_minor, more)])
            case SectionEnd():
                exponent = part.section.head.exponent
                debit = amount_text(part.section.turnover.debits_minor, exponent)
                credit = amount_text(part.section.turnover.credits_minor, exponent)
                row = _section_row(
                    "closing", part.section.head, debit, credit, part.section.closing_minor, more
                )
                yield _encoded([row])
            case Totals():
                yield _encoded(row for total in part for row in _total_rows(total, more))
            case list():
                assert section is not None
                head = section.head
                yield _encoded(_line_row(head, line, against=against) for line in part)


def _section_row(
    row: str, head: Head, debit: str, credit: str, balance_minor: int, more: tuple[str, ...]
) -> list[str]:
    balance = amount_text(balance_minor, head.exponent)
    empty = [""] * 7
    return [
        *(row, safe_cell(head.code), safe_cell(head.name), head.currency),
        *(*empty, debit, credit, balance, *("" for _ in more)),
    ]


def _line_row(head: Head, line: Line, *, against: bool) -> list[str]:
    return [
        *("entry", safe_cell(head.code), safe_cell(head.name), head.currency, str(line.seq)),
        *(rfc3339(line.recorded_at), rfc3339(line.effective_at), encode_id("tr", line.transfer_id)),
        *(line.kind.value, safe_cell(line.description), safe_cell(line.correlation_id)),
        *signed_cells(line.amount_minor, head.exponent),
        amount_text(line.balance_minor, head.exponent),
        *([safe_cell(" ".join(line.against))] if against else []),
    ]


def _total_rows(total: Total, more: tuple[str, ...]) -> Iterable[list[str]]:
    figures = [amount_text(amount, total.exponent) for amount in total.figures_minor]
    for place, row in enumerate(("total_opening", "total", "total_closing")):
        debit, credit = figures[2 * place : 2 * place + 2]
        yield [row, "", "", total.currency, *[""] * 7, debit, credit, "", *("" for _ in more)]


async def journal_csv(batches: AsyncIterator[list[JournalTransfer]]) -> AsyncIterator[bytes]:
    """The journal: a row per leg."""
    yield _encoded([JOURNAL_COLUMNS])
    async for batch in batches:
        yield _encoded(row for one in batch for row in _leg_rows(one))


def _leg_rows(one: JournalTransfer) -> Iterable[list[str]]:
    for leg in one.legs:
        yield [
            *(encode_id("tr", one.id), rfc3339(one.recorded_at), rfc3339(one.effective_at), one.kind.value),
            *(safe_cell(one.description), safe_cell(one.correlation_id)),
            *(safe_cell(leg.code), safe_cell(leg.name), leg.currency),
            *signed_cells(leg.amount_minor, leg.exponent),
        ]


async def trial_balance_csv(rows: AsyncIterator[TrialRow | Totals]) -> AsyncIterator[bytes]:
    """The trial balance: a row per account or node, then one `total` per currency."""
    yield _encoded([TRIAL_BALANCE_COLUMNS])
    batch: list[list[str]] = []
    async for row in rows:
        if isinstance(row, Totals):
            batch += [["total", "", "", "", *_figures(total)] for total in row]
        else:
            kind = "node" if row.account_id is None else "account"
            type_ = "" if row.type is None else row.type.value
            batch.append([kind, safe_cell(row.code), safe_cell(row.name), type_, *_figures(row.total)])
        if len(batch) >= _BATCH:
            yield _encoded(batch)
            batch = []
    yield _encoded(batch)


def _figures(total: Total) -> list[str]:
    return [total.currency, *(amount_text(amount, total.exponent) for amount in total.figures_minor)]

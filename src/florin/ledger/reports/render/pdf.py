"""Statements and the trial balance as PDF."""

from collections.abc import Iterator, Sequence
from typing import Final

from florin.kernel.ids import encode_id
from florin.ledger.reports.model import Head, Line, Part, Section, SectionEnd, Total, Totals, TrialRow
from florin.ledger.reports.render.sheet import Block, Column, Heading, Row, Sheet, drawn
from florin.ledger.reports.render.text import Letterhead, amount_text, minute, signed_cells
from florin.ledger.times.model import TimeAxis

_STATEMENT_COLUMNS: Final = (
    Column("Date (UTC)", 68),
    Column("No.", 32, right=True),
    Column("Text", 110),
    Column("Transfer", 127),
    Column("Debit", 58, right=True),
    Column("Credit", 58, right=True),
    Column("Balance", 62, right=True),
)
_TRIAL_COLUMNS: Final = (
    Column("Code", 26),
    Column("Name", 24),
    Column("Cur.", 5),
    Column("Opening debit", 15, right=True),
    Column("Opening credit", 15, right=True),
    Column("Debits", 15, right=True),
    Column("Credits", 15, right=True),
    Column("Closing debit", 15, right=True),
    Column("Closing credit", 15, right=True),
)


def statement_pdf(parts: Sequence[Part], letterhead: Letterhead) -> bytes:
    """A statement: per account a heading, opening balance, entries, closing balance; last the totals."""
    sheet = Sheet("Statement of account", _subtitle(letterhead), letterhead.issuer, _STATEMENT_COLUMNS)
    return drawn(sheet, list(_statement_blocks(parts, letterhead)))


def _statement_blocks(parts: Sequence[Part], letterhead: Letterhead) -> Iterator[Block]:
    period = letterhead.period
    head: Head | None = None
    for part in parts:
        match part:
            case Section():
                head = part.head
                yield Heading(
                    f"{head.code}  {head.name}",
                    (f"{encode_id('acct', head.id)}, {head.type.value}, {head.currency}",),
                    again=f"{head.code} (continued)",
                )
                opening = amount_text(part.opening_minor, head.exponent)
                yield Row((minute(period.since), "", "Opening balance", "", "", "", opening))
            case SectionEnd():
                yield _closing_row(part.section, minute(period.until))
            case list():
                assert head is not None
                for line in part:
                    yield _line_row(head, line, letterhead.period.by)
            case Totals():
                yield from _statement_totals(part)


def _line_row(head: Head, line: Line, by: TimeAxis) -> Row:
    at = line.recorded_at if by is TimeAxis.RECORDED else line.effective_at
    text = line.description or line.kind.value
    if line.effective_at != line.recorded_at:
        other = line.effective_at if by is TimeAxis.RECORDED else line.recorded_at
        text += f" ({'effective' if by is TimeAxis.RECORDED else 'recorded'} {minute(other)})"
    return Row(
        (
            *(minute(at), str(line.seq), text, encode_id("tr", line.transfer_id)),
            *signed_cells(line.amount_minor, head.exponent),
            amount_text(line.balance_minor, head.exponent),
        )
    )


def _closing_row(section: Section, at: str) -> Row:
    exponent = section.head.exponent
    sums = (section.turnover.debits_minor, section.turnover.credits_minor, section.closing_minor)
    return Row(
        (at, "", "Closing balance", "", *(amount_text(amount, exponent) for amount in sums)), ruled=True
    )


def _statement_totals(totals: Totals) -> Iterator[Block]:
    listed = list(totals)
    if listed:
        yield Heading("Totals", (), again="Totals (continued)")
    for total in listed:
        figures = [amount_text(amount, total.exponent) for amount in total.figures_minor]
        for place, name in enumerate(("opening balances", "turnover", "closing balances")):
            debit, credit = figures[2 * place : 2 * place + 2]
            yield Row(("", "", f"{total.currency} {name}", "", debit, credit, ""), ruled=place == 0)


def trial_balance_pdf(rows: Sequence[TrialRow | Totals], letterhead: Letterhead) -> bytes:
    """The trial balance, in landscape: opening balances, turnover and closing balances by side."""
    sheet = Sheet("Trial balance", _subtitle(letterhead), letterhead.issuer, _TRIAL_COLUMNS, wide=True)
    blocks: list[Block] = []
    for row in rows:
        if isinstance(row, Totals):
            totals = [_trial_row("Total", "", total, ruled=True) for total in row]
            blocks += totals
        else:
            blocks.append(_trial_row(row.code, row.name or "", row.total, ruled=False))
    return drawn(sheet, blocks)


def _trial_row(code: str, name: str, total: Total, *, ruled: bool) -> Row:
    figures = (amount_text(amount, total.exponent) for amount in total.figures_minor)
    return Row((code, name, total.currency, *figures), ruled=ruled)


def _subtitle(letterhead: Letterhead) -> str:
    period = letterhead.period
    times = f"{minute(period.since)} to {minute(period.until)} UTC, by {period.by.value} time"
    return " · ".join(part for part in (letterhead.scope_text, times) if part)

"""Reports as tables on the screen."""

from collections.abc import AsyncIterator, Iterable

from rich.markup import escape
from rich.table import Table

from florin.cli.console import out
from florin.kernel.ids import encode_id
from florin.ledger.reports.model import (
    JournalTransfer,
    Line,
    Part,
    Period,
    Section,
    SectionEnd,
    Totals,
    TrialRow,
)
from florin.ledger.reports.render.text import amount_text, minute, signed_cells
from florin.ledger.times.model import TimeAxis


async def show_trial_balance(rows: AsyncIterator[TrialRow | Totals]) -> None:
    """A table of all rows, the totals below a line."""
    sides = ("Opening debit", "Opening credit", "Debits", "Credits", "Closing debit", "Closing credit")
    table = Table("Code", "Name", "", box=None, pad_edge=False)
    for side in sides:
        table.add_column(side, justify="right")
    async for row in rows:
        if isinstance(row, Totals):
            table.add_section()
        shown = (
            [("Total", "", total) for total in row]
            if isinstance(row, Totals)
            else [(row.code, escape(row.name or ""), row.total)]
        )
        for code, name, total in shown:
            figures = [amount_text(amount, total.exponent) for amount in total.figures_minor]
            table.add_row(code, name, total.currency, *figures)
    out.print(table)


async def show_journal(batches: AsyncIterator[list[JournalTransfer]]) -> None:
    """A table per batch, a row per leg."""
    async for batch in batches:
        table = Table("Recorded", "Effective", "Transfer", "Account", "Text", "", box=None, pad_edge=False)
        for side in ("Debit", "Credit"):
            table.add_column(side, justify="right")
        for one in batch:
            begins = [minute(one.recorded_at), minute(one.effective_at), encode_id("tr", one.id)]
            text = escape(one.description or one.kind.value)
            for leg in one.legs:
                table.add_row(
                    *begins, leg.code, text, leg.currency, *signed_cells(leg.amount_minor, leg.exponent)
                )
                begins, text = ["", "", ""], ""
        out.print(table)


async def show_statement(parts: AsyncIterator[Part], period: Period, *, against: bool = False) -> None:
    """A table per account, then a line per currency."""
    table, exponent = Table(), 0
    async for part in parts:
        match part:
            case Section():
                exponent = part.head.exponent
                name = escape(part.head.name)
                out.print(f"[bold]{part.head.code}[/]  {name}, {part.head.currency}", highlight=False)
                other = "Against" if against else "Transfer"
                table = Table("Date", "No.", other, "Text", box=None, pad_edge=False)
                for title in ("Debit", "Credit", "Balance"):
                    table.add_column(title, justify="right")
                opening = amount_text(part.opening_minor, exponent)
                table.add_row(minute(period.since), "", "", "Opening balance", "", "", opening)
            case SectionEnd():
                turnover = part.section.turnover
                sums = (turnover.debits_minor, turnover.credits_minor, part.section.closing_minor)
                figures = [amount_text(amount, exponent) for amount in sums]
                table.add_row(minute(period.until), "", "", "Closing balance", *figures)
                out.print(table)
                out.print()
            case list():
                for line in part:
                    table.add_row(*_line_cells(line, exponent, period, against=against))
            case Totals():
                for total in part:
                    figures = [amount_text(amount, total.exponent) for amount in total.figures_minor]
                    out.print(
                        f"{total.currency}  opening {figures[0]} debit, {figures[1]} credit;"
                        f" moved {figures[2]} debit, {figures[3]} credit;"
                        f" closing {figures[4]} debit, {figures[5]} credit",
                        highlight=False,
                        soft_wrap=True,
                    )


def _line_cells(line: Line, exponent: int, period: Period, *, against: bool) -> Iterable[str]:
    at = line.recorded_at if period.by is TimeAxis.RECORDED else line.effective_at
    other = " ".join(line.against) if against else encode_id("tr", line.transfer_id)
    text = escape(line.description or line.kind.value)
    balance = amount_text(line.balance_minor, exponent)
    return (minute(at), str(line.seq), other, text, *signed_cells(line.amount_minor, exponent), balance)

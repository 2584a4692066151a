"""`florin ledger statement`, `journal`, `general-ledger`, `trial-balance`: on the screen or into a file."""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import DownloadColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from florin.cli.console import USAGE, err, fail, run_async
from florin.cli.ledger import app, times
from florin.cli.ledger.books import Live, OpenBooks, Tenant, open_books
from florin.cli.ledger.options import instant_of
from florin.cli.ledger.report_tables import show_journal, show_statement, show_trial_balance
from florin.cli.ledger.times import At
from florin.cli.platform import platform_on
from florin.kernel.clock import now
from florin.kernel.ids import new_id
from florin.kernel.settings import settings
from florin.ledger.reports import service
from florin.ledger.reports.model import Period, Scope
from florin.ledger.reports.render.camt053 import statement_camt053
from florin.ledger.reports.render.csv_ import journal_csv, statement_csv, trial_balance_csv
from florin.ledger.reports.render.json_ import journal_json, statement_json, trial_balance_json
from florin.ledger.reports.render.text import Letterhead
from florin.ledger.service import Ledger
from florin.ledger.times.model import TimeAxis
from florin.tenancy.service import get_tenant


class Format(StrEnum):
    """How a report is written; `table` is for the screen."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    CAMT053 = "camt053"
    PDF = "pdf"


Account = Annotated[str | None, typer.Option(help="The code of one account.")]
Under = Annotated[str | None, typer.Option(help="Only accounts at or below this code.")]
From = Annotated[
    datetime,
    typer.Option("--from", parser=instant_of, metavar="INSTANT", help="The beginning; UTC if not said."),
]
MaybeFrom = Annotated[
    datetime | None,
    typer.Option("--from", parser=instant_of, metavar="INSTANT", help="The beginning of the period."),
]
To = Annotated[
    datetime | None,
    typer.Option(
        "--to", parser=instant_of, metavar="INSTANT", help="The end, not part of it.  [default: now]"
    ),
]
By = Annotated[TimeAxis, typer.Option(help="Which time puts an entry into the period.")]
KnownAt = Annotated[
    datetime | None,
    typer.Option(parser=instant_of, metavar="INSTANT", help="As the books were known then."),
]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Write to this file.")]
FormatOption = Annotated[Format, typer.Option("--format", "-f", help="How it is written.")]
Json = Annotated[bool, typer.Option("--json", help="Short for --format json.")]


@dataclass(frozen=True, slots=True)
class _Report:
    """An opened report, and where it goes."""

    ledger: Ledger
    tenant_id: int
    scope: Scope
    period: Period
    letterhead: Letterhead
    format: Format
    output: Path | None


@dataclass(frozen=True, slots=True)
class _Wish:
    """What the options say."""

    tenant: str
    live: bool
    scope: Scope
    since: datetime
    until: datetime | None
    by: TimeAxis
    known_at: datetime | None
    format: Format
    output: Path | None


@asynccontextmanager
async def _opened(wish: _Wish) -> AsyncIterator[_Report]:
    async with open_books(settings(), wish.tenant, live=wish.live) as books:
        period = await service.open_report(
            books.ledger,
            books.tenant_id,
            wish.scope,
            since=wish.since,
            until=wish.until,
            by=wish.by,
            known_at=wish.known_at,
        )
        letterhead = Letterhead(await _name(books), wish.scope, period, now())
        yield _Report(books.ledger, books.tenant_id, wish.scope, period, letterhead, wish.format, wish.output)


async def _name(books: OpenBooks) -> str:
    tenancy = platform_on(settings(), books.database).tenancy
    return (await get_tenant(tenancy, books.tenant_id)).name


def _run(wish: _Wish, write: Callable[[_Report], Awaitable[None]], *allowed: Format) -> None:
    """Opens what is wished for and writes it. What cannot be ends the command first."""
    if wish.format not in allowed:
        fail(f"this report is written as {', '.join(allowed)}", code=USAGE)
    if wish.format is Format.TABLE and wish.output is not None:
        fail("--output needs a --format other than table", code=USAGE)
    if wish.format is Format.PDF and wish.output is None:
        fail("a PDF needs --output", code=USAGE)

    async def work() -> None:
        async with _opened(wish) as report:
            await write(report)

    try:
        run_async(work())
    except service.BooksDoNotAddUp as error:
        fail(str(error))


@app.command()
def statement(
    tenant: Tenant,
    since: From,
    until: To = None,
    account: Account = None,
    under: Under = None,
    by: By = TimeAxis.RECORDED,
    known_at: KnownAt = None,
    format: FormatOption = Format.TABLE,
    json: Json = False,
    output: Output = None,
    live: Live = False,
) -> None:
    """Statements of one account, of a subtree, or of all: opening balance, entries, closing balance."""
    wish = _wish(tenant, live, account, under, since, until, by, known_at, format, json, output)
    _run(wish, _write_statement, *Format)


@app.command("general-ledger")
def general_ledger(
    tenant: Tenant,
    since: From,
    until: To = None,
    account: Account = None,
    under: Under = None,
    by: By = TimeAxis.RECORDED,
    known_at: KnownAt = None,
    format: FormatOption = Format.TABLE,
    json: Json = False,
    output: Output = None,
    live: Live = False,
) -> None:
    """Every account of a period, its entries with the accounts on the other side."""
    wish = _wish(tenant, live, account, under, since, until, by, known_at, format, json, output)
    _run(wish, _write_general_ledger, Format.TABLE, Format.JSON, Format.CSV)


@app.command()
def journal(
    tenant: Tenant,
    since: From,
    until: To = None,
    account: Account = None,
    under: Under = None,
    by: By = TimeAxis.RECORDED,
    known_at: KnownAt = None,
    format: FormatOption = Format.TABLE,
    json: Json = False,
    output: Output = None,
    live: Live = False,
) -> None:
    """All transfers of a period that moved money, in order, with their legs."""
    wish = _wish(tenant, live, account, under, since, until, by, known_at, format, json, output)
    _run(wish, _write_journal, Format.TABLE, Format.JSON, Format.CSV)


@app.command("trial-balance")
def trial_balance(
    tenant: Tenant,
    since: MaybeFrom = None,
    until: To = None,
    at: At = None,
    account: Account = None,
    under: Under = None,
    depth: Annotated[
        int | None, typer.Option(min=1, max=20, help="Rows are nodes of the chart down to this depth.")
    ] = None,
    by: By = TimeAxis.RECORDED,
    known_at: KnownAt = None,
    format: FormatOption = Format.TABLE,
    json: Json = False,
    output: Output = None,
    live: Live = False,
) -> None:
    """Debits equal credits. With --from: opening balances, turnover and closing balances of a period.

    Without: balances by currency and type of account, now or --at a time.
    """
    if since is None:
        if (until, account, under, depth, output) != (None,) * 5 or format not in (Format.TABLE, Format.JSON):
            fail("a period begins somewhere: --from is needed", code=USAGE)
        times.trial_balance(tenant, at, known_at, live=live, as_json=json or format is Format.JSON)
        return
    if at is not None:
        fail("--at is for balances, --from and --to for a period; not both", code=USAGE)
    wish = _wish(tenant, live, account, under, since, until, by, known_at, format, json, output)

    async def write(report: _Report) -> None:
        await _write_trial_balance(report, depth)

    _run(wish, write, Format.TABLE, Format.JSON, Format.CSV, Format.PDF)


def _wish(
    tenant: str,
    live: bool,
    account: str | None,
    under: str | None,
    since: datetime,
    until: datetime | None,
    by: TimeAxis,
    known_at: datetime | None,
    format: Format,
    json: bool,
    output: Path | None,
) -> _Wish:
    scope = Scope(account_code=account, under=under)
    return _Wish(tenant, live, scope, since, until, by, known_at, Format.JSON if json else format, output)


async def _write_statement(report: _Report) -> None:
    parts = service.statement(report.ledger, report.tenant_id, report.scope, report.period)
    match report.format:
        case Format.TABLE:
            await show_statement(parts, report.period)
        case Format.JSON:
            await _save(report, statement_json(parts, report.period))
        case Format.CSV:
            await _save(report, statement_csv(parts))
        case Format.CAMT053:
            kept = await service.collected(parts, max_lines=service.MAX_CAMT053_LINES, format="camt053")
            message = statement_camt053(kept, report.letterhead, message_id=new_id().hex[:26])
            await _save(report, _streamed(message))
        case Format.PDF:
            from florin.ledger.reports.render.pdf import statement_pdf  # noqa: PLC0415 - takes its time

            kept = await service.collected(parts, max_lines=service.MAX_PDF_LINES, format="pdf")
            await _save(report, _streamed([statement_pdf(kept, report.letterhead)]))


async def _write_general_ledger(report: _Report) -> None:
    parts = service.statement(report.ledger, report.tenant_id, report.scope, report.period, against=True)
    match report.format:
        case Format.JSON:
            await _save(report, statement_json(parts, report.period, against=True))
        case Format.CSV:
            await _save(report, statement_csv(parts, against=True))
        case _:
            await show_statement(parts, report.period, against=True)


async def _write_journal(report: _Report) -> None:
    batches = service.journal(report.ledger, report.tenant_id, report.scope, report.period)
    match report.format:
        case Format.JSON:
            await _save(report, journal_json(batches, report.period))
        case Format.CSV:
            await _save(report, journal_csv(batches))
        case _:
            await show_journal(batches)


async def _write_trial_balance(report: _Report, depth: int | None) -> None:
    rows = await service.trial_balance(
        report.ledger, report.tenant_id, report.scope, report.period, depth=depth
    )
    match report.format:
        case Format.JSON:
            await _save(report, trial_balance_json(rows, report.period))
        case Format.CSV:
            await _save(report, trial_balance_csv(rows))
        case Format.PDF:
            from florin.ledger.reports.render.pdf import trial_balance_pdf  # noqa: PLC0415 - takes its time

            kept = await service.collected_rows(rows, max_lines=service.MAX_PDF_LINES)
            await _save(report, _streamed([trial_balance_pdf(kept, report.letterhead)]))
        case _:
            await show_trial_balance(rows)


async def _streamed(chunks: Iterable[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def _save(report: _Report, chunks: AsyncIterator[bytes]) -> None:
    """Writes to the file, which appears once it is complete, or to stdout."""
    if report.output is None:
        async for chunk in chunks:
            sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
        return
    part = report.output.with_name(f"{report.output.name}.part")
    columns = (SpinnerColumn(), TextColumn("{task.description}"), DownloadColumn(), TimeElapsedColumn())
    try:
        with part.open("wb") as file, Progress(*columns, console=err, transient=True) as progress:
            task = progress.add_task(str(report.output), total=None)
            async for chunk in chunks:
                file.write(chunk)
                progress.advance(task, len(chunk))
        part.replace(report.output)
    except OSError as error:
        fail(f"{report.output}: {error.strerror}")
    finally:
        part.unlink(missing_ok=True)
    err.print(f"wrote {report.output}", highlight=False, soft_wrap=True)

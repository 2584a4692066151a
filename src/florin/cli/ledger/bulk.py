"""`florin ledger import` and `florin ledger export`: files of accounts, balances, entries and transfers."""

import csv
import sys
from contextlib import aclosing
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from florin.cli.console import USAGE, err, fail, out, run_async
from florin.cli.ledger import app
from florin.cli.ledger.books import Live, OpenBooks, Tenant, open_books
from florin.kernel.ids import encode_id
from florin.kernel.settings import settings
from florin.ledger.bulk.export import export
from florin.ledger.bulk.fields import Misread, instant
from florin.ledger.bulk.files import File
from florin.ledger.bulk.model import ExportKind, FileFormat, Import, ImportKind, RowError
from florin.ledger.bulk.service import import_errors, import_file

_ERRORS_AT_A_TIME = 1000
_SHOWN = 10

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _format_of(path: Path) -> FileFormat:
    return FileFormat.PARQUET if path.suffix.lower() in (".parquet", ".pq") else FileFormat.CSV


@app.command("import")
def import_(
    kind: Annotated[ImportKind, typer.Argument(help="What the rows are.")],
    file: Annotated[
        Path, typer.Argument(help="CSV, or Parquet where it ends in .parquet.", exists=True, dir_okay=False)
    ],
    tenant: Tenant,
    live: Live = False,
    report: Annotated[
        Path | None, typer.Option(help="Where to write what was wrong with which row, as CSV.")
    ] = None,
    json: Json = False,
) -> None:
    """Import accounts, opening balances or history. Stopped, the same command goes on where it was."""
    run_async(_import(kind, file, tenant, live=live, report=report, json=json))


async def _import(
    kind: ImportKind, path: Path, tenant: str, *, live: bool, report: Path | None, json: bool
) -> None:
    async with open_books(settings(), tenant, live=live) as books:
        file = File(path, _format_of(path))
        done = await _with_progress(books, kind, file, path.name)
        errors = await _errors(books, done) if done.rows_refused else []
    if report is not None:
        with report.open("w", newline="") as opened:
            writer = csv.writer(opened)
            writer.writerow(RowError._fields)
            writer.writerows(errors)
    if json:
        sys.stdout.buffer.write(orjson.dumps(_as_json(done, errors), option=orjson.OPT_APPEND_NEWLINE))
        return
    posted = done.rows_done - done.rows_refused
    out.print(f"{posted:,} rows imported, {done.rows_refused:,} refused", highlight=False)
    if errors:
        table = Table("Row", "Field", "Code", "What", box=None, pad_edge=False)
        for error in errors[:_SHOWN]:
            table.add_row(str(error.row_number), error.field or "", error.code, error.message)
        out.print(table)
        if len(errors) > _SHOWN and report is None:
            err.print(f"... and {len(errors) - _SHOWN:,} more; --report errors.csv writes them all")


async def _with_progress(books: OpenBooks, kind: ImportKind, file: File, name: str) -> Import:
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=err,
        transient=True,
    ) as progress:
        task = progress.add_task(name, total=file.rows_expected)
        return await import_file(
            books.ledger,
            books.tenant_id,
            kind,
            file,
            by=books.by,
            on_progress=lambda so_far: progress.update(task, completed=so_far.rows_done),
        )


async def _errors(books: OpenBooks, done: Import) -> list[RowError]:
    errors: list[RowError] = []
    while True:
        found = await import_errors(
            books.ledger,
            books.tenant_id,
            done.id,
            limit=_ERRORS_AT_A_TIME,
            starting_after=errors[-1].row_number if errors else None,
        )
        errors += found
        if len(found) < _ERRORS_AT_A_TIME:
            return errors


def _as_json(done: Import, errors: list[RowError]) -> dict[str, Any]:
    return {
        "id": encode_id("imp", done.id),
        "kind": done.kind,
        "status": done.status,
        "rows_total": done.rows_total,
        "rows_done": done.rows_done,
        "rows_refused": done.rows_refused,
        "errors": [error._asdict() for error in errors],
    }


@app.command("export")
def export_(
    kind: Annotated[ExportKind, typer.Argument(help="What to write.")],
    tenant: Tenant,
    live: Live = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="CSV, or Parquet where it ends in .parquet. Default: CSV on stdout."
        ),
    ] = None,
    subtree: Annotated[str | None, typer.Option(help="Only accounts at or below this code.")] = None,
    since: Annotated[str | None, typer.Option("--from", help="Recorded at or after this.")] = None,
    until: Annotated[str | None, typer.Option("--to", help="Recorded before this.")] = None,
) -> None:
    """Export accounts, balances, entries or transfers, as they stand at one moment."""
    run_async(
        _export(kind, tenant, output, live=live, subtree=subtree, since=_time(since), until=_time(until))
    )


def _time(text: str | None) -> datetime | None:
    try:
        return None if text is None else instant("time", text)
    except Misread as error:
        fail(error.message, code=USAGE)


async def _export(
    kind: ExportKind,
    tenant: str,
    output: Path | None,
    *,
    live: bool,
    subtree: str | None,
    since: datetime | None,
    until: datetime | None,
) -> None:
    format_ = FileFormat.CSV if output is None else _format_of(output)
    unfinished = None if output is None else output.with_name(output.name + ".unfinished")
    async with open_books(settings(), tenant, live=live) as books:
        parts = export(
            books.ledger, books.tenant_id, kind, format_, subtree=subtree, since=since, until=until
        )
        target = sys.stdout.buffer if unfinished is None else unfinished.open("wb")
        async with aclosing(parts):
            with err.status(f"exporting {kind}") as status:
                size = 0
                async for part in parts:
                    target.write(part)
                    size += len(part)
                    status.update(f"exporting {kind}: {size / 1e6:,.1f} MB")
    target.flush()
    if unfinished is not None and output is not None:
        target.close()
        unfinished.replace(output)  # what bears the name is whole

"""`florin ledger archive`: months past their retention, moved to the archive tables."""

from datetime import date
from typing import Annotated

import typer

from florin.cli.console import USAGE, err, fail, out, run_async
from florin.cli.ledger import app
from florin.kernel import migrations
from florin.kernel.database_urls import open_database
from florin.kernel.db import Database
from florin.kernel.settings import settings
from florin.ledger.archive.service import archivable_months, archive_month


@app.command()
def archive(
    month: Annotated[str | None, typer.Option(help="Only this month, as 2024-01.")] = None,
    keep: Annotated[
        int | None,
        typer.Option(help="Whole months to keep.  [FLORIN_LEDGER_MONTHS_KEPT]", min=1, max=1200),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing; say what is due.")] = False,
) -> None:
    """Move old months of all tenants' transfers and entries to the archive. Reads find them as before."""
    run_async(_archive(_first_of(month), keep, dry_run=dry_run))


def _first_of(month: str | None) -> date | None:
    if month is None:
        return None
    try:
        return date.fromisoformat(f"{month}-01")
    except ValueError:
        fail(f"{month!r} is not a month such as 2024-01", code=USAGE)


async def _archive(month: date | None, keep: int | None, *, dry_run: bool) -> None:
    chosen = settings()
    kept = chosen.ledger_months_kept if keep is None else keep
    async with open_database(chosen) as urls:
        if await migrations.check(urls.owner):
            fail("the database is not up to date; run florin migrate")
        async with Database(urls.app, size=2) as database:
            if month is None and kept == 0:
                out.print("nothing is due: FLORIN_LEDGER_MONTHS_KEPT is 0, all months are kept")
                return
            due = await archivable_months(database, 1 if month is not None else kept)
            months = due if month is None else [one for one in due if one == month] or [month]
            for one in months:
                if dry_run:
                    out.print(f"due       {one:%Y-%m}", highlight=False)
                    continue
                with err.status(f"archiving {one:%Y-%m}"):
                    moved = await archive_month(database, one)
                out.print(f"{'archived' if moved else 'was archived'}  {one:%Y-%m}", highlight=False)
            if not months:
                out.print(f"nothing is due: the last {kept} months are kept", highlight=False)

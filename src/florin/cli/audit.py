"""`florin audit`: who changed what, and whether the log is whole."""

from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from florin.audit import service
from florin.audit.http import render
from florin.audit.model import Verdict
from florin.cli.console import FAILED, err, out
from florin.cli.history import audit_table
from florin.cli.ledger.books import Live, OpenBooks, Tenant
from florin.cli.ledger.options import Json, on_books, print_json
from florin.kernel.ids import encode_id

app = typer.Typer(help="Who changed which setting, and whether the log is whole.", no_args_is_help=True)


@app.command("list")
def list_(
    tenant: Tenant,
    entity_type: Annotated[str | None, typer.Option("--type", help="account, chart, limit, ...")] = None,
    entity: Annotated[str | None, typer.Option(help="The id of what was changed.")] = None,
    actor: Annotated[str | None, typer.Option(help="key_..., cli:..., job:...")] = None,
    limit: Annotated[int, typer.Option(help="At most so many.", min=1, max=10_000)] = 100,
    live: Live = False,
    json: Json = False,
) -> None:
    """List changes of settings, newest first."""

    async def work(books: OpenBooks) -> None:
        found = await service.entries(
            books.database,
            books.tenant_id,
            limit=limit,
            entity_type=entity_type,
            entity_id=entity,
            actor=actor,
        )
        if json:
            print_json([render(entry).model_dump(mode="json") for entry in found])
        else:
            out.print(audit_table(found))

    on_books(tenant, work, live=live)


@app.command()
def verify(tenant: Tenant, live: Live = False, json: Json = False) -> None:
    """Walk the chain of the log; name the first broken row and exit 1 where there is one."""

    async def work(books: OpenBooks) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=err, transient=True) as progress:
            task = progress.add_task("rows", total=None)
            verdict = await service.verify(
                books.database,
                books.tenant_id,
                on_progress=lambda done, total: progress.update(task, completed=done, total=total),
            )
        _tell(verdict, json=json)
        if verdict.broken is not None:
            raise typer.Exit(FAILED)

    on_books(tenant, work, live=live)


def _tell(verdict: Verdict, *, json: bool) -> None:
    broken = verdict.broken
    if json:
        shown = broken and {
            "fault": broken.fault,
            "seq": broken.seq,
            "id": broken.id and encode_id("aud", broken.id),
        }
        print_json({"rows": verdict.rows, "broken": shown})
    elif broken is None:
        out.print(f"{verdict.rows} rows, every one is what it was when it was written", highlight=False)
    else:
        row = "" if broken.id is None else f" ({encode_id('aud', broken.id)})"
        out.print(
            f"row {broken.seq}{row} is broken: {broken.fault}; {verdict.rows} before it are whole",
            highlight=False,
        )

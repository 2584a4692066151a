"""`florin ledger monitors`: watch balances."""

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Column, Table

from florin.cli.console import out, run_async
from florin.cli.ledger import app as ledger_app
from florin.cli.ledger.books import Live, OpenBooks, Tenant, open_books
from florin.cli.ledger.options import id_of, print_json
from florin.kernel.ids import encode_id
from florin.kernel.settings import settings
from florin.ledger.model import MAX_BOUND_MINOR
from florin.ledger.monitors import service, views
from florin.ledger.monitors.model import Comparison, Metric, Monitor, NewMonitor

app = typer.Typer(help="Watch balances: an event for each crossing.", no_args_is_help=True)
ledger_app.add_typer(app, name="monitors")

_PAGE = 1000

Account = Annotated[str, typer.Option(help="acct_...: the account to look at.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON, for programs.")]
MonitorName = Annotated[str, typer.Argument(metavar="MONITOR", help="mon_..., as the list shows it.")]
Threshold = Annotated[int, typer.Option(help="In minor units.", min=-MAX_BOUND_MINOR, max=MAX_BOUND_MINOR)]
Name = Annotated[str, typer.Option(help="What people call it.")]


@app.command()
def create(
    tenant: Tenant,
    account: Account,
    name: Name,
    threshold: Threshold,
    metric: Annotated[Metric, typer.Option(help="What to look at.")] = Metric.BALANCE,
    comparison: Annotated[Comparison, typer.Option(help="When the condition holds.")] = Comparison.BELOW,
    live: Live = False,
    as_json: AsJson = False,
) -> None:
    """Watch a balance from now on."""
    new = NewMonitor(id_of("acct", account), name, metric, comparison, threshold)

    async def work() -> None:
        async with open_books(settings(), tenant, live=live) as books:
            made = await service.create_monitor(books.ledger, books.tenant_id, new, books.by)
        _show([made], as_json=as_json)

    run_async(work())


@app.command("list")
def list_(
    tenant: Tenant,
    account: Annotated[str | None, typer.Option(help="acct_...: only those that look at it.")] = None,
    live: Live = False,
    as_json: AsJson = False,
) -> None:
    """List monitors, newest first, each with how it stands now."""
    account_id = None if account is None else id_of("acct", account)

    async def work() -> None:
        found: list[Monitor] = []
        async with open_books(settings(), tenant, live=live) as books:
            more = True
            while more:
                rows = await service.monitors(
                    books.ledger,
                    books.tenant_id,
                    limit=_PAGE,
                    account_id=account_id,
                    starting_after=found[-1].id if found else None,
                )
                found += rows
                more = len(rows) == _PAGE
        _show(found, as_json=as_json)

    run_async(work())


@app.command()
def change(
    monitor: MonitorName,
    tenant: Tenant,
    name: Annotated[str | None, typer.Option(help="What people call it.")] = None,
    threshold: Annotated[
        int | None, typer.Option(help="In minor units.", min=-MAX_BOUND_MINOR, max=MAX_BOUND_MINOR)
    ] = None,
    active: Annotated[
        bool | None, typer.Option("--resume/--pause", help="Tell of crossings again, or no more.")
    ] = None,
    live: Live = False,
    as_json: AsJson = False,
) -> None:
    """Change a monitor, end it or resume it. A change itself makes no event."""

    async def changed(books: OpenBooks) -> Monitor:
        return await service.change_monitor(
            books.ledger,
            books.tenant_id,
            id_of("mon", monitor),
            books.by,
            name=name,
            threshold_minor=threshold,
            active=active,
        )

    async def work() -> None:
        async with open_books(settings(), tenant, live=live) as books:
            made = await changed(books)
        _show([made], as_json=as_json)

    run_async(work())


def _show(found: list[Monitor], *, as_json: bool) -> None:
    if as_json:
        print_json([views.monitor(one) for one in found])
        return
    whole = [Column(name, no_wrap=True) for name in ("Id", "Account")]  # to be copied, so never cut
    table = Table(*whole, "Name", "Condition", Column("Now", justify="right"), "Holds", "Active", box=None)
    for one in found:
        table.add_row(
            encode_id("mon", one.id),
            encode_id("acct", one.account_id),
            escape(one.name),
            f"{one.metric} {one.comparison} {one.threshold_minor}",
            str(one.value_minor),
            "yes" if one.holds else "no",
            "yes" if one.active else "no",
        )
    out.print(table)

"""`florin ledger verify`, `rebuild` and `status`: the books proved from the command line."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import orjson
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from florin.app.rooms import key_ring
from florin.cli.console import FAILED, USAGE, err, fail, out, run_async
from florin.cli.ledger import app
from florin.cli.ledger.books import Live, Tenant, open_books
from florin.kernel.settings import settings
from florin.ledger.proof import rebuild as rebuilding
from florin.ledger.proof import render
from florin.ledger.proof.model import Fault
from florin.ledger.proof.plan import BadPlan, Plan
from florin.ledger.proof.service import standing
from florin.ledger.proof.verify import Verifier, plan_verification
from florin.ledger.proof.verify import verify as verify_books
from florin.ledger.seals.verify import verify_seals


def also() -> list[Verifier]:
    """What else `florin ledger verify` asks of the books, beside the rules of florin.ledger.proof."""
    return [partial(verify_seals, keys=key_ring(settings()))]


_FIRST: Final = 10
_ALL: Final = 100

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
All = Annotated[bool, typer.Option("--all", help=f"Name up to {_ALL} faults, not {_FIRST}.")]


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=err,
        transient=True,
    )


@app.command()
def verify(
    tenant: Tenant,
    live: Live = False,
    from_: Annotated[
        Path | None, typer.Option("--from", help="Go on where this file says that it was stopped.")
    ] = None,
    all_: All = False,
    json: Json = False,
) -> None:
    """Verify the whole books against their log, while they are posted to. Exit 1 when something is wrong.

    Ctrl-C stops it; what is done is kept in a file, and --from goes on from there.
    """
    found = run_async(_verify(tenant, from_, live=live))
    _tell(found, limit=_ALL if all_ else _FIRST, json=json, sound="the books are as their log says")


async def _verify(tenant: str, resumed: Path | None, *, live: bool) -> list[Fault]:
    chosen = settings()
    kept = resumed or chosen.data_dir / f"verify-{tenant}-{'live' if live else 'test'}.json"
    async with open_books(chosen, tenant, live=live) as books:
        if resumed is None:
            plan = await plan_verification(books.ledger, books.tenant_id)
            kept.parent.mkdir(parents=True, exist_ok=True)
        else:
            try:
                plan = Plan.load(resumed, books.tenant_id)
            except BadPlan as bad:
                fail(str(bad), code=USAGE)
        try:
            with _bar() as bar:
                task = bar.add_task("log against entries", total=plan.total, completed=plan.done)

                def report(plan: Plan, what: str) -> None:
                    bar.update(task, description=what, completed=plan.done)

                found = await verify_books(books.ledger, plan, report=report, keep=kept, also=also())
        except asyncio.CancelledError:
            err.print(
                f"stopped after {plan.done:,} of {plan.total:,}; go on with: "
                f"florin ledger verify --tenant {tenant} {'--live' if live else '--test'} --from {kept}",
                highlight=False,
                soft_wrap=True,
            )
            raise
    with suppress(FileNotFoundError):
        kept.unlink()
    return found


def _tell(found: Sequence[Fault], *, limit: int, json: bool, sound: str) -> None:
    if json:
        shown = [render.fault(one) for one in found[:limit]]
        typer.echo(orjson.dumps({"fault_count": len(found), "faults": shown}, option=orjson.OPT_INDENT_2))
    elif not found:
        out.print(sound)
    else:
        out.print(_table(found[:limit]))
    if found:
        err.print(f"[bold red]{len(found)} faults[/]" if len(found) > 1 else "[bold red]1 fault[/]")
        raise typer.Exit(FAILED)


def _table(found: Sequence[Fault]) -> Table:
    table = Table("Rule", "Transfer", "Account", "Entry", "Found", box=None, pad_edge=False)
    for one in found:
        shown = {name: "" if value is None else str(value) for name, value in render.fault(one).items()}
        table.add_row(shown["rule"], shown["transfer"], shown["account"], shown["seq"], shown["detail"])
    return table


@app.command()
def rebuild(
    tenant: Tenant,
    live: Live = False,
    write: Annotated[
        bool,
        typer.Option("--write", help="Put accounts, limits and projections where the log leaves them."),
    ] = False,
    all_: All = False,
    json: Json = False,
) -> None:
    """Make the books anew from the log, and compare; exit 1 when they differ. The log is never written.

    Ctrl-C stops it, and the same command goes on where it was.
    """
    if write:
        _tell_rebuilt(run_async(_write(tenant, live=live)), json=json)
        return
    found = run_async(_compare(tenant, live=live))
    _tell(found, limit=_ALL if all_ else _FIRST, json=json, sound="the books are what the log makes of them")


async def _compare(tenant: str, *, live: bool) -> list[Fault]:
    async with open_books(settings(), tenant, live=live) as books:
        with _bar() as bar:
            return await rebuilding.compare(books.ledger, books.tenant_id, report=_adder(bar))


async def _write(tenant: str, *, live: bool) -> rebuilding.Rebuilt:
    async with open_books(settings(), tenant, live=live) as books:
        with _bar() as bar:
            return await rebuilding.write(books.ledger, books.tenant_id, report=_adder(bar))


def _adder(bar: Progress) -> rebuilding.Report:
    task: TaskID = bar.add_task("transfers added up", total=None)

    def report(transfers: int) -> None:
        bar.advance(task, transfers)

    return report


def _tell_rebuilt(rebuilt: rebuilding.Rebuilt, *, json: bool) -> None:
    if json:
        typer.echo(orjson.dumps(render.rebuilt(rebuilt), option=orjson.OPT_INDENT_2))
        return
    for what, ids in rebuilt._asdict().items():
        out.print(f"{len(ids)} {what} put right", highlight=False)


@app.command()
def status(tenant: Tenant, live: Live = False, json: Json = False) -> None:
    """Show how far the books are proven, and the first fault that was found. Exit 1 when there is one."""
    shown = run_async(_standing(tenant, live=live))
    if json:
        typer.echo(orjson.dumps(shown, option=orjson.OPT_INDENT_2))
    else:
        _show(shown)
    if shown["fault_count"]:
        raise typer.Exit(FAILED)


async def _standing(tenant: str, *, live: bool) -> dict[str, Any]:
    async with open_books(settings(), tenant, live=live) as books:
        return render.standing(await standing(books.ledger, books.tenant_id))


def _show(shown: dict[str, Any]) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_row("proven", f"{shown['transfers']:,} transfers, {shown['entries']:,} entries")
    table.add_row("up to", f"{shown['last_transfer'] or 'nothing'} {shown['last_recorded_at'] or ''}")
    table.add_row("at", shown["proven_at"] or "never")
    table.add_row("behind", f"{shown['behind_transfers']:,} transfers, {shown['behind_seconds']:.0f} s")
    table.add_row("faults", str(shown["fault_count"]))
    for name, value in (shown["faults"][0] if shown["faults"] else {}).items():
        table.add_row(f"  {name}", "" if value is None else str(value))
    out.print(table)

"""`florin retention`: for how long a tenant keeps what, and letting go what is older."""

from dataclasses import asdict
from functools import partial
from typing import Annotated

import typer
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn
from rich.table import Table

from florin.cli.console import USAGE, err, fail, out, run_async
from florin.cli.ledger.books import Live
from florin.cli.ledger.options import Json, print_json
from florin.cli.platform import open_platform, tenant_id_of
from florin.kernel.provenance import acting
from florin.kernel.settings import settings
from florin.privacy.retention import rules
from florin.privacy.retention.policy import Retention
from florin.privacy.retention.service import EVENTS_YEARS, Counts, drop_old_events
from florin.privacy.retention.service import run as run_retention
from florin.privacy.room import Privacy
from florin.tenancy.service import tenant_ids

app = typer.Typer(help="How long a tenant keeps what; letting go what is older.", no_args_is_help=True)

Tenant = Annotated[str, typer.Option("--tenant", "-t", help="The tenant's code.")]
Years = Annotated[int | None, typer.Option(min=0, max=100, help="Years.")]

_SHOWN = {
    "personal_years": "people of whom nothing is heard",
    "transactions_years": "payments' free text, what providers told",
    "audit_years": "the audit log",
    "erasure_waits_years": "nobody is erased on request before",
}


@app.command()
def show(tenant: Tenant, live: Live = False, json: Json = False) -> None:
    """Show a tenant's years, and the least that the platform allows."""
    _tell(run_async(_changed(tenant, {}, live=live)), json=json)


@app.command("set")
def set_(
    tenant: Tenant,
    personal: Years = None,
    transactions: Years = None,
    audit: Years = None,
    erasure_waits: Years = None,
    live: Live = False,
) -> None:
    """Change a tenant's years, from now on."""
    given = {
        "personal_years": personal,
        "transactions_years": transactions,
        "audit_years": audit,
        "erasure_waits_years": erasure_waits,
    }
    changes = {name: years for name, years in given.items() if years is not None}
    if not changes:
        fail("say which years: --personal, --transactions, --audit or --erasure-waits", code=USAGE)
    _tell(run_async(_changed(tenant, changes, live=live)), json=False)


@app.command()
def run(
    tenant: Annotated[str | None, typer.Option("--tenant", "-t", help="Only this tenant.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing; count what is due.")] = False,
    live: Live = False,
    json: Json = False,
) -> None:
    """Let go now what the worker would let go in the night. Stop it at will; it goes on where it was."""
    found = run_async(_run(tenant, live=live, dry_run=dry_run))
    if json:
        print_json([{"tenant_id": tenant_id, **asdict(counts)} for tenant_id, counts in found.items()])
        return
    names = list(asdict(Counts()))
    table = Table("Tenant", *(name.replace("_", " ") for name in names), box=None)
    for tenant_id, counts in found.items():
        table.add_row(str(tenant_id), *(str(getattr(counts, name)) for name in names))
    out.print(table)
    if dry_run:
        err.print("nothing was changed")


async def _changed(tenant: str, changes: dict[str, int], *, live: bool) -> Retention:
    async with open_platform(settings()) as platform:
        privacy = Privacy(platform.tenancy, settings())
        tenant_id = await tenant_id_of(platform, tenant, live=live)
        who = acting()
        return await rules.change(privacy, tenant_id, changes, by=who.actor if who else "cli")


async def _run(tenant: str | None, *, live: bool, dry_run: bool) -> dict[int, Counts]:
    found: dict[int, Counts] = {}
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TextColumn("{task.completed}"))
    async with open_platform(settings()) as platform:
        privacy = Privacy(platform.tenancy, settings())
        chosen = (
            await tenant_ids(platform.tenancy)
            if tenant is None
            else [await tenant_id_of(platform, tenant, live=live)]
        )
        with Progress(*columns, console=err, transient=True) as progress:
            for tenant_id in chosen:
                task = progress.add_task(f"tenant {tenant_id}", total=None)
                found[tenant_id] = await run_retention(
                    privacy, tenant_id, dry_run=dry_run, on_progress=partial(_advance, progress, task)
                )
                progress.remove_task(task)
        if tenant is None and not dry_run:
            for name in await drop_old_events(privacy.database):
                err.print(f"dropped {name}", highlight=False)
    return found


def _advance(progress: Progress, task: TaskID, what: str, rows: int) -> None:
    progress.update(task, advance=rows, description=what.replace("_", " "))


def _tell(found: Retention, *, json: bool) -> None:
    least = asdict(rules.floor_of(settings()))
    if json:
        print_json({**asdict(found), "events_years": EVENTS_YEARS, "least": least})
        return
    table = Table("What", "Years", "At least", "Of what", box=None)
    for name, meaning in _SHOWN.items():
        table.add_row(name.removesuffix("_years"), str(getattr(found, name)), str(least[name]), meaning)
    table.add_row("events", str(EVENTS_YEARS), str(EVENTS_YEARS), "events and deliveries, of all tenants")
    out.print(table)

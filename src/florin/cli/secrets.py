"""`florin secrets`: the keys of the ring, what each of them seals, and turning them."""

import time
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from florin.cli.console import FAILED, err, fail, out, run_async
from florin.cli.ledger.options import Json, print_json
from florin.cli.platform import open_platform
from florin.kernel.crypto import KeyRing, add_key, drop_key, new_key
from florin.kernel.settings import settings
from florin.privacy.reencryption.service import Done, Needs, count_due, needs, reencrypt
from florin.tenancy.customers import service as customers
from florin.tenancy.service import Tenancy, tenant_ids

app = typer.Typer(help="Keys that seal secrets and personal data, and turning them.", no_args_is_help=True)

_SETTLE_S: Final = 60.0
"""So long after the ring has changed, whoever sealed by the key before has committed."""


@asynccontextmanager
async def _everything() -> AsyncIterator[tuple[Tenancy, list[int]]]:
    async with open_platform(settings()) as platform:
        yield platform.tenancy, await tenant_ids(platform.tenancy)


@app.command()
def status(json: Json = False) -> None:
    """Show the keys of the ring, and how much each of them seals."""

    async def work() -> tuple[KeyRing, Needs, int]:
        async with _everything() as (tenancy, tenants):
            plain = [await customers.count_in_plain(tenancy, one) for one in tenants]
            return tenancy.key_ring, await needs(tenancy.database, tenants), sum(plain)

    ring, found, in_plain = run_async(work())
    rows = sorted(found.counts.items())
    lost = sorted(found.key_ids - set(ring.ids))
    if json:
        print_json(
            {
                "keys": list(ring.ids),
                "file": None if ring.file is None else str(ring.file),
                "sealed": [
                    {"key": key_id, "column": column, "rows": count} for (column, key_id), count in rows
                ],
                "missing_keys": lost,
                "customers_in_plain": in_plain,
            }
        )
    else:
        table = Table("Key", "Role", "Column", "Values", box=None)
        for key_id in (*ring.ids, *lost):
            role = "missing" if key_id in lost else "seals" if key_id == ring.ids[0] else "opens"
            mine = [(column, count) for (column, one), count in rows if one == key_id] or [("", 0)]
            for column, count in mine:
                table.add_row(key_id, role, column, str(count))
        out.print(table)
        if in_plain:
            err.print(f"{in_plain} customers stand in plain: florin secrets encrypt", highlight=False)
    if lost:
        fail(f"values are sealed by keys that are not on the ring: {', '.join(lost)}")


@app.command()
def rotate() -> None:
    """Put a fresh key in front of the ring's file. Running processes follow at once.

    What older keys have sealed still opens. florin secrets reencrypt seals it anew, or the worker within
    the hour.
    """
    made = add_key(_file())
    out.print(f"{made} seals from now on; next: florin secrets reencrypt", highlight=False)


@app.command()
def new() -> None:
    """Print a fresh key for FLORIN_KEY_RING or for a file of your own. It is kept nowhere."""
    out.print(b64encode(new_key()).decode(), highlight=False, soft_wrap=True)


@app.command("reencrypt")
def reencrypt_() -> None:
    """Seal anew whatever older keys of the ring have sealed. Stop it at will; it goes on where it was."""

    async def work() -> Done:
        total = Done()
        async with _everything() as (tenancy, tenants):
            database, ring = tenancy.database, tenancy.key_ring
            due = {one: await count_due(database, ring, one) for one in (None, *tenants)}
            with _progress() as progress:
                task = progress.add_task("values", total=sum(due.values()))
                for tenant_id in (one for one, count in due.items() if count):
                    done = await reencrypt(
                        database, ring, tenant_id, on_progress=lambda rows: progress.advance(task, rows)
                    )
                    total.rows += done.rows
                    total.broken += done.broken
        return total

    done = run_async(work())
    out.print(f"{done.rows} values sealed anew", highlight=False)
    if done.broken:
        fail(f"{done.broken} values do not open: altered, or moved; the log names them")


@app.command()
def encrypt() -> None:
    """Seal what earlier versions wrote of customers in plain. Stop it at will; it goes on where it was."""

    async def work() -> int:
        sealed = 0
        async with _everything() as (tenancy, tenants):
            with _progress() as progress:
                for tenant_id in tenants:
                    task = progress.add_task(f"tenant {tenant_id}", total=None)
                    sealed += await customers.seal_customers(
                        tenancy,
                        tenant_id,
                        on_progress=lambda done, total, task=task: progress.update(  # type: ignore[misc]
                            task, completed=done, total=total
                        ),
                    )
                    progress.remove_task(task)
        return sealed

    out.print(f"{run_async(work())} customers sealed", highlight=False)


@app.command()
def retire(
    key: Annotated[str, typer.Argument(help="The key's id, as florin secrets status shows it.")],
) -> None:
    """Take a key off the ring's file; refused while anything needs it. Backups from before still do."""

    async def work() -> int:
        async with _everything() as (tenancy, tenants):
            return (await needs(tenancy.database, tenants)).of(key)

    path = _file()
    if key in KeyRing.from_file(path).ids[1:]:
        since_s = time.time() - path.stat().st_mtime
        if since_s < _SETTLE_S:
            fail(
                f"the ring has just changed: try again in {_SETTLE_S - since_s:.0f} s, when all have followed"
            )
        needed = run_async(work())
        if needed:
            fail(f"{needed} values are sealed by {key}; run florin secrets reencrypt first")
    drop_key(path, key)
    out.print(
        f"{key} is off the ring. Keep a copy for as long as you keep backups of its time.", highlight=False
    )


def _file() -> Path:
    """The ring's file; ends the command where the keys come from the environment."""
    chosen = settings()
    if chosen.key_ring is not None:
        fail(
            "the keys come from FLORIN_KEY_RING: change it there and restart; florin secrets new makes one",
            code=FAILED,
        )
    return chosen.key_ring_file or chosen.data_dir / "key_ring"


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=err, transient=True)

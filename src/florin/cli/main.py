"""The `florin` command."""

import asyncio
import getpass
from pathlib import Path
from typing import Annotated

import psycopg
import typer
from pydantic import ValidationError
from rich.table import Table

from florin import __version__
from florin.cli.console import FAILED, USAGE, CannotStart, err, fail, out, run_async
from florin.cli.lazy import LazyGroup
from florin.kernel import migrations
from florin.kernel.crypto import BadKeyRing
from florin.kernel.database_urls import open_database
from florin.kernel.embedded import EmbeddedError
from florin.kernel.errors import Refusal
from florin.kernel.log import configure_logging
from florin.kernel.migrations import MigrationError
from florin.kernel.provenance import Provenance, acting_as
from florin.kernel.roles import RolesError
from florin.kernel.settings import Settings, SettingUnusable, settings

app = typer.Typer(
    name="florin",
    cls=LazyGroup,
    help="A self-hosted payments platform: payments, a double-entry ledger, webhooks.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        out.print(f"florin {__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def _root(
    _: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    try:
        chosen = settings()
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = f"FLORIN_{str(first['loc'][0]).upper()}: " if first["loc"] else ""
        fail(where + first["msg"].removeprefix("Value error, "), code=USAGE)
    configure_logging(chosen.log_level, chosen.log_format, file=chosen.log_file)


@app.command()
def run(
    host: Annotated[str | None, typer.Option(help="Address to serve on.  [FLORIN_HOST]")] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to serve on.  [FLORIN_PORT]", min=0, max=65535)
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="API processes.  [FLORIN_WORKERS]", min=1, max=64)
    ] = None,
) -> None:
    """Start everything: database, API, background worker. Ctrl-C stops it all."""
    from florin.cli.run import run_florin  # noqa: PLC0415 - opens every room of the house

    given = {"host": host, "port": port, "workers": workers}
    chosen = settings().model_copy(update={name: value for name, value in given.items() if value is not None})
    run_async(run_florin(chosen))


@app.command(hidden=True)
def serve(fd: Annotated[int, typer.Option(help="A listening socket to serve on.")]) -> None:
    """One API process; `florin run` starts it."""
    from florin.app.asgi import serve_api  # noqa: PLC0415 - other commands need not wait for it
    from florin.app.tls import BadTls  # noqa: PLC0415

    try:
        run_async(serve_api(settings(), fd))
    except BadTls as error:
        fail(f"no TLS: {error}")


@app.command(hidden=True)
def work() -> None:
    """The background worker; `florin run` starts it."""
    from florin.app.work import work_in_background  # noqa: PLC0415

    run_async(work_in_background(settings()))


@app.command()
def migrate(
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit 1 when something is pending.")
    ] = False,
) -> None:
    """Bring the database to this version's schema. Safe to run twice, and by two at once."""
    run_async(_migrate(settings(), check=check))


async def _migrate(chosen: Settings, *, check: bool) -> None:
    from florin.audit import schema_watch  # noqa: PLC0415

    async with open_database(chosen) as urls:
        if check:
            pending = await migrations.check(urls.owner)
            for one in pending:
                out.print(f"pending  {one}", highlight=False)
            if pending:
                fail(f"{len(pending)} migrations are pending; run florin migrate")
            out.print("up to date")
            return
        applied = await migrations.migrate(urls.owner, on_step=lambda one: out.print(f"applied  {one}"))
        if urls.root is not None:
            await schema_watch.install(urls.root)
        out.print("up to date" if not applied else f"{len(applied)} applied", highlight=False)


@app.command()
def doctor() -> None:
    """Look at what must hold for the books to be safe; exit 1 when something does not."""
    from florin.cli.doctor import examine  # noqa: PLC0415

    async def look() -> bool:
        async with open_database(settings()) as urls:
            pending = len(await migrations.check(urls.owner))
            if pending:
                fail(f"{pending} migrations are pending; run florin migrate")
            table = Table("", "What must hold", "Seen", "What helps", box=None, pad_edge=False)
            findings = await examine(settings(), urls, pending)
            for finding in findings:
                mark = "[green]ok[/]" if finding.holds else "[bold red]no[/]"
                table.add_row(mark, finding.name, finding.seen, "" if finding.holds else finding.advice)
            out.print(table)
            return all(finding.holds for finding in findings)

    if not run_async(look()):
        raise typer.Exit(FAILED)


@app.command()
def sandbox(
    host: Annotated[str, typer.Option(help="Address to serve on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to serve on.", min=0, max=65535)] = 8080,
    webhook_url: Annotated[
        str | None, typer.Option(help="Where to send webhooks: <Florin>/providers/sandbox/webhooks.")
    ] = None,
) -> None:
    """The sandbox provider as an HTTP server of its own; point FLORIN_SANDBOX_URL at it."""
    from florin.cli.sandbox import serve_sandbox  # noqa: PLC0415

    run_async(serve_sandbox(settings(), host, port, webhook_url))


@app.command()
def bench(
    output: Annotated[Path, typer.Option(help="Where the figures go, as JSON.")] = Path(
        "benchmarks/latest.json"
    ),
    quick: Annotated[bool, typer.Option("--quick", help="Shorter runs, rougher figures.")] = False,
    only: Annotated[list[str] | None, typer.Option(help="Only these parts; may be repeated.")] = None,
) -> None:
    """Measure Florin against the same SQL called once per item; ratios within one run."""
    from florin.cli.bench.load import LoadFailed  # noqa: PLC0415
    from florin.cli.bench.run import run_bench  # noqa: PLC0415

    try:
        directory = Path(".florin-bench").resolve()
        run_async(run_bench(output, directory, quick=quick, only=only or []))
    except LoadFailed as error:
        fail(str(error))


def main() -> None:
    """Runs the command; what is expected to go wrong ends it with one sentence and a code.

    What it changes is put down to whoever is logged in on this machine.
    """
    try:
        with acting_as(lambda: Provenance(actor=f"cli:{getpass.getuser()}")):
            app()
    except BadKeyRing as error:
        fail(f"the key ring (FLORIN_KEY_RING, or key_ring in the data directory): {error}", code=USAGE)
    except SettingUnusable as error:
        fail(str(error), code=USAGE)
    except (EmbeddedError, RolesError, MigrationError, CannotStart) as error:
        fail(str(error))
    except Refusal as refusal:
        named = refusal.param is None or refusal.detail.startswith(f"{refusal.param}:")
        fail(refusal.detail if named else f"{refusal.param}: {refusal.detail}", code=USAGE)
    except psycopg.OperationalError as error:
        fail(f"the database does not answer: {str(error).strip().splitlines()[0]}")
    except (KeyboardInterrupt, asyncio.CancelledError):
        err.print("stopped")
        raise SystemExit(130) from None

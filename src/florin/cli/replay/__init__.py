"""`florin replay`: real data, sent over HTTP, then proved from the API's own balances."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from florin.cli.replay import berka, berka_file, command, report, retail, retail_file
from florin.cli.replay.berka_file import Row
from florin.cli.replay.client import Api
from florin.cli.replay.command import Options, console
from florin.cli.replay.errors import Interrupted
from florin.cli.replay.report import Tally
from florin.cli.replay.retail_file import Invoice

app = typer.Typer(
    help="Send real data to a running Florin over HTTP, then prove the balances. "
    "Exit codes: 0 proved, 1 refused or not equal, 2 could not be done, 130 interrupted.",
    no_args_is_help=True,
)

Url = Annotated[str, typer.Option(help="Where Florin answers.")]
ApiKey = Annotated[
    str | None,
    typer.Option(
        envvar="FLORIN_API_KEY",
        show_envvar=True,
        show_default="the one in demo.env of the data directory",
        help="A key that may post payments and transfers and read accounts.",
    ),
]
Concurrency = Annotated[int, typer.Option(min=1, max=1000, help="Requests in flight.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Only the first so many.", show_default="all")]

_URL = "http://127.0.0.1:8000"


@app.command("retail")
def retail_command(
    path: Annotated[Path, typer.Argument(help="online_retail.csv")],
    url: Url = _URL,
    api_key: ApiKey = None,
    concurrency: Concurrency = 64,
    limit: Limit = None,
) -> None:
    """Take a shop's invoices as card payments, and refund every 20th in part."""
    options = Options(url, api_key, concurrency, limit)
    raise typer.Exit(
        command.run(
            options, lambda: retail_file.read(path), lambda api, invoices: _retail(api, invoices, options)
        )
    )


async def _retail(api: Api, all_invoices: Sequence[Invoice], options: Options) -> int:
    invoices = all_invoices[: options.limit]
    tally = Tally()
    sales = retail.sales_of(invoices, tally)
    before = await retail.standing(api)
    try:
        with command.progress("invoices", len(sales)) as advance:
            moved = await retail.send(api, sales, tally, concurrency=options.concurrency, advance=advance)
    finally:
        tally.finish()
        report.print_summary(console, f"{len(invoices):,} invoices", tally, retail_file.CURRENCY)
    if api.stop.is_set():
        raise Interrupted
    return _conclude(tally, await retail.prove(api, before, moved))


@app.command("berka")
def berka_command(
    path: Annotated[Path, typer.Argument(help="trans.asc, or the folder that holds it")],
    url: Url = _URL,
    api_key: ApiKey = None,
    concurrency: Concurrency = 64,
    limit: Limit = None,
    batch: Annotated[int, typer.Option(min=1, max=500, help="Transfers per request. 1: a request each.")] = 1,
) -> None:
    """Send a bank's transactions as ledger transfers, in order within each account."""
    options = Options(url, api_key, concurrency, limit)
    raise typer.Exit(
        command.run(
            options, lambda: berka_file.read(path), lambda api, rows: _berka(api, rows, options, batch)
        )
    )


async def _berka(api: Api, rows: Sequence[Row], options: Options, batch: int) -> int:
    to_send = rows[: options.limit]
    ids = await berka.open_accounts(api, berka.accounts_of(to_send), options.concurrency)
    if api.stop.is_set():
        raise Interrupted
    tally = Tally()
    try:
        with command.progress("transactions", len(to_send)) as advance:
            await berka.send(
                api, to_send, ids, tally, concurrency=options.concurrency, batch=batch, advance=advance
            )
    finally:
        tally.finish()
        report.print_summary(console, f"{len(to_send):,} transactions", tally, berka_file.CURRENCY)
    if api.stop.is_set():
        raise Interrupted
    return _conclude(tally, await berka.prove(api, rows, len(to_send)))


def _conclude(tally: Tally, checks: list[report.Check]) -> int:
    report.print_proof(console, checks)
    return report.exit_code(tally, checks)


__all__ = ["app"]

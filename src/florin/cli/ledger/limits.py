"""`florin ledger limits`: bounds on what several accounts hold together."""

from typing import Annotated, Any

import typer
from rich.table import Table

from florin.cli.console import FAILED, out
from florin.cli.ledger import app as ledger_app
from florin.cli.ledger.books import Live, OpenBooks, Tenant
from florin.cli.ledger.options import Json, Why, id_of, on_books, print_json
from florin.kernel.ids import encode_id
from florin.ledger.limits import service
from florin.ledger.limits.http import render_limit
from florin.ledger.limits.model import NewLimit
from florin.ledger.model import Direction

app = typer.Typer(help="Bounds on what several accounts hold together.", no_args_is_help=True)
ledger_app.add_typer(app, name="limits")

LimitArgument = Annotated[str, typer.Argument(metavar="LIMIT", help="lim_..., as list shows it.")]
Accounts = Annotated[list[str], typer.Argument(metavar="ACCOUNTS...", help="acct_...")]
Lowest = Annotated[int | None, typer.Option("--min", help="Lower bound of the sum, minor units.")]
Highest = Annotated[int | None, typer.Option("--max", help="Upper bound of the sum, minor units.")]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What people call it.")],
    tenant: Tenant,
    side: Annotated[Direction, typer.Option(help="Normal side of its accounts.")],
    currency: Annotated[str, typer.Option(help="ISO 4217 code.")],
    lowest: Lowest = None,
    highest: Highest = None,
    reason: Why = None,
    live: Live = False,
) -> None:
    """Create a limit that no account shares yet."""

    async def work(books: OpenBooks) -> None:
        new = NewLimit(name, side, currency, lowest, highest)
        made = await service.create_limit(books.ledger, books.tenant_id, new, by=books.because(reason))
        out.print(encode_id("lim", made.id), highlight=False)

    on_books(tenant, work, live=live)


@app.command("list")
def list_(tenant: Tenant, live: Live = False, json: Json = False) -> None:
    """List limits with what their accounts hold together, newest first."""

    async def work(books: OpenBooks) -> None:
        found = await service.limits(books.ledger, books.tenant_id, limit=10_000)
        shown = [render_limit(one) for one in found]
        if json:
            print_json(shown)
            return
        columns = ("id", "name", "side", "currency", "balance", "available", "min_balance", "max_balance")
        table = Table(*(column.replace("_balance", "").capitalize() for column in columns), box=None)
        for one in shown:
            table.add_row(*("" if one[column] is None else str(one[column]) for column in columns))
        out.print(table)

    on_books(tenant, work, live=live)


@app.command("set")
def set_(
    limit: LimitArgument,
    tenant: Tenant,
    name: Annotated[str | None, typer.Option(help="What people call it.")] = None,
    lowest: Lowest = None,
    highest: Highest = None,
    unbounded: Annotated[bool, typer.Option("--unbounded", help="Take both bounds away.")] = False,
    reason: Why = None,
    live: Live = False,
) -> None:
    """Change a limit's name or bounds."""
    change: dict[str, Any] = {"name": name}
    if lowest is not None or unbounded:
        change["min_balance_minor"] = lowest
    if highest is not None or unbounded:
        change["max_balance_minor"] = highest

    async def work(books: OpenBooks) -> None:
        changed = await service.change_limit(
            books.ledger, books.tenant_id, id_of("lim", limit), **change, by=books.because(reason)
        )
        print_json(render_limit(changed))

    on_books(tenant, work, live=live)


@app.command()
def attach(
    limit: LimitArgument, accounts: Accounts, tenant: Tenant, reason: Why = None, live: Live = False
) -> None:
    """Let accounts share a limit, all or none of them."""

    async def work(books: OpenBooks) -> None:
        limit_id, ids = id_of("lim", limit), [id_of("acct", one) for one in accounts]
        await service.share(books.ledger, books.tenant_id, ids, limit_id, by=books.because(reason))
        print_json(render_limit(await service.limit(books.ledger, books.tenant_id, limit_id)))

    on_books(tenant, work, live=live)


@app.command()
def detach(accounts: Accounts, tenant: Tenant, reason: Why = None, live: Live = False) -> None:
    """Let accounts share no limit any more."""

    async def work(books: OpenBooks) -> None:
        ids = [id_of("acct", one) for one in accounts]
        await service.share(books.ledger, books.tenant_id, ids, None, by=books.because(reason))
        out.print(f"{len(ids)} accounts share no limit", highlight=False)

    on_books(tenant, work, live=live)


@app.command()
def verify(tenant: Tenant, live: Live = False) -> None:
    """Compare each limit's running sums with its accounts; exit 1 when one is wrong."""

    async def work(books: OpenBooks) -> None:
        wrong = await service.mismatches(books.ledger, books.tenant_id)
        for one in wrong:
            out.print(
                f"{encode_id('lim', one.limit_id)}: holds {one.balance_minor}, "
                f"its accounts {one.member_balance_minor}",
                highlight=False,
            )
        if wrong:
            raise typer.Exit(FAILED)
        out.print("every limit holds what its accounts do")

    on_books(tenant, work, live=live)

"""`florin ledger accounts`: open, find, change, freeze and close accounts."""

from typing import Annotated, Any

import typer
from rich.table import Table

from florin.audit import service as audit
from florin.audit.http import render as render_entry
from florin.cli.console import USAGE, fail, out
from florin.cli.history import audit_table
from florin.cli.ledger import app as ledger_app
from florin.cli.ledger.books import Live, OpenBooks, Tenant
from florin.cli.ledger.options import Json, Why, duration, id_of, on_books, print_json
from florin.ledger import service
from florin.ledger.http import render
from florin.ledger.model import Account, AccountStatus, AccountType, MatchBy, NewAccount

app = typer.Typer(help="Open, find, change, freeze and close accounts.", no_args_is_help=True)
ledger_app.add_typer(app, name="accounts")

AccountArgument = Annotated[str, typer.Argument(metavar="ACCOUNT", help="acct_..., as list shows it.")]
Noted = Annotated[list[str] | None, typer.Option("--metadata", help="key=value; may be repeated.")]
Lowest = Annotated[int | None, typer.Option("--min", help="Its own lower bound, minor units.")]
Highest = Annotated[int | None, typer.Option("--max", help="Its own upper bound, minor units.")]


@app.command("open")
def open_(
    code: Annotated[str, typer.Argument(help="Unique within the tenant, such as customer:1024:wallet.")],
    tenant: Tenant,
    name: Annotated[str, typer.Option(help="What people call it.")],
    kind: Annotated[AccountType, typer.Option("--type", help="What it is.")],
    currency: Annotated[str, typer.Option(help="ISO 4217 code.")],
    lowest: Lowest = None,
    highest: Highest = None,
    clears_within: Annotated[str | None, typer.Option(help="Returns to zero within this: P7D.")] = None,
    match_by: Annotated[MatchBy, typer.Option(help="How amounts that clear meet.")] = MatchBy.ORDER,
    metadata: Noted = None,
    reason: Why = None,
    live: Live = False,
) -> None:
    """Open an account."""
    noted, clears = _pairs(metadata), duration(clears_within)
    new = NewAccount(code, name, kind, currency, lowest, highest, noted, clears, match_by)

    async def work(books: OpenBooks) -> None:
        opened = await service.open_account(books.ledger, books.tenant_id, new, by=books.because(reason))
        out.print(render.account(opened)["id"], highlight=False)

    on_books(tenant, work, live=live)


@app.command("list")
def list_(
    tenant: Tenant,
    under: Annotated[str | None, typer.Option(help="Only those at or below this code.")] = None,
    metadata: Noted = None,
    status: Annotated[AccountStatus | None, typer.Option(help="Only those with this status.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many.", min=1, max=10_000)] = 100,
    live: Live = False,
    json: Json = False,
) -> None:
    """List accounts, newest first."""
    noted = _pairs(metadata)

    async def work(books: OpenBooks) -> None:
        found = await service.accounts(
            books.ledger, books.tenant_id, limit=limit, under=under, metadata=noted, status=status
        )
        _tell(found, json=json)

    on_books(tenant, work, live=live)


@app.command()
def show(account: AccountArgument, tenant: Tenant, live: Live = False) -> None:
    """Show all that is known of an account, as JSON."""

    async def work(books: OpenBooks) -> None:
        found = await service.account(books.ledger, books.tenant_id, id_of("acct", account))
        print_json(render.account(found))

    on_books(tenant, work, live=live)


@app.command("set")
def set_(
    account: AccountArgument,
    tenant: Tenant,
    name: Annotated[str | None, typer.Option(help="What people call it.")] = None,
    lowest: Lowest = None,
    highest: Highest = None,
    unbounded: Annotated[bool, typer.Option("--unbounded", help="Take its own bounds away.")] = False,
    limit: Annotated[str | None, typer.Option(help="lim_...: the limit to share; 'none': none.")] = None,
    clears_within: Annotated[str | None, typer.Option(help="Returns to zero within this: P7D.")] = None,
    metadata: Noted = None,
    reason: Why = None,
    live: Live = False,
) -> None:
    """Change an account's name, bounds, limit, clearing or metadata."""
    change: dict[str, Any] = {"name": name, "metadata": _pairs(metadata) or None}
    if lowest is not None or unbounded:
        change["min_balance_minor"] = lowest
    if highest is not None or unbounded:
        change["max_balance_minor"] = highest
    if limit is not None:
        change["limit_id"] = None if limit == "none" else id_of("lim", limit)
    if clears_within is not None:
        change["clears_within"] = duration(clears_within)
    _change(account, tenant, change, reason, live=live)


@app.command()
def freeze(account: AccountArgument, tenant: Tenant, reason: Why = None, live: Live = False) -> None:
    """Let nothing move on an account."""
    _change(account, tenant, {"status": AccountStatus.FROZEN}, reason, live=live)


@app.command()
def unfreeze(account: AccountArgument, tenant: Tenant, reason: Why = None, live: Live = False) -> None:
    """Let a frozen account move again."""
    _change(account, tenant, {"status": AccountStatus.ACTIVE}, reason, live=live)


@app.command()
def close(account: AccountArgument, tenant: Tenant, reason: Why = None, live: Live = False) -> None:
    """Close an account for good; only at zero and without holds."""
    _change(account, tenant, {"status": AccountStatus.CLOSED}, reason, live=live)


@app.command()
def changes(
    account: AccountArgument,
    tenant: Tenant,
    limit: Annotated[int, typer.Option(help="At most so many.", min=1, max=10_000)] = 100,
    live: Live = False,
    json: Json = False,
) -> None:
    """Show who changed an account's settings, when and why, newest first."""

    async def work(books: OpenBooks) -> None:
        found = await audit.entries(
            books.database,
            books.tenant_id,
            limit=limit,
            entity_type="account",
            entity_id=str(id_of("acct", account)),
        )
        if json:
            print_json([render_entry(entry).model_dump(mode="json") for entry in found])
        else:
            out.print(audit_table(found))

    on_books(tenant, work, live=live)


def _change(account: str, tenant: str, change: dict[str, Any], reason: str | None, *, live: bool) -> None:
    async def work(books: OpenBooks) -> None:
        changed = await service.change_account(
            books.ledger, books.tenant_id, id_of("acct", account), **change, by=books.because(reason)
        )
        _tell([changed], json=False)

    on_books(tenant, work, live=live)


def _tell(found: list[Account], *, json: bool) -> None:
    shown = [render.account(one) for one in found]
    if json:
        print_json(shown)
        return
    columns = ("id", "code", "type", "status", "balance", "available", "currency")
    table = Table(*(column.capitalize() for column in columns), "Min", "Max", box=None)
    for one in shown:
        bounds = (one["effective_min_balance"], one["effective_max_balance"])
        cells = [str(one[column]) for column in columns]
        table.add_row(*cells, *("" if bound is None else str(bound) for bound in bounds))
    out.print(table)


def _pairs(given: list[str] | None) -> dict[str, str]:
    for pair in given or ():
        if "=" not in pair:
            fail(f"{pair!r} is not key=value", code=USAGE)
    return {key: value for key, _, value in (pair.partition("=") for pair in given or ())}

"""`florin ledger chart`: the chart of accounts."""

from typing import Annotated, Any

import typer
from rich.table import Table

from florin.cli.console import out
from florin.cli.ledger import app as ledger_app
from florin.cli.ledger.books import Live, OpenBooks, Tenant
from florin.cli.ledger.options import Json, Why, duration, on_books, print_json
from florin.ledger.chart import http as render
from florin.ledger.chart import service, shipped
from florin.ledger.chart.model import ChartNode, Total
from florin.ledger.chart.service import NodeChange
from florin.ledger.model import NORMAL_SIDE, AccountType, Direction, MatchBy

app = typer.Typer(
    help="The chart of accounts: classes, what binds them, what they hold.", no_args_is_help=True
)
ledger_app.add_typer(app, name="chart")

Code = Annotated[str, typer.Argument(help="The node's code, such as assets:bank.")]
Lowest = Annotated[int | None, typer.Option("--min", help="Lower bound of each account, minor units.")]
Highest = Annotated[int | None, typer.Option("--max", help="Upper bound of each account, minor units.")]
Clears = Annotated[str | None, typer.Option(help="Returns to zero within this: P7D, PT36H.")]


@app.command()
def tree(
    tenant: Tenant,
    under: Annotated[str | None, typer.Option(help="Only what is at or below this code.")] = None,
    live: Live = False,
    json: Json = False,
) -> None:
    """Show the chart with what the accounts of each node hold."""

    async def work(books: OpenBooks) -> None:
        found = await service.tree(books.ledger, books.tenant_id, under=under)
        if json:
            print_json([render.render_branch(branch) for branch in found])
            return
        table = Table("Node", "Name", "Type", "Bounds", "Clears", "Accounts", "Net", box=None)
        for branch in found:
            node = render.render_branch(branch)
            table.add_row(
                "  " * branch.depth + node["code"],
                node["name"],
                node["type"],
                _bounds(branch.node),
                node["clears_within"] or "",
                *_sums(branch.totals, NORMAL_SIDE[branch.node.type]),
            )
        out.print(table)

    on_books(tenant, work, live=live)


@app.command()
def balance(code: Code, tenant: Tenant, live: Live = False, json: Json = False) -> None:
    """Sum up all accounts at or below a code, by the next segment of theirs."""

    async def work(books: OpenBooks) -> None:
        found = await service.roll_up(books.ledger, books.tenant_id, code)
        rows = [(child.code, child.totals) for child in found.children] + [(code, found.totals)]
        if json:
            print_json(
                [{"code": one, "totals": render.render_totals(sums, found.side)} for one, sums in rows]
            )
            return
        table = Table("Code", "Accounts", f"Net ({found.side})", box=None)
        for one, sums in rows:
            table.add_row(one, *_sums(sums, found.side))
        out.print(table)

    on_books(tenant, work, live=live)


@app.command()
def add(
    code: Code,
    tenant: Tenant,
    name: Annotated[str, typer.Option(help="What people call it.")],
    kind: Annotated[AccountType, typer.Option("--type", help="Of all accounts below.")],
    currency: Annotated[str | None, typer.Option(help="Of all accounts below. Default: any.")] = None,
    lowest: Lowest = None,
    highest: Highest = None,
    clears_within: Clears = None,
    match_by: Annotated[
        MatchBy, typer.Option(help="How amounts that clear find each other.")
    ] = MatchBy.ORDER,
    reason: Why = None,
    live: Live = False,
) -> None:
    """Put a node into the chart."""
    new = ChartNode(code, name, kind, currency, lowest, highest, duration(clears_within), match_by)

    async def work(books: OpenBooks) -> None:
        made = await service.create_node(books.ledger, books.tenant_id, new, by=books.because(reason))
        out.print(f"{made.code} is in the chart", highlight=False)

    on_books(tenant, work, live=live)


@app.command("set")
def set_(
    code: Code,
    tenant: Tenant,
    name: Annotated[str | None, typer.Option(help="What people call it.")] = None,
    kind: Annotated[AccountType | None, typer.Option("--type", help="Of all accounts below.")] = None,
    lowest: Lowest = None,
    highest: Highest = None,
    unbounded: Annotated[bool, typer.Option("--unbounded", help="Take both bounds away.")] = False,
    clears_within: Clears = None,
    reason: Why = None,
    live: Live = False,
) -> None:
    """Change a node; new bounds hold for all accounts below from the same instant."""
    given: dict[str, Any] = {
        "name": name,
        "type": kind,
        "min_balance_minor": lowest,
        "max_balance_minor": highest,
        "clears_within": duration(clears_within),
    }
    change = NodeChange(**{field: value for field, value in given.items() if value is not None})  # type: ignore[typeddict-item]
    if unbounded:
        change |= NodeChange(min_balance_minor=None, max_balance_minor=None)

    async def work(books: OpenBooks) -> None:
        changed = await service.change_node(
            books.ledger, books.tenant_id, code, change, by=books.because(reason)
        )
        out.print(f"{changed.code}: {changed.name}, {changed.type}, {_bounds(changed)}", highlight=False)

    on_books(tenant, work, live=live)


@app.command()
def remove(code: Code, tenant: Tenant, reason: Why = None, live: Live = False) -> None:
    """Take a node out; what is below it stays, free of its bounds."""

    async def work(books: OpenBooks) -> None:
        await service.delete_node(books.ledger, books.tenant_id, code, by=books.because(reason))
        out.print(f"{code} is no longer in the chart", highlight=False)

    on_books(tenant, work, live=live)


@app.command()
def templates(json: Json = False) -> None:
    """List the charts that are shipped."""
    if json:
        print_json([render.render_template(one) for one in shipped.templates().values()])
        return
    table = Table("Name", "Nodes", "For", box=None)
    for one in shipped.templates().values():
        table.add_row(one.name, str(len(one.nodes)), one.description)
    out.print(table)


@app.command()
def apply(
    name: Annotated[str, typer.Argument(help="As florin ledger chart templates has it.")],
    tenant: Tenant,
    reason: Why = None,
    live: Live = False,
    json: Json = False,
) -> None:
    """Make the nodes of a template that are missing. Safe to repeat."""

    async def work(books: OpenBooks) -> None:
        applied = await service.apply_template(
            books.ledger, books.tenant_id, shipped.template(name), by=books.because(reason)
        )
        if json:
            print_json(applied._asdict())
        else:
            out.print(f"{len(applied.made)} made, {len(applied.present)} were there", highlight=False)

    on_books(tenant, work, live=live)


def _bounds(node: ChartNode) -> str:
    lowest, highest = node.bounds
    if lowest is None and highest is None:
        return ""
    return f"{'' if lowest is None else lowest} .. {'' if highest is None else highest}"


def _sums(totals: tuple[Total, ...], side: Direction) -> tuple[str, str]:
    accounts = sum(total.accounts for total in totals)
    return str(accounts), "  ".join(f"{total.net_minor(side)} {total.currency}" for total in totals)

"""`florin ledger clearing`: what lingers on accounts that are to return to zero."""

from datetime import datetime, timedelta
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Column, Table

from florin.cli.console import USAGE, fail, out, run_async
from florin.cli.ledger import app
from florin.cli.ledger.books import Live, OpenBooks, Tenant, open_books
from florin.cli.ledger.options import id_of, instant_of, print_json
from florin.kernel.clock import rfc3339
from florin.kernel.ids import encode_id
from florin.kernel.settings import settings
from florin.ledger.clearing import service, views
from florin.ledger.clearing.model import ClearingAccount, Item, Trail, TrailEvent

_ACCOUNTS = 100
_ITEMS = 10_000


@app.command()
def clearing(
    tenant: Tenant,
    account: Annotated[str | None, typer.Option(help="acct_...: the open items of this one.")] = None,
    transfer: Annotated[
        str | None, typer.Option(help="tr_...: with --account, follow what this transfer left there.")
    ] = None,
    at: Annotated[str | None, typer.Option(help="As it stood, and as old as it was, then.")] = None,
    live: Live = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
) -> None:
    """What has not returned to zero on clearing accounts, how old it is, and what left it."""
    if transfer is not None and account is None:
        fail("--transfer needs --account", code=USAGE)
    instant = None if at is None else instant_of(at)

    async def work() -> None:
        async with open_books(settings(), tenant, live=live) as books:
            if account is None:
                _show_accounts(await _accounts(books, instant), as_json=as_json)
            elif transfer is None:
                _show_items(await _items(books, account, instant), as_json=as_json)
            else:
                ids = id_of("acct", account), id_of("tr", transfer)
                _show_trail(await service.trail(books.ledger, books.tenant_id, *ids), as_json=as_json)

    run_async(work())


async def _accounts(books: OpenBooks, at: datetime | None) -> list[ClearingAccount]:
    found: list[ClearingAccount] = []
    more = True
    while more:
        rows = await service.clearing_accounts(
            books.ledger,
            books.tenant_id,
            limit=_ACCOUNTS,
            at=at,
            starting_after=found[-1].account_id if found else None,
        )
        found += rows
        more = len(rows) == _ACCOUNTS
    return found


async def _items(books: OpenBooks, account: str, at: datetime | None) -> list[Item]:
    found: list[Item] = []
    more = True
    while more:
        rows = await service.open_items(
            books.ledger,
            books.tenant_id,
            id_of("acct", account),
            limit=_ITEMS,
            at=at,
            starting_after=found[-1].transfer_id if found else None,
        )
        found += rows
        more = len(rows) == _ITEMS
    return found


def _show_accounts(found: list[ClearingAccount], *, as_json: bool) -> None:
    if as_json:
        print_json([views.account(one) for one in found])
        return
    numbers = ("Balance", "Open", "Overdue", "< 1 day", "1-7 days", "7-30 days", "> 30 days")
    table = Table(
        Column("Account", no_wrap=True),
        "Code",
        "Currency",
        *(Column(name, justify="right") for name in numbers),
        "Oldest",
        box=None,
    )
    for one in found:
        amounts = (one.balance_minor, one.open_minor, one.overdue_minor, *one.aging)
        table.add_row(
            encode_id("acct", one.account_id),
            one.code,
            one.currency,
            *(str(amount) for amount in amounts),
            "" if one.oldest_age is None else _age(one.oldest_age),
        )
    out.print(table)


def _show_items(found: list[Item], *, as_json: bool) -> None:
    if as_json:
        print_json([views.item(one) for one in found])
        return
    table = Table(
        Column("Transfer", no_wrap=True),
        "Correlation",
        *(Column(name, justify="right") for name in ("Debit", "Credit")),
        "Since",
        "Age",
        "Overdue",
        box=None,
    )
    for one in found:
        table.add_row(
            encode_id("tr", one.transfer_id),
            escape(one.correlation_id or ""),
            *_sides(one.amount_minor),
            rfc3339(one.since)[:19],
            _age(one.age),
            "[bold red]yes[/]" if one.overdue else "no",
        )
    out.print(table)


def _show_trail(trail: Trail, *, as_json: bool) -> None:
    if as_json:
        print_json(views.trail(trail))
        return
    table = Table(
        "At",
        Column("Id", no_wrap=True),
        "What",
        *(Column(name, justify="right") for name in ("Debit", "Credit")),
        "Correlation",
        "Cause",
        box=None,
    )
    for step in trail.steps:
        if isinstance(step, TrailEvent):
            table.add_row(rfc3339(step.occurred_at), encode_id("evt", step.id), step.type, "", "", "", "")
        else:
            table.add_row(
                rfc3339(step.recorded_at),
                encode_id("tr", step.id),
                f"{step.kind}: {escape(step.description)}" if step.description else step.kind,
                *_sides(step.amount_minor),
                escape(step.correlation_id or ""),
                escape(step.causation_id or ""),
            )
    out.print(table)
    left = 0 if trail.item is None else abs(trail.item.amount_minor)
    out.print(f"open still: {left}" if left else "cleared", highlight=False)


def _sides(amount_minor: int) -> tuple[str, str]:
    return (str(amount_minor) if amount_minor > 0 else "", str(-amount_minor) if amount_minor < 0 else "")


def _age(span: timedelta) -> str:
    hours = span // timedelta(hours=1)
    return f"{hours // 24} d {hours % 24} h" if hours else f"{span // timedelta(minutes=1)} min"

"""`florin ledger holds`: money reserved, posted in full or in part, let go."""

from typing import Annotated

import typer
from rich.table import Table

from florin.cli.console import out
from florin.cli.ledger import app as ledger_app
from florin.cli.ledger.books import Live, OpenBooks, Tenant
from florin.cli.ledger.options import Json, id_of, on_books, print_json
from florin.cli.ledger.posting import File, Key, document, key_of, parsed, show_transfers
from florin.kernel.ids import encode_id, new_id
from florin.ledger import service
from florin.ledger.http import render
from florin.ledger.http.schemas import HoldRequest
from florin.ledger.model import Hold, HoldAction, HoldStatus, Posting, Settlement, TransferKind

app = typer.Typer(help="Reserve money, post it, let it go.", no_args_is_help=True)
ledger_app.add_typer(app, name="holds")

_PAGE = 100

HoldName = Annotated[str, typer.Argument(metavar="HOLD", help="hold_..., as the list shows it.")]


@app.command()
def place(tenant: Tenant, file: File, key: Key = None, live: Live = False, json: Json = False) -> None:
    """Reserve what a transfer with these legs would move."""
    content = document(file)
    asked: HoldRequest = parsed(HoldRequest, content)

    async def work(books: OpenBooks) -> None:
        placed = await service.place_hold(
            books.ledger,
            books.tenant_id,
            Posting(
                id=new_id(),
                idempotency=key_of("ledger holds place", key, content),
                legs=render.legs_of(asked.legs),
                kind=TransferKind.HOLD,
                currency=asked.currency,
                description=asked.description,
                metadata=asked.metadata,
                origin=asked.origin(),
                expires_at=asked.expires_at,
            ),
        )
        _show([placed], as_json=json)

    on_books(tenant, work, live=live)


@app.command()
def post(
    tenant: Tenant,
    hold: HoldName,
    amount: Annotated[
        int | None, typer.Option(help="Minor units of a two-leg hold. Default: all that remains.", min=1)
    ] = None,
    key: Key = None,
    live: Live = False,
    json: Json = False,
) -> None:
    """Move what a hold reserves, all of it or a part; the rest stays reserved."""
    _settle(tenant, hold, HoldAction.POST, amount, key, live=live, as_json=json)


@app.command()
def void(tenant: Tenant, hold: HoldName, key: Key = None, live: Live = False, json: Json = False) -> None:
    """Let go what a hold still reserves."""
    _settle(tenant, hold, HoldAction.VOID, None, key, live=live, as_json=json)


@app.command("list")
def list_(
    tenant: Tenant,
    account: Annotated[str | None, typer.Option(help="acct_...: only those that reserve on it.")] = None,
    status: Annotated[HoldStatus | None, typer.Option(help="Only those in this state.")] = None,
    live: Live = False,
    json: Json = False,
) -> None:
    """List the newest holds and what is left of each."""

    async def work(books: OpenBooks) -> None:
        found = await service.holds(
            books.ledger,
            books.tenant_id,
            limit=_PAGE,
            status=status,
            account_id=None if account is None else id_of("acct", account),
        )
        _show(found, as_json=json)

    on_books(tenant, work, live=live)


def _settle(
    tenant: str,
    hold: str,
    action: HoldAction,
    amount: int | None,
    key: str | None,
    *,
    live: bool,
    as_json: bool,
) -> None:
    hold_id = id_of("hold", hold)
    content = f'{{"hold":"{hold_id}","amount":{amount or "null"}}}'.encode()

    async def work(books: OpenBooks) -> None:
        done = await service.settle_hold(
            books.ledger,
            books.tenant_id,
            Settlement(
                id=new_id(),
                idempotency=key_of(f"ledger holds {action}", key, content),
                hold_id=hold_id,
                action=action,
                amount_minor=amount,
            ),
        )
        show_transfers([done], as_json=as_json)

    on_books(tenant, work, live=live)


def _show(found: list[Hold], *, as_json: bool) -> None:
    if as_json:
        print_json([render.hold(one) for one in found])
        return
    table = Table(
        "Hold", "Status", "Account", "Reserved", "Posted", "Left", "Expires", box=None, pad_edge=False
    )
    for one in found:
        for at, leg in enumerate(one.legs):
            table.add_row(
                "" if at else encode_id("hold", one.id),
                "" if at else one.status,
                encode_id("acct", leg.account_id),
                f"{leg.reserved_minor} {leg.currency}",
                str(leg.posted_minor),
                str(leg.remaining_minor),
                "" if at or one.expires_at is None else one.expires_at.isoformat(timespec="seconds"),
            )
    out.print(table)

"""`florin ledger post`, `dry-run`, `reverse`, `correct`, `exchange`, `positions`: moving money by hand."""

import sys
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from pydantic import BaseModel, ValidationError
from rich.table import Table

from florin.cli.console import FAILED, USAGE, fail, out, run_async
from florin.cli.ledger import app
from florin.cli.ledger.books import Live, OpenBooks, Tenant, open_books
from florin.cli.ledger.options import Json, id_of, print_json
from florin.kernel.http.problem import from_pydantic
from florin.kernel.idempotency import Idempotency, idempotency
from florin.kernel.ids import encode_id, new_id
from florin.kernel.settings import settings
from florin.ledger import service
from florin.ledger.corrections.service import correct_transfer
from florin.ledger.exchange.service import dry_exchange, positions, post_exchange
from florin.ledger.http import render
from florin.ledger.http.dry_run_render import rehearsal
from florin.ledger.http.exchanges import ExchangeRequest, exchanging_of
from florin.ledger.http.schemas import SetRequest, TransferRequest
from florin.ledger.http.transfers import posting_of
from florin.ledger.model import Correcting, Reversing, Transfer
from florin.ledger.rehearsal.service import dry_correction, dry_reversal, dry_run
from florin.ledger.sets.service import key_of_member, post_set

File = Annotated[Path, typer.Argument(help="JSON as in the body of the API's request; - reads stdin.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Try it and post nothing.")]
Key = Annotated[
    str | None,
    typer.Option(help="Idempotency key. Default: made of the request, so that the same is posted once only."),
]


def document(path: Path) -> bytes:
    """What the file holds, or stdin; ends the command when it cannot be read."""
    if str(path) == "-":
        return sys.stdin.buffer.read()
    try:
        return path.read_bytes()
    except OSError as error:
        fail(f"{path}: {error.strerror}", code=USAGE)


def parsed(kind: type[BaseModel], content: bytes) -> Any:
    """The request that a document holds. Raises the refusal that the API would answer with."""
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        raise from_pydantic(error) from None


def key_of(command: str, key: str | None, content: bytes) -> Idempotency:
    """The idempotency of a command: the key that was given, or one made of what is asked."""
    return idempotency("cli", command, key or sha256(content).hexdigest(), content or b"null")


def show_transfers(found: list[Transfer], *, as_json: bool) -> None:
    """Transfers with what they did to each account."""
    if as_json:
        print_json([render.transfer(one) for one in found])
        return
    table = Table(
        "Transfer", "Account", "Debit", "Credit", "Currency", "Balance after", box=None, pad_edge=False
    )
    for one in found:
        for at, leg in enumerate(one.entries):
            table.add_row(
                "" if at else encode_id("tr", one.id),
                encode_id("acct", leg.account_id),
                str(leg.amount_minor) if leg.amount_minor > 0 else "",
                str(-leg.amount_minor) if leg.amount_minor < 0 else "",
                leg.currency,
                "reserved" if leg.balance_after_minor is None else str(leg.balance_after_minor),
            )
    out.print(table)


def show_rehearsal(told: dict[str, Any], *, as_json: bool) -> None:
    """What a dry run said; ends the command with 1 when something would be refused."""
    if as_json:
        print_json(told)
    else:
        table = Table("#", "", "Account", "Amount", "Before", "After / rule", box=None, pad_edge=False)
        for number, one in enumerate(told["data"]):
            problem = one["problem"]
            if problem is not None:
                rule = problem["rule"]
                why = (
                    f"{rule['bound']} {rule['value']}, would be {rule['balance']}"
                    if rule
                    else problem["detail"]
                )
                table.add_row(
                    str(number), f"[bold red]{problem['code']}[/]", problem["param"] or "", "", "", why
                )
            for leg in one["legs"] or ():
                table.add_row(
                    str(number),
                    leg["direction"],
                    leg["account"],
                    f"{leg['amount']} {leg['currency']}",
                    str(leg["balance_before"]),
                    str(leg["balance_after"]),
                )
        out.print(table)
        held = Table("Account", "Balance", "Available", "Currency", box=None, pad_edge=False)
        for balance in told["balances"]:
            held.add_row(
                balance["account"], str(balance["balance"]), str(balance["available"]), balance["currency"]
            )
        out.print("\nNothing was posted. Balances would be:", held, sep="\n")
    if any(one["problem"] for one in told["data"]):
        raise typer.Exit(FAILED)


def in_books(tenant: str, *, live: bool, work: Any) -> Any:
    """Runs a coroutine function on a tenant's open books."""

    async def run() -> Any:
        async with open_books(settings(), tenant, live=live) as books:
            return await work(books)

    return run_async(run())


@app.command("post")
def post(tenant: Tenant, file: File, live: Live = False, key: Key = None, as_json: Json = False) -> None:
    """Post a set of transfers from a file: all of them or none."""
    content = document(file)
    body = parsed(SetRequest, content)
    own = key_of("ledger post", key, content)

    async def work(books: OpenBooks) -> list[Transfer]:
        postings = [posting_of(item, key_of_member(own, n)) for n, item in enumerate(body.transfers)]
        return await post_set(books.ledger, books.tenant_id, postings)

    show_transfers(in_books(tenant, live=live, work=work), as_json=as_json)


@app.command("dry-run")
def try_transfers(
    tenant: Tenant,
    file: File,
    live: Live = False,
    atomic: Annotated[bool, typer.Option("--atomic", help="As one set; else each on its own.")] = False,
    as_json: Json = False,
) -> None:
    """Say what posting the transfers of a file would answer; exit 1 when something would be refused."""
    body = parsed(SetRequest, document(file))

    async def work(books: OpenBooks) -> dict[str, Any]:
        postings = [posting_of(item, None) for item in body.transfers]
        found = await dry_run(books.ledger, books.tenant_id, postings, atomic=atomic)
        return rehearsal(found, many=True)

    show_rehearsal(in_books(tenant, live=live, work=work), as_json=as_json)


@app.command("reverse")
def reverse(
    tenant: Tenant,
    transfer: Annotated[str, typer.Argument(help="The transfer's id.")],
    live: Live = False,
    amount: Annotated[
        int | None,
        typer.Option(help="How much of a two-leg transfer, in minor units. Default: all that is left."),
    ] = None,
    description: Annotated[str | None, typer.Option(help="Why.")] = None,
    key: Key = None,
    dry: DryRun = False,
    as_json: Json = False,
) -> None:
    """Take back what is left of a transfer, or a part of it."""
    transfer_id = id_of("tr", transfer)
    asked = orjson.dumps({"transfer": transfer, "amount": amount, "description": description})
    reversing = Reversing(
        id=new_id(),
        idempotency=None if dry else key_of("ledger reverse", key, asked),
        transfer_id=transfer_id,
        amount_minor=amount,
        description=description,
    )

    async def work(books: OpenBooks) -> Any:
        if dry:
            return rehearsal(await dry_reversal(books.ledger, books.tenant_id, reversing))
        return [await service.reverse_transfer(books.ledger, books.tenant_id, reversing)]

    _show(in_books(tenant, live=live, work=work), dry=dry, as_json=as_json)


@app.command("correct")
def correct(
    tenant: Tenant,
    transfer: Annotated[str, typer.Argument(help="The transfer's id.")],
    file: File,
    live: Live = False,
    key: Key = None,
    dry: DryRun = False,
    as_json: Json = False,
) -> None:
    """Take a transfer back and post it anew as the file has it: both or neither."""
    content = document(file)
    body = parsed(TransferRequest, content)
    asked = b'{"transfer":"%s","body":%s}' % (transfer.encode(), content)
    correcting = Correcting(
        reversal_id=new_id(),
        repost_id=new_id(),
        idempotency=None if dry else key_of("ledger correct", key, asked),
        transfer_id=id_of("tr", transfer),
        legs=render.legs_of(body.legs),
        currency=body.currency,
        effective_at=body.effective_at,
        description=body.description,
        metadata=body.metadata,
        origin=body.origin(),
    )

    async def work(books: OpenBooks) -> Any:
        if dry:
            return rehearsal(await dry_correction(books.ledger, books.tenant_id, correcting))
        return [await correct_transfer(books.ledger, books.tenant_id, correcting)]

    _show(in_books(tenant, live=live, work=work), dry=dry, as_json=as_json)


@app.command("exchange")
def exchange(
    tenant: Tenant,
    file: File,
    live: Live = False,
    key: Key = None,
    dry: DryRun = False,
    as_json: Json = False,
) -> None:
    """Give one currency for another, as the file has it."""
    content = document(file)
    body = parsed(ExchangeRequest, content)
    exchanging = exchanging_of(body, None if dry else key_of("ledger exchange", key, content))

    async def work(books: OpenBooks) -> Any:
        if dry:
            return rehearsal(await dry_exchange(books.ledger, books.tenant_id, exchanging))
        return [await post_exchange(books.ledger, books.tenant_id, exchanging)]

    _show(in_books(tenant, live=live, work=work), dry=dry, as_json=as_json)


@app.command("positions")
def show_positions(tenant: Tenant, live: Live = False, as_json: Json = False) -> None:
    """Per currency, how far exchanges have opened the books."""

    async def work(books: OpenBooks) -> Any:
        return await positions(books.ledger, books.tenant_id)

    found = in_books(tenant, live=live, work=work)
    if as_json:
        print(orjson.dumps([one._asdict() for one in found]).decode())
        return
    table = Table("Currency", "Position", "Rounding", box=None, pad_edge=False)
    for one in found:
        table.add_row(one.currency, str(one.position_minor), str(one.rounding_minor))
    out.print(table)


def _show(found: Any, *, dry: bool, as_json: bool) -> None:
    if dry:
        show_rehearsal(found, as_json=as_json)
    else:
        show_transfers(found, as_json=as_json)

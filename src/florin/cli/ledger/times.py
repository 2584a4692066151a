"""`florin ledger`: balances of the past, what has restated them, and the closing of periods."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.table import Table

from florin.cli.console import out, run_async
from florin.cli.ledger import app
from florin.cli.ledger.books import Live, OpenBooks, Tenant, open_books
from florin.cli.ledger.options import id_of, instant_of, print_json
from florin.kernel.clock import rfc3339
from florin.kernel.ids import encode_id
from florin.kernel.settings import settings
from florin.ledger import service as ledger_service
from florin.ledger.times import service
from florin.ledger.times.model import PeriodClosing, StatementLine

periods = typer.Typer(help="Close periods of the books, for good, and list closings.", no_args_is_help=True)
app.add_typer(periods, name="periods")

_PAGE = 100


Account = Annotated[str, typer.Argument(help="The account's code or id.")]
At = Annotated[
    datetime | None, typer.Option(parser=instant_of, metavar="TIME", help="As of when. Default: now.")
]
KnownAt = Annotated[
    datetime | None, typer.Option(parser=instant_of, metavar="TIME", help="As known when. Default: now.")
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on standard output.")]


@app.command("balance")
def balance(
    tenant: Tenant,
    account: Account,
    at: At = None,
    known_at: KnownAt = None,
    live: Live = False,
    as_json: AsJson = False,
) -> None:
    """What an account holds, or held: as of a time, as known at a time."""

    async def work() -> None:
        async with open_books(settings(), tenant, live=live) as books:
            account_id = await _account_id(books, account)
            found = await service.balance_at(
                books.ledger, books.tenant_id, account_id, at=at, known_at=known_at
            )
        if as_json:
            print_json(
                {
                    "account": encode_id("acct", account_id),
                    "currency": found.currency,
                    "balance": found.balance_minor,
                    "at": at and rfc3339(at),
                    "known_at": known_at and rfc3339(known_at),
                    "entry_seq": found.entry_seq,
                    "known_seq": found.known_seq,
                }
            )
            return
        out.print(f"{found.balance_minor} {found.currency} (minor units)", highlight=False)

    run_async(work())


def trial_balance(
    tenant: Tenant, at: At = None, known_at: KnownAt = None, live: Live = False, as_json: AsJson = False
) -> None:
    """The balances on either side, by currency and type of account, now or as of a time.

    `florin ledger trial-balance` without a period; the command stands in `reports`.
    """

    async def work() -> None:
        async with open_books(settings(), tenant, live=live) as books:
            if at is None and known_at is None:
                lines = await ledger_service.trial_balance(books.ledger, books.tenant_id)
            else:
                lines = await service.trial_balance_at(
                    books.ledger, books.tenant_id, at=at, known_at=known_at
                )
        if as_json:
            print_json(
                [
                    {
                        "currency": line.currency,
                        "type": line.type,
                        "debits": line.debits_minor,
                        "credits": line.credits_minor,
                    }
                    for line in lines
                ]
            )
            return
        table = Table("Currency", "Type", "Debits", "Credits", box=None)
        for line in lines:
            table.add_row(line.currency, line.type, str(line.debits_minor), str(line.credits_minor))
        out.print(table)

    run_async(work())


@app.command("restatements")
def restatements(
    tenant: Tenant,
    account: Account,
    at: Annotated[datetime, typer.Option(parser=instant_of, metavar="TIME", help="The moment compared.")],
    known_at: Annotated[
        datetime | None,
        typer.Option(parser=instant_of, metavar="TIME", help="When it was known before. Default: then."),
    ] = None,
    live: Live = False,
    as_json: AsJson = False,
) -> None:
    """How the balance of a moment has changed since it was known, and by which entries."""

    async def work() -> None:
        lines: list[StatementLine] = []
        async with open_books(settings(), tenant, live=live) as books:
            account_id = await _account_id(books, account)
            while True:
                told = await service.restatement(
                    books.ledger,
                    books.tenant_id,
                    account_id,
                    at=at,
                    known_at=known_at or at,
                    limit=_PAGE,
                    after_seq=lines[-1].seq if lines else 0,
                )
                lines += told.lines
                if not told.has_more:
                    break
        if as_json:
            print_json(
                {
                    "account": encode_id("acct", account_id),
                    "currency": told.now.currency,
                    "balance_then": told.then.balance_minor,
                    "balance_now": told.now.balance_minor,
                    "difference": told.difference_minor,
                    "entries": [_entry(line) for line in lines],
                }
            )
            return
        table = Table("Seq", "Transfer", "Debit", "Credit", "Recorded", "Counts", "Description", box=None)
        for line in lines:
            debit, credit = max(line.amount_minor, 0), max(-line.amount_minor, 0)
            table.add_row(
                str(line.seq),
                encode_id("tr", line.transfer_id),
                str(debit or ""),
                str(credit or ""),
                rfc3339(line.recorded_at),
                rfc3339(line.effective_at),
                line.description or "",
            )
        out.print(
            f"known then {told.then.balance_minor}, now {told.now.balance_minor} {told.now.currency}:"
            f" {told.difference_minor:+}",
            highlight=False,
        )
        out.print(table)

    run_async(work())


@periods.command("close")
def close(
    tenant: Tenant,
    closed_before: Annotated[
        datetime, typer.Argument(parser=instant_of, metavar="TIME", help="Nothing more counts earlier.")
    ],
    name: Annotated[str, typer.Option(help="What the closing is called.")],
    reason: Annotated[str | None, typer.Option(help="Why, for the audit log.")] = None,
    live: Live = False,
) -> None:
    """Close the books before an instant. It cannot be undone; corrections go into the open period."""

    async def work() -> None:
        async with open_books(settings(), tenant, live=live) as books:
            closing = await service.close_period(
                books.ledger,
                books.tenant_id,
                closed_before=closed_before,
                name=name,
                by=replace(books.by, reason=reason),
            )
        out.print(f"{closing.name}: closed before {rfc3339(closing.closed_before)}", highlight=False)

    run_async(work())


@periods.command("list")
def list_(tenant: Tenant, live: Live = False, as_json: AsJson = False) -> None:
    """List the closings of the books, newest first."""

    async def work() -> None:
        closings: list[PeriodClosing] = []
        async with open_books(settings(), tenant, live=live) as books:
            while True:
                page = await service.closings(
                    books.ledger,
                    books.tenant_id,
                    limit=_PAGE,
                    starting_after=closings[-1].id if closings else None,
                )
                closings += page
                if len(page) < _PAGE:
                    break
        if as_json:
            print_json(
                [
                    {
                        "id": encode_id("per", one.id),
                        "name": one.name,
                        "closed_before": rfc3339(one.closed_before),
                        "closed_at": rfc3339(one.closed_at),
                    }
                    for one in closings
                ]
            )
            return
        table = Table("Id", "Name", "Closed before", "Closed at", box=None)
        for one in closings:
            table.add_row(
                encode_id("per", one.id), one.name, rfc3339(one.closed_before), rfc3339(one.closed_at)
            )
        out.print(table)

    run_async(work())


async def _account_id(books: OpenBooks, text: str) -> UUID:
    if text.startswith("acct_"):
        return id_of("acct", text)
    return await service.account_by(books.ledger, books.tenant_id, text)


def _entry(line: StatementLine) -> dict[str, Any]:
    return {
        "seq": line.seq,
        "transfer": encode_id("tr", line.transfer_id),
        "direction": "debit" if line.amount_minor > 0 else "credit",
        "amount": abs(line.amount_minor),
        "recorded_at": rfc3339(line.recorded_at),
        "effective_at": rfc3339(line.effective_at),
        "description": line.description,
        "correlation_id": line.correlation_id,
    }

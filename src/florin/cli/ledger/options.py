"""What commands of the ledger have in common: options, and plain data as JSON."""

import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import orjson
import typer

from florin.cli.console import USAGE, fail, run_async
from florin.cli.ledger.books import OpenBooks, open_books
from florin.kernel.ids import MalformedId, decode_id
from florin.kernel.settings import settings
from florin.ledger.durations import parse_duration

Json = Annotated[bool, typer.Option("--json", help="As JSON, for programs.")]
Why = Annotated[str | None, typer.Option("--reason", help="Why. The audit log keeps it.")]


def on_books(tenant: str, work: Callable[[OpenBooks], Awaitable[None]], *, live: bool) -> None:
    """Does this work on a tenant's books, opened for it."""

    async def opened() -> None:
        async with open_books(settings(), tenant, live=live) as books:
            await work(books)

    run_async(opened())


def print_json(data: Any) -> None:
    """One JSON document on stdout, nothing else: never coloured, never folded."""
    sys.stdout.write(orjson.dumps(data, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode())


def id_of(prefix: str, text: str) -> UUID:
    """The UUID of a TypeID; ends the command where it is none."""
    try:
        return decode_id(prefix, text)
    except MalformedId as error:
        fail(f"{text!r}: {error}", code=USAGE)


def instant_of(text: str) -> datetime:
    """An instant that was typed in, UTC unless it says otherwise; ends the command when it is none."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        fail(f"{text!r} is no instant such as 2026-11-20T13:07:41Z", code=USAGE)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def duration(text: str | None) -> timedelta | None:
    """The time of `P7D` or `PT36H`; ends the command where it is neither."""
    try:
        return None if text is None else parse_duration(text)
    except ValueError as error:
        fail(str(error), code=USAGE)

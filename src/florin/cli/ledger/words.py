"""How the ledger's commands read ids and instants, and write JSON."""

import sys
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson

from florin.cli.console import USAGE, fail
from florin.kernel.ids import MalformedId, decode_id


def id_of(prefix: str, text: str) -> UUID:
    """The UUID of an id that was typed in; ends the command when it is none."""
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


def print_json(data: Any) -> None:
    """One JSON document on stdout, nothing else."""
    sys.stdout.write(orjson.dumps(data, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode())

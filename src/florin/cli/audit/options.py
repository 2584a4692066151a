"""What the commands of the audit log have in common: filters, and the note of who looked."""

from typing import Annotated

import typer

from florin.audit.model import Filters
from florin.audit.reads import open_witness
from florin.cli.ledger.books import OpenBooks
from florin.cli.ledger.options import instant_of
from florin.kernel.http.notes import COLLECTION, HIDDEN, ReadNote

EntityType = Annotated[str | None, typer.Option("--type", help="account, user, setting, ...")]
Entity = Annotated[str | None, typer.Option(help="The id of what was changed.")]
Actor = Annotated[str | None, typer.Option(help="key_..., user_..., cli:..., job:...")]
Action = Annotated[str | None, typer.Option(help="created, changed, deleted, read, ...")]
Request = Annotated[str | None, typer.Option(help="The id of the request that did it.")]
Session = Annotated[str | None, typer.Option(help="The session in which it was done.")]
Address = Annotated[str | None, typer.Option(help="Where it came from.")]
Field = Annotated[str | None, typer.Option(help="Only where this differs before and after.")]
Since = Annotated[str | None, typer.Option("--from", help="At or after this.")]
Until = Annotated[str | None, typer.Option("--to", help="Before this.")]


def filters(
    *,
    entity_type: str | None,
    entity: str | None,
    actor: str | None,
    action: str | None,
    request: str | None,
    session: str | None,
    address: str | None,
    field: str | None,
    since: str | None,
    until: str | None,
) -> Filters:
    """The filters as they were typed; ends the command where a time is none."""
    return {
        "entity_type": entity_type,
        "entity_id": entity,
        "actor": actor,
        "action": action,
        "request_id": request,
        "session_id": session,
        "address": address,
        "field": field,
        "since": None if since is None else instant_of(since),
        "until": None if until is None else instant_of(until),
    }


async def note_look(books: OpenBooks, command: str, asked: Filters | None = None) -> None:
    """Notes in the log that somebody looks at it here, as the API does."""
    details: dict[str, object] = {"operation": command}
    given = {
        name: HIDDEN if name == "address" else str(value)
        for name, value in (asked or {}).items()
        if value is not None
    }
    if given:
        details["filters"] = given
    note = ReadNote(COLLECTION, "/v1/audit", details, books.by)
    await open_witness(books.database).note(books.tenant_id, [note])

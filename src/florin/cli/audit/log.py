"""`florin audit list` and `show`."""

from typing import Annotated

import typer

from florin.audit import service
from florin.audit.http import render
from florin.audit.model import AuditEntry
from florin.cli.audit import app
from florin.cli.audit.options import (
    Action,
    Actor,
    Address,
    Entity,
    EntityType,
    Field,
    Request,
    Session,
    Since,
    Until,
    filters,
    note_look,
)
from florin.cli.console import out
from florin.cli.history import audit_table
from florin.cli.ledger.books import Live, OpenBooks, Tenant
from florin.cli.ledger.options import Json, id_of, on_books, print_json


@app.command("list")
def list_(
    tenant: Tenant,
    entity_type: EntityType = None,
    entity: Entity = None,
    actor: Actor = None,
    action: Action = None,
    request: Request = None,
    session: Session = None,
    address: Address = None,
    field: Field = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option(help="At most so many.", min=1, max=10_000)] = 100,
    live: Live = False,
    json: Json = False,
) -> None:
    """List entries, newest first. That you looked is noted in the log, too."""
    asked = filters(
        entity_type=entity_type,
        entity=entity,
        actor=actor,
        action=action,
        request=request,
        session=session,
        address=address,
        field=field,
        since=since,
        until=until,
    )

    async def work(books: OpenBooks) -> None:
        found = await service.entries(books.database, books.tenant_id, limit=limit, **asked)
        await note_look(books, "florin audit list", asked)
        if json:
            print_json([render(entry).model_dump(mode="json") for entry in found])
        else:
            out.print(audit_table(found))

    on_books(tenant, work, live=live)


@app.command()
def show(
    entry: Annotated[str, typer.Argument(help="aud_...")],
    tenant: Tenant,
    live: Live = False,
    json: Json = False,
) -> None:
    """Show one entry: what stood there before and after."""
    entry_id = id_of("aud", entry)

    async def work(books: OpenBooks) -> None:
        found = await service.entry(books.database, books.tenant_id, entry_id)
        await note_look(books, f"florin audit show {entry}")
        if json:
            print_json(render(found).model_dump(mode="json"))
        else:
            _print(found)

    on_books(tenant, work, live=live)


def _print(entry: AuditEntry) -> None:
    shown = render(entry).model_dump(mode="json")
    before, after = shown.pop("before") or {}, shown.pop("after") or {}
    changed = set(shown.pop("changed"))
    for name, value in shown.items():
        if value is not None:
            out.print(f"{name:12} {value}", highlight=False, markup=False)
    for name in sorted(before.keys() | after.keys()):
        mark = "*" if name in changed else " "
        text = f"{mark} {name}: {before.get(name)!r} -> {after.get(name)!r}"
        out.print(text if before else f"{mark} {name}: {after.get(name)!r}", highlight=False, markup=False)

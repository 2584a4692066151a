"""`florin audit export`: the log as a file, stopped and continued at will."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from florin.audit import files, service
from florin.audit.files import FileFormat
from florin.audit.model import Filters
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
from florin.cli.console import err, fail, out
from florin.cli.ledger.books import Live, OpenBooks, Tenant
from florin.cli.ledger.options import on_books


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="Where to: CSV where it ends in .csv, else NDJSON.")],
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
    live: Live = False,
) -> None:
    """Write the log to a file, oldest first. Stopped, the same command goes on where it was."""
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
    format_ = FileFormat.CSV if file.suffix.lower() == ".csv" else FileFormat.NDJSON

    async def work(books: OpenBooks) -> None:
        await note_look(books, "florin audit export", asked)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=err, transient=True) as progress:
            task = progress.add_task("entries", total=None)
            written = await write_file(
                books,
                file,
                format_,
                asked,
                on_progress=lambda done, total: progress.update(task, completed=done, total=total),
            )
        out.print(f"{written:,} entries written to {file}", highlight=False)

    on_books(tenant, work, live=live)


@dataclass(frozen=True, slots=True)
class Unfinished:
    """An export that has been stopped: how far it came, and what it was of."""

    seq: int
    """The last number that was looked at."""

    through: int
    """The last number of all."""

    size: int
    """Bytes that are good."""

    entries: int
    question: str


async def write_file(
    books: OpenBooks,
    path: Path,
    format_: FileFormat,
    asked: Filters,
    *,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Writes the file, or goes on with it; how many entries it has. What bears its name is whole."""
    unfinished = path.with_name(path.name + ".unfinished")
    notes = path.with_name(path.name + ".unfinished.json")
    question = _question(books.tenant_id, format_, asked)
    state = _begun(notes, unfinished, question)
    if state is None:
        state = Unfinished(0, await service.last_seq(books.database, books.tenant_id), 0, 0, question)
    with os.fdopen(os.open(unfinished, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as target:
        target.truncate(state.size)
        target.seek(state.size)
        if not state.size:
            target.write(files.beginning(format_))
        seq, written = state.seq, state.entries
        found = service.export(
            books.database, books.tenant_id, after_seq=seq, through_seq=state.through, **asked
        )
        async for seq, entries in found:
            target.write(files.part(format_, entries))
            target.flush()
            written += len(entries)
            _note(notes, Unfinished(seq, state.through, target.tell(), written, question))
            on_progress(seq, state.through)
        os.fsync(target.fileno())
    unfinished.replace(path)
    notes.unlink(missing_ok=True)
    return written


def _question(tenant_id: int, format_: FileFormat, asked: Filters) -> str:
    return hashlib.sha256(orjson.dumps([tenant_id, format_, dict(asked)])).hexdigest()


def _begun(notes: Path, unfinished: Path, question: str) -> Unfinished | None:
    """What there is to go on with; ends the command where that is another export."""
    if not (notes.exists() and unfinished.exists()):
        return None
    try:
        state = Unfinished(**orjson.loads(notes.read_bytes()))
    except (ValueError, TypeError):
        fail(f"{notes} is damaged; remove it to begin anew")
    if state.question != question:
        fail(f"{unfinished} is of another export; remove it, or choose another file")
    return state


def _note(notes: Path, state: Unfinished) -> None:
    """As a whole or not at all."""
    fresh = notes.with_name(notes.name + ".part")
    fresh.write_bytes(
        orjson.dumps(
            {
                "seq": state.seq,
                "through": state.through,
                "size": state.size,
                "entries": state.entries,
                "question": state.question,
            }
        )
    )
    fresh.replace(notes)

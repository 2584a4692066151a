"""Seals from the command line: seal now, show checkpoints, write proofs, verify them offline."""

import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from florin.app.rooms import key_ring
from florin.cli.console import USAGE, err, fail, out, run_async
from florin.cli.ledger import app
from florin.cli.ledger.books import Live, OpenBooks, Tenant, open_books
from florin.kernel.clock import rfc3339
from florin.kernel.ids import MalformedId, decode_id, encode_id
from florin.kernel.settings import settings
from florin.ledger.seals import service
from florin.ledger.seals.note import BadKey, read_key
from florin.ledger.seals.receipt import (
    BadProof,
    consistency_receipt,
    inclusion_receipt,
    verify_growth,
    verify_inclusion,
)
from florin.ledger.seals.service import GRACE, Seals

AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]
ProofFile = Annotated[Path, typer.Argument(help="The proof, a JSON document; - reads standard input.")]
PublicKey = Annotated[
    str, typer.Option("--key", "-k", help="The public key: a file, 64 hexadecimal digits, or a verifier key.")
]


def _seals(books: OpenBooks) -> Seals:
    return Seals(books.ledger, key_ring(settings()))


@app.command()
def seal(
    tenant: Tenant,
    live: Live = False,
    grace_s: Annotated[
        float, typer.Option("--grace", help="Seconds that a transfer has to be old.", min=0)
    ] = GRACE.total_seconds(),
) -> None:
    """Seal what has been posted. Stopped with Ctrl-C, the next call goes on from there."""

    async def work() -> None:
        grace = timedelta(seconds=grace_s)
        async with open_books(settings(), tenant, live=live) as books:
            before = await service.backlog(books.ledger, books.tenant_id, grace=grace)
            head = None
            with Progress(
                TextColumn("sealing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=err
            ) as progress:
                task = progress.add_task("sealing", total=before.waiting)
                async for step in service.seal(_seals(books), books.tenant_id, grace=grace, by=books.by):
                    progress.update(task, completed=min(step.leaves - before.sealed, before.waiting))
                    head = step.checkpoint
        if head is None:
            out.print("nothing new to seal")
        else:
            out.print(f"checkpoint {head.number}: {head.size} transfers sealed", highlight=False)

    run_async(work())


@app.command()
def checkpoints(
    tenant: Tenant,
    live: Live = False,
    limit: Annotated[int, typer.Option(help="How many.", min=1, max=10_000)] = 20,
    as_json: AsJson = False,
) -> None:
    """Show the signed heads of the log, newest first."""

    async def work() -> None:
        async with open_books(settings(), tenant, live=live) as books:
            found = await service.checkpoints(books.ledger, books.tenant_id, limit=limit)
        if as_json:
            _write([{"number": one.head.number, "size": one.head.size, "note": one.note} for one in found])
            return
        table = Table("Number", "Transfers", "Made at", "Root", "Key", box=None)
        for one in found:
            head = one.head
            table.add_row(
                str(head.number), str(head.size), rfc3339(head.made_at), head.root.hex()[:16], one.key_id
            )
        out.print(table)

    run_async(work())


@app.command()
def proof(
    transfer: Annotated[str, typer.Argument(help="tr_...")],
    tenant: Tenant,
    live: Live = False,
    size: Annotated[
        int | None, typer.Option(help="Size of the checkpoint that it leads to. Default: the newest.", min=1)
    ] = None,
) -> None:
    """Write the proof that a transfer is in the log, as JSON."""
    try:
        transfer_id = decode_id("tr", transfer)
    except MalformedId as error:
        fail(str(error), code=USAGE)

    async def work() -> None:
        async with open_books(settings(), tenant, live=live) as books:
            _write(
                inclusion_receipt(
                    await service.prove_inclusion(books.ledger, books.tenant_id, transfer_id, size=size)
                )
            )

    run_async(work())


@app.command()
def consistency(
    older: Annotated[int, typer.Argument(help="The size of a checkpoint.", min=1)],
    newer: Annotated[int, typer.Argument(help="The size of a later one.", min=1)],
    tenant: Tenant,
    live: Live = False,
) -> None:
    """Write the proof that nothing sealed by one checkpoint has changed up to another, as JSON."""

    async def work() -> None:
        async with open_books(settings(), tenant, live=live) as books:
            _write(
                consistency_receipt(
                    await service.prove_consistency(books.ledger, books.tenant_id, older, newer)
                )
            )

    run_async(work())


@app.command("seal-keys")
def seal_keys(
    tenant: Tenant,
    live: Live = False,
    rotate: Annotated[
        bool, typer.Option("--rotate", help="Make a new key, which signs from now on.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show the public keys that verifiers need, newest first; the first one signs."""

    async def work() -> None:
        async with open_books(settings(), tenant, live=live) as books:
            if rotate:
                await service.rotate_key(_seals(books), books.tenant_id, by=books.by)
            found = await service.keys(books.ledger, books.tenant_id)
        if as_json:
            _write(
                [
                    {"id": one.id, "verifier_key": one.verifier_key, "public_key": one.public_key.hex()}
                    for one in found
                ]
            )
            return
        for one in found:  # a line each, to be copied: a table would break them
            out.print(f"{rfc3339(one.created_at)}  {one.verifier_key}", highlight=False, soft_wrap=True)

    run_async(work())


@app.command("verify-proof")
def verify_proof(file: ProofFile, key: PublicKey) -> None:
    """Check a transfer's proof with nothing but the public key: no database, no settings."""
    try:
        proven = verify_inclusion(_read(file), _public_key(key))
    except BadProof as error:
        fail(f"the proof does not hold: {error}")
    head = proven.head
    out.print(
        f"{encode_id('tr', proven.transfer_id)} is transfer {proven.index} of the {head.size} sealed by"
        f" checkpoint {head.number} on {rfc3339(head.made_at)}\n\n{proven.leaf}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


@app.command("verify-consistency")
def verify_consistency(
    file: ProofFile,
    key: Annotated[
        list[str],
        typer.Option(
            "--key", "-k", help="A public key, as for verify-proof; may be repeated after a rotation."
        ),
    ],
) -> None:
    """Check that one checkpoint continues another, with nothing but the public keys."""
    try:
        older, newer = verify_growth(_read(file), tuple(_public_key(one) for one in key))
    except BadProof as error:
        fail(f"the proof does not hold: {error}")
    out.print(
        f"checkpoint {newer.number} ({newer.size} transfers) continues checkpoint {older.number}"
        f" ({older.size}): nothing before it has changed",
        highlight=False,
        soft_wrap=True,
    )


def _read(file: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        fail(f"{file}: {error.strerror}", code=USAGE)


def _public_key(given: str) -> bytes:
    try:
        path = Path(given)
        return read_key(path.read_text() if _is_file(path) else given)
    except (BadKey, UnicodeDecodeError):
        fail("the key is neither 64 hexadecimal digits, nor name+id+base64, nor a file with one", code=USAGE)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long for a name, or with a NUL: then it is the key itself
        return False


def _write(document: object) -> None:
    print(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())

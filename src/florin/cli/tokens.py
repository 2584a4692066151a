"""`florin tokens`: the keys that sign access tokens."""

import getpass
import json
from typing import Annotated

import typer
from rich.table import Column, Table

from florin.access.signing.model import SigningKey
from florin.access.signing.service import list_keys, revoke, rotate
from florin.cli.console import out, run_async
from florin.cli.platform import open_platform
from florin.kernel.clock import now, rfc3339
from florin.kernel.settings import settings

app = typer.Typer(help="Access tokens of users and OAuth clients.", no_args_is_help=True)
keys = typer.Typer(help="List, rotate and revoke the keys that sign them.", no_args_is_help=True)
app.add_typer(keys, name="keys")


@keys.command("list")
def list_(
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
) -> None:
    """List all keys that there ever were, newest first."""

    async def work() -> None:
        async with open_platform(settings()) as platform:
            found = await list_keys(platform.signing)
        if as_json:
            out.print_json(json.dumps([_facts(key) for key in found]))
            return
        whole = [Column(name, no_wrap=True) for name in ("Key", "State", "Signs from", "Until")]
        table = Table(*whole, "Why", box=None, pad_edge=False)
        for key in found:
            times = (key.signs_from, key.signs_until)
            days = ("" if at is None else rfc3339(at)[:10] for at in times)
            table.add_row(key.kid, key.state(now()), *days, key.revoked_reason or "")
        out.print(table)

    run_async(work())


@keys.command("rotate")
def rotate_() -> None:
    """Announce a new key. It signs after a day, when verifiers have fetched it; the old one fades out."""

    async def work() -> None:
        async with open_platform(settings()) as platform:
            made = await rotate(platform.signing, by=_me())
            await platform.tell()
        out.print(f"{made.kid} signs from {rfc3339(made.signs_from)[:19]}Z", highlight=False, soft_wrap=True)

    run_async(work())


@keys.command("revoke")
def revoke_(
    kid: Annotated[str, typer.Argument(help="The key, as florin tokens keys list shows it.")],
    reason: Annotated[str, typer.Option(help="Why; kept with the key.")],
) -> None:
    """Refuse all that a key has signed, now and everywhere. For emergencies: another takes over at once."""

    async def work() -> None:
        async with open_platform(settings()) as platform:
            await revoke(platform.signing, kid, by=_me(), reason=reason)
            await platform.tell()
        out.print(f"{kid} is revoked; what it signed is refused", highlight=False, soft_wrap=True)

    run_async(work())


def _me() -> str:
    return f"cli:{getpass.getuser()}"


def _facts(key: SigningKey) -> dict[str, str | None]:
    return {
        "kid": key.kid,
        "state": key.state(now()),
        "signs_from": rfc3339(key.signs_from),
        "signs_until": None if key.signs_until is None else rfc3339(key.signs_until),
        "created_at": rfc3339(key.created_at),
        "created_by": key.created_by,
        "revoked_at": None if key.revoked_at is None else rfc3339(key.revoked_at),
        "revoked_by": key.revoked_by,
        "revoked_reason": key.revoked_reason,
    }

"""`florin keys`: create, revoke, rotate and list."""

from datetime import timedelta
from typing import Annotated
from uuid import UUID

import typer
from rich.table import Column, Table

from florin.access.service import create_key, list_keys, revoke_key, rotate_key
from florin.cli.console import USAGE, err, fail, out, run_async
from florin.cli.platform import open_platform, tenant_id_of
from florin.kernel.clock import now, rfc3339
from florin.kernel.ids import MalformedId, decode_id, encode_id
from florin.kernel.settings import settings

app = typer.Typer(help="Create, list, rotate and revoke API keys.", no_args_is_help=True)

Tenant = Annotated[str, typer.Option(help="The tenant's code.")]
Live = Annotated[bool, typer.Option("--live", help="For the live books instead of the test books.")]
KeyId = Annotated[str, typer.Argument(help="key_..., as florin keys list shows it.")]


@app.command()
def create(
    tenant: Tenant,
    name: Annotated[str, typer.Option(help="What the key is for.")] = "command line",
    scope: Annotated[list[str] | None, typer.Option(help="A scope; may be repeated. Default: all.")] = None,
    partner: Annotated[str | None, typer.Option(help="ptnr_...: the partner that it speaks for.")] = None,
    days: Annotated[int | None, typer.Option(help="Days until it expires.", min=1)] = None,
    unlimited: Annotated[bool, typer.Option("--unlimited", help="No rate limit.")] = False,
    live: Live = False,
) -> None:
    """Create a key. Its secret is printed once and kept nowhere."""

    async def work() -> None:
        async with open_platform(settings()) as platform:
            made = await create_key(
                platform.access,
                await tenant_id_of(platform, tenant, live=live),
                name=name,
                scopes=scope or ["*"],
                partner_id=None if partner is None else _id("ptnr", partner),
                limits=dict.fromkeys(("per_minute", "per_hour", "per_day")) if unlimited else None,
                expires_at=None if days is None else now() + timedelta(days=days),
            )
            await platform.tell()
        err.print(f"{encode_id('key', made.key.id)}: note the secret, it is not shown again", highlight=False)
        out.print(made.secret, highlight=False, soft_wrap=True)

    run_async(work())


@app.command("list")
def list_(tenant: Tenant, live: Live = False) -> None:
    """List a tenant's keys, newest first."""

    async def work() -> None:
        whole = [Column(name, no_wrap=True) for name in ("Id", "Key")]  # to be copied, so never cut
        table = Table(*whole, "Name", "Scopes", "Expires", "Revoked", "Last used", box=None)
        async with open_platform(settings()) as platform:
            tenant_id = await tenant_id_of(platform, tenant, live=live)
            after = None
            while found := await list_keys(platform.access, tenant_id, after=after):
                for key in found:
                    times = (key.expires_at, key.revoked_at, key.last_used_at)
                    table.add_row(
                        encode_id("key", key.id),
                        f"{key.prefix}...",
                        key.name,
                        " ".join(key.scopes),
                        *("" if at is None else rfc3339(at)[:19] for at in times),
                    )
                after = found[-1].id
        out.print(table)

    run_async(work())


@app.command()
def revoke(key: KeyId, tenant: Tenant, live: Live = False) -> None:
    """End a key now, everywhere."""

    async def work() -> None:
        async with open_platform(settings()) as platform:
            tenant_id = await tenant_id_of(platform, tenant, live=live)
            await revoke_key(platform.access, tenant_id, _id("key", key))
            await platform.tell()
        out.print(f"{key} is revoked", highlight=False)

    run_async(work())


@app.command()
def rotate(
    key: KeyId,
    tenant: Tenant,
    overlap_hours: Annotated[int, typer.Option(help="How long the old key still works.", min=0)] = 24,
    live: Live = False,
) -> None:
    """Make a key's successor; the old key ends after the overlap."""

    async def work() -> None:
        async with open_platform(settings()) as platform:
            tenant_id = await tenant_id_of(platform, tenant, live=live)
            made = await rotate_key(
                platform.access, tenant_id, _id("key", key), overlap=timedelta(hours=overlap_hours)
            )
            await platform.tell()
        err.print(f"{encode_id('key', made.key.id)}: note the secret, it is not shown again", highlight=False)
        out.print(made.secret, highlight=False, soft_wrap=True)

    run_async(work())


def _id(prefix: str, text: str) -> UUID:
    try:
        return decode_id(prefix, text)
    except MalformedId as error:
        fail(f"{text!r}: {error}", code=USAGE)

"""`florin keys`: the life of API keys."""

import getpass
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Annotated, Any

import typer
from rich.table import Column, Table

from florin.access import addresses, service, views
from florin.access.http import ApiKeyShown, NewKeyShown
from florin.access.model import MAX_LIMIT, ApiKey, KeyKind, KeyStatus, NewKey
from florin.cli.console import USAGE, err, fail, out, run_async
from florin.cli.ledger.options import Json, id_of, print_json
from florin.cli.platform import Platform, open_platform, tenant_id_of
from florin.kernel.clock import now, rfc3339
from florin.kernel.ids import encode_id
from florin.kernel.settings import settings

app = typer.Typer(help="Create, list, change, rotate and revoke API keys.", no_args_is_help=True)

Tenant = Annotated[str, typer.Option(help="The tenant's code.")]
Live = Annotated[bool, typer.Option("--live", help="For the live books instead of the test books.")]
KeyId = Annotated[str, typer.Argument(metavar="KEY", help="key_..., as florin keys list shows it.")]
Scopes = Annotated[
    list[str] | None, typer.Option("--scope", help="payments:write, ledger:*, ...; may be repeated.")
]
Allowed = Annotated[
    list[str] | None,
    typer.Option("--allow", help="An address or network that it may call from; may be repeated."),
]
Partner = Annotated[str | None, typer.Option(help="ptnr_...: the partner that it speaks for.")]
PerMinute = Annotated[int | None, typer.Option(help="Calls a minute; 0: unlimited.", min=0, max=MAX_LIMIT)]
PerHour = Annotated[int | None, typer.Option(help="Calls an hour; 0: unlimited.", min=0, max=MAX_LIMIT)]
PerDay = Annotated[int | None, typer.Option(help="Calls a day; 0: unlimited.", min=0, max=MAX_LIMIT)]


@app.command()
def create(
    tenant: Tenant,
    name: Annotated[str, typer.Option(help="What the key is for.")] = "command line",
    scope: Scopes = None,
    partner: Partner = None,
    days: Annotated[int | None, typer.Option(help="Days until it expires.", min=1)] = None,
    allow: Allowed = None,
    per_minute: PerMinute = None,
    per_hour: PerHour = None,
    per_day: PerDay = None,
    unlimited: Annotated[bool, typer.Option("--unlimited", help="No rate limit of its own.")] = False,
    client: Annotated[
        bool, typer.Option("--client", help="An OAuth client: its secret gets access tokens.")
    ] = False,
    live: Live = False,
    json: Json = False,
) -> None:
    """Create a key, with all scopes unless some are named. Its secret is printed once and kept nowhere."""
    limits = dict.fromkeys(("per_minute", "per_hour", "per_day")) if unlimited else {}

    async def work(platform: Platform, tenant_id: int) -> None:
        made = await service.create_key(
            platform.access,
            tenant_id,
            name=name,
            scopes=scope or ["*"],
            partner_id=None if partner is None else id_of("ptnr", partner),
            limits={**limits, **_limits(per_minute, per_hour, per_day)},
            allowed_addresses=_networks(allow),
            expires_at=None if days is None else now() + timedelta(days=days),
            by=_actor(),
            kind=KeyKind.CLIENT if client else KeyKind.BEARER,
        )
        await platform.tell()
        _print_secret(made, live=live, json=json)

    _on_tenant(tenant, work, live=live)


@app.command("list")
def list_(
    tenant: Tenant,
    status: Annotated[KeyStatus | None, typer.Option(help="Only those that stand so.")] = None,
    partner: Partner = None,
    live: Live = False,
    json: Json = False,
) -> None:
    """List a tenant's keys, newest first."""

    async def work(platform: Platform, tenant_id: int) -> None:
        found: list[ApiKey] = []
        partner_id = None if partner is None else id_of("ptnr", partner)
        while page := await service.list_keys(
            platform.access,
            tenant_id,
            partner_id=partner_id,
            status=status,
            after=found[-1].id if found else None,
        ):
            found += page
        if json:
            print_json([_shown(key, live=live) for key in found])
        else:
            out.print(_table(found))

    _on_tenant(tenant, work, live=live)


@app.command()
def show(key: KeyId, tenant: Tenant, live: Live = False, json: Json = False) -> None:
    """Show one key."""

    async def work(platform: Platform, tenant_id: int) -> None:
        _print(await service.get_key(platform.access, tenant_id, id_of("key", key)), live=live, json=json)

    _on_tenant(tenant, work, live=live)


@app.command()
def change(
    key: KeyId,
    tenant: Tenant,
    name: Annotated[str | None, typer.Option(help="What the key is for.")] = None,
    scope: Scopes = None,
    allow: Allowed = None,
    anywhere: Annotated[bool, typer.Option("--anywhere", help="It may call from any address.")] = False,
    per_minute: PerMinute = None,
    per_hour: PerHour = None,
    per_day: PerDay = None,
    live: Live = False,
    json: Json = False,
) -> None:
    """Change a key's name, scopes, limits, or the addresses that it may call from. Lists replace lists."""
    if allow and anywhere:
        fail("--allow and --anywhere contradict each other", code=USAGE)
    changes: dict[str, Any] = {}
    if name is not None:
        changes["name"] = name
    if scope:
        changes["scopes"] = scope
    if allow or anywhere:
        changes["allowed_addresses"] = _networks(allow)
    if limits := _limits(per_minute, per_hour, per_day):
        changes["limits"] = limits
    if not changes:
        fail("there is nothing to change; florin keys change --help shows what can be", code=USAGE)

    async def work(platform: Platform, tenant_id: int) -> None:
        changed = await service.change_key(platform.access, tenant_id, id_of("key", key), changes)
        await platform.tell()
        _print(changed, live=live, json=json)

    _on_tenant(tenant, work, live=live)


@app.command()
def revoke(
    key: KeyId,
    tenant: Tenant,
    reason: Annotated[str | None, typer.Option(help="Why; it stays with the key.")] = None,
    live: Live = False,
    json: Json = False,
) -> None:
    """End a key now, everywhere."""

    async def work(platform: Platform, tenant_id: int) -> None:
        revoked = await service.revoke_key(
            platform.access, tenant_id, id_of("key", key), reason=reason, by=_actor()
        )
        await platform.tell()
        if json:
            print_json(_shown(revoked, live=live))
        else:
            out.print(f"{key} is revoked", highlight=False)

    _on_tenant(tenant, work, live=live)


@app.command()
def rotate(
    key: KeyId,
    tenant: Tenant,
    overlap_hours: Annotated[int, typer.Option(help="How long the old key still works.", min=0)] = 24,
    live: Live = False,
    json: Json = False,
) -> None:
    """Make a key's successor; the old key ends after the overlap."""

    async def work(platform: Platform, tenant_id: int) -> None:
        made = await service.rotate_key(
            platform.access,
            tenant_id,
            id_of("key", key),
            overlap=timedelta(hours=overlap_hours),
            by=_actor(),
        )
        await platform.tell()
        _print_secret(made, live=live, json=json)

    _on_tenant(tenant, work, live=live)


def _on_tenant(code: str, work: Callable[[Platform, int], Awaitable[None]], *, live: bool) -> None:
    async def opened() -> None:
        async with open_platform(settings()) as platform:
            await work(platform, await tenant_id_of(platform, code, live=live))

    run_async(opened())


def _actor() -> str:
    return f"cli:{getpass.getuser()}"


def _limits(per_minute: int | None, per_hour: int | None, per_day: int | None) -> dict[str, int | None]:
    given = {"per_minute": per_minute, "per_hour": per_hour, "per_day": per_day}
    return {period: count or None for period, count in given.items() if count is not None}


def _networks(given: list[str] | None) -> list[addresses.Network]:
    if len(given or ()) > addresses.MAX_ALLOWED:
        fail(f"--allow: at most {addresses.MAX_ALLOWED}", code=USAGE)
    try:
        return addresses.networks(given or ())
    except addresses.MalformedNetwork as error:
        return fail(f"--allow: {error}", code=USAGE)


def _shown(key: ApiKey, *, live: bool) -> dict[str, Any]:
    return ApiKeyShown.model_validate(views.key(key, live=live)).model_dump(mode="json")


def _table(keys: list[ApiKey]) -> Table:
    whole = [Column(name, no_wrap=True) for name in ("Id", "Key")]  # to be copied, so never cut
    table = Table(*whole, "Name", "Scopes", "From", "Status", "Expires", "Last used", box=None)
    for key in keys:
        table.add_row(
            encode_id("key", key.id),
            f"{key.prefix}...",
            key.name,
            " ".join(key.scopes),
            " ".join(addresses.shown(key.allowed_addresses)) or "anywhere",
            key.status(now()),
            *("" if at is None else rfc3339(at)[:19] for at in (key.expires_at, key.last_used_at)),
        )
    return table


def _print(key: ApiKey, *, live: bool, json: bool) -> None:
    shown = _shown(key, live=live)
    if json:
        print_json(shown)
        return
    table = Table("", "", show_header=False, box=None)
    for name, value in shown.items():
        table.add_row(name, _words(value))
    out.print(table)


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{period}: {count or 'unlimited'}" for period, count in value.items())
    if isinstance(value, list):
        return " ".join(value)
    return "" if value is None else str(value)


def _print_secret(made: NewKey, *, live: bool, json: bool) -> None:
    if json:
        fields = {**views.key(made.key, live=live), "secret": made.secret}
        print_json(NewKeyShown.model_validate(fields).model_dump(mode="json"))
        return
    err.print(f"{encode_id('key', made.key.id)}: note the secret, it is not shown again", highlight=False)
    out.print(made.secret, highlight=False, soft_wrap=True)

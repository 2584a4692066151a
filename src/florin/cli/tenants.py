"""`florin tenants`: create, list, and bound what they may call."""

from typing import Annotated

import typer
from rich.table import Table

from florin.cli.console import USAGE, fail, out, run_async
from florin.cli.platform import open_platform
from florin.kernel.settings import settings
from florin.tenancy.model import TenantDetails, TenantType
from florin.tenancy.service import create_tenant, list_tenants, set_limits

app = typer.Typer(help="Create and list tenants, and bound how often they may call.", no_args_is_help=True)


@app.command()
def create(
    code: Annotated[str, typer.Argument(help="2 to 20 of A-Z, 0-9, _ and -, a letter first.")],
    name: Annotated[str, typer.Option(help="What people call it.")],
    email: Annotated[str, typer.Option(help="Whom to write to.")],
    kind: Annotated[TenantType, typer.Option("--type", help="What it is.")] = TenantType.FINTECH,
    country: Annotated[str, typer.Option(help="ISO 3166 code.")] = "ZA",
    timezone: Annotated[str, typer.Option(help="IANA name.")] = "Africa/Johannesburg",
    currency: Annotated[str, typer.Option(help="ISO 4217 code.")] = "ZAR",
) -> None:
    """Create a tenant: its live books and its test books."""

    async def work() -> None:
        details = TenantDetails(
            name=name, type=kind, contact_email=email, country=country, timezone=timezone, currency=currency
        )
        async with open_platform(settings()) as platform:
            twins = await create_tenant(platform.tenancy, code, details)
        for twin in twins:
            out.print(
                f"{code}: {'live' if twin.live else 'test'} books are tenant {twin.tenant_id}",
                highlight=False,
            )

    run_async(work())


@app.command("list")
def list_() -> None:
    """List tenants, a line for each set of books."""

    async def work() -> None:
        table = Table("Code", "Mode", "Id", "Name", "Type", "Status", "Currency", box=None)
        async with open_platform(settings()) as platform:
            for tenant in await list_tenants(platform.tenancy):
                table.add_row(
                    tenant.code,
                    "live" if tenant.live else "test",
                    str(tenant.tenant_id),
                    tenant.name,
                    tenant.type,
                    tenant.status,
                    tenant.currency,
                )
        out.print(table)

    run_async(work())


@app.command()
def limits(
    code: Annotated[str, typer.Argument(help="The tenant's code.")],
    per_minute: Annotated[int | None, typer.Option(help="Calls a minute; 0: the platform's.", min=0)] = None,
    per_hour: Annotated[int | None, typer.Option(help="Calls an hour; 0: the platform's.", min=0)] = None,
    per_day: Annotated[int | None, typer.Option(help="Calls a day; 0: the platform's.", min=0)] = None,
    live: Annotated[
        bool | None, typer.Option("--live/--test", help="One of its books. Default: both.")
    ] = None,
) -> None:
    """Bound what all keys and users of a tenant may call together; without options, show it."""
    given = {"limit_per_minute": per_minute, "limit_per_hour": per_hour, "limit_per_day": per_day}
    changes = {name: value or None for name, value in given.items() if value is not None}

    async def work() -> None:
        table = Table("Mode", "Per minute", "Per hour", "Per day", box=None)
        async with open_platform(settings()) as platform:
            if changes:
                twins = await set_limits(platform.tenancy, code, changes, live=live)
                await platform.tell()
            else:
                twins = [t for t in await list_tenants(platform.tenancy, code) if live in (None, t.live)]
        if not twins:
            fail(f"there is no tenant {code}; florin tenants list shows them", code=USAGE)
        for twin in twins:
            bounds = (twin.limit_per_minute, twin.limit_per_hour, twin.limit_per_day)
            shown = ("the platform's" if bound is None else f"{bound}" for bound in bounds)
            table.add_row("live" if twin.live else "test", *shown)
        out.print(table)

    run_async(work())

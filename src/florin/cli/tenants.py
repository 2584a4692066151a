"""`florin tenants`: create and list."""

from typing import Annotated

import typer
from rich.table import Table

from florin.cli.console import out, run_async
from florin.cli.platform import open_platform
from florin.kernel.settings import settings
from florin.tenancy.model import TenantDetails, TenantType
from florin.tenancy.service import create_tenant, list_tenants

app = typer.Typer(help="Create and list tenants.", no_args_is_help=True)


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

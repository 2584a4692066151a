"""`florin platform`: the tenant that runs the house."""

from typing import Annotated

import typer

from florin.cli.console import err, out, run_async
from florin.cli.platform import open_platform
from florin.kernel.settings import settings
from florin.tenancy.model import PLATFORM
from florin.tenancy.platform import ensure_platform

app = typer.Typer(help="The tenant PLATFORM, whose administrators manage all tenants.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """A group, although it has one command."""


@app.command()
def init(
    email: Annotated[str, typer.Option(help="Whom to write to.")] = "platform@localhost.localdomain",
) -> None:
    """Register the tenant PLATFORM. Where it is there already, nothing changes."""

    async def work() -> None:
        async with open_platform(settings()) as platform:
            twins, made = await ensure_platform(platform.tenancy, email)
        assert twins.live is not None, "it was found or made"
        out.print(
            f"{PLATFORM} is tenant {twins.live.tenant_id}{'' if made else ', as it was'}", highlight=False
        )
        if made:
            err.print(
                f"its first administrator: florin users create --tenant {PLATFORM} --live "
                "--role platform_admin --user-name NAME",
                highlight=False,
                soft_wrap=True,
            )

    run_async(work())

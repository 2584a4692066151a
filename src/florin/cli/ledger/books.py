"""What the ledger's commands open: the database, the ledger, and one tenant's books."""

import getpass
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated

import typer

from florin.cli.console import fail
from florin.cli.platform import platform_on, tenant_id_of
from florin.kernel import migrations
from florin.kernel.database_urls import open_database
from florin.kernel.db import Database
from florin.kernel.provenance import Provenance
from florin.kernel.settings import Settings
from florin.ledger.service import Ledger

Tenant = Annotated[str, typer.Option("--tenant", "-t", help="The tenant's code.")]
Live = Annotated[bool, typer.Option("--live/--test", help="Which of the tenant's books.")]


@dataclass(frozen=True, slots=True)
class OpenBooks:
    """One tenant's ledger, open for a command."""

    ledger: Ledger
    database: Database
    tenant_id: int

    @property
    def by(self) -> Provenance:
        """To whom the audit log puts down what the command changes."""
        return self.because(None)

    def because(self, reason: str | None) -> Provenance:
        """The same, with a reason."""
        return Provenance(actor=f"cli:{getpass.getuser()}", reason=reason)


@asynccontextmanager
async def open_books(settings: Settings, tenant: str, *, live: bool) -> AsyncIterator[OpenBooks]:
    """Opens a tenant's books; ends the command when there are none."""
    async with open_database(settings) as urls:
        if await migrations.check(urls.owner):
            fail("the database is not up to date; run florin migrate")
        async with Database(urls.app, size=4) as database:
            tenant_id = await tenant_id_of(platform_on(settings, database), tenant, live=live)
            yield OpenBooks(Ledger(database), database, tenant_id)

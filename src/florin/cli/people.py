"""What the commands about users and roles have in common."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

import typer

from florin.access.people.model import User
from florin.access.people.policy import Actor, operator
from florin.access.people.room import People
from florin.access.people.users import find_user, get_user
from florin.cli.console import fail, run_async
from florin.cli.ledger.options import id_of
from florin.cli.platform import open_platform, tenant_id_of
from florin.kernel.clock import now, rfc3339
from florin.kernel.provenance import acting
from florin.kernel.settings import settings

Tenant = Annotated[str, typer.Option("--tenant", "-t", help="The tenant's code.")]
Live = Annotated[bool, typer.Option("--live", help="In the live books instead of the test books.")]
Json = Annotated[bool, typer.Option("--json", help="As JSON, for programs.")]


@dataclass(frozen=True, slots=True)
class OpenPeople:
    """The people of one tenant, open for a command."""

    room: People
    tenant_id: int

    @property
    def by(self) -> Actor:
        """Whoever is logged in on this machine."""
        who = acting()
        return operator("cli" if who is None else who.actor)

    async def user(self, text: str) -> User:
        """The user of this id, address, number or user name; ends the command where there is none."""
        if text.startswith("user_"):
            return await get_user(self.room, self.tenant_id, id_of("user", text), by=self.by)
        kind = "email" if "@" in text else "phone" if text.startswith("+") else "user_name"
        found = await find_user(self.room, self.tenant_id, {kind: text}, by=self.by)
        return found or fail(f"there is no user {text}; florin users list shows them")


def on_people(tenant: str, work: Callable[[OpenPeople], Awaitable[None]], *, live: bool) -> None:
    """Does this work on a tenant's people, and tells running processes of it."""

    async def opened() -> None:
        async with open_platform(settings()) as platform:
            tenant_id = await tenant_id_of(platform, tenant, live=live)
            await work(OpenPeople(platform.people, tenant_id))
            await platform.tell()

    run_async(opened())


def in_days(days: int | None) -> datetime | None:
    """The instant so many days ahead."""
    return None if days is None else now() + timedelta(days=days)


def unit_of(text: str | None) -> UUID | None:
    """The business unit of this id; None: the whole tenant."""
    return None if text is None else id_of("bu", text)


def shown_time(at: datetime | None) -> str:
    """To the second, for tables."""
    return "" if at is None else rfc3339(at)[:19]

"""What commands that manage the platform open: the database and the rooms they need, no server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from florin.access.people.room import People
from florin.access.senders import open_senders
from florin.access.service import Access
from florin.access.sessions.service import Sessions
from florin.access.signin.room import SignIn
from florin.access.signing.service import SigningKeys
from florin.access.tokens.rooms import open_tokens
from florin.app.rooms import confinement, key_ring
from florin.cli.console import err, fail
from florin.kernel import migrations
from florin.kernel.database_urls import open_database
from florin.kernel.db import CONNECTION_LOST, Database
from florin.kernel.notify import Notifier
from florin.kernel.settings import Settings
from florin.kernel.vault import Vault
from florin.tenancy.service import Tenancy, list_tenants
from florin.webhooks.service import Webhooks


@dataclass(frozen=True, slots=True)
class Platform:
    """The rooms that the command line works in."""

    tenancy: Tenancy
    access: Access
    webhooks: Webhooks
    people: People
    notifier: Notifier
    signing: SigningKeys
    sessions: Sessions

    async def tell(self) -> None:
        """Lets running processes hear of what changed; without, they notice within minutes."""
        try:
            await self.notifier.flush()
        except CONNECTION_LOST:
            err.print("running processes could not be told; they notice within minutes")


@asynccontextmanager
async def open_sign_in(settings: Settings, platform: Platform) -> AsyncIterator[SignIn]:
    """What sets passwords, on a platform that is open already."""
    room = SignIn(
        platform.access.database,
        platform.people.vault,
        platform.tenancy,
        platform.sessions,
        open_senders(settings),
        settings,
    )
    try:
        yield room
    finally:
        await room.close()


@asynccontextmanager
async def open_platform(settings: Settings) -> AsyncIterator[Platform]:
    """The platform of the settings' database, which must be migrated."""
    async with open_database(settings) as urls:
        if await migrations.check(urls.owner):
            fail("the database is not up to date; run florin migrate")
        async with Database(urls.app, size=2) as database:
            yield platform_on(settings, database)


def platform_on(settings: Settings, database: Database) -> Platform:
    """The rooms on a database that is open already."""
    notifier, keys = Notifier(database), key_ring(settings)
    access = Access(database, notifier, settings=settings)
    signing, sessions, _ = open_tokens(settings, database, keys, access)
    return Platform(
        tenancy=Tenancy(database, notifier, keys, Vault(database, keys)),
        access=access,
        webhooks=Webhooks(database, notifier, keys, confinement(settings)),
        people=People(database, Vault(database, keys), notifier),
        notifier=notifier,
        signing=signing,
        sessions=sessions,
    )


async def tenant_id_of(platform: Platform, code: str, *, live: bool) -> int:
    """The id of one twin of a tenant; ends the command when there is no such tenant."""
    twins = await list_tenants(platform.tenancy, code)
    if twins:
        return next(twin.tenant_id for twin in twins if twin.live == live)
    return fail(f"there is no tenant {code}; florin tenants list shows them")

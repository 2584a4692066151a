"""What signing in keeps open."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime
from uuid import UUID

import structlog

from florin.access.senders import Senders, open_senders
from florin.access.sessions.service import Sessions
from florin.access.signin import store
from florin.access.signin.breached import BreachedList
from florin.access.signin.hasher import Hasher
from florin.access.signin.model import Books
from florin.access.signin.policy import DEMANDING, MFA_SETTING, demands_second_factor
from florin.kernel import clock as kernel_clock
from florin.kernel.db import Connection, Database
from florin.kernel.settings import Settings
from florin.kernel.vault import Vault
from florin.tenancy.configuration import value_in_force
from florin.tenancy.errors import SettingNotFound
from florin.tenancy.service import Tenancy

log = structlog.get_logger(__name__)


async def check_settings(settings: Settings) -> None:
    """Raises SettingUnusable: a sender, or the list of breached passwords, is not one."""
    await open_senders(settings).close()
    if settings.breached_passwords is not None:
        BreachedList(settings.breached_passwords).close()


class SignIn:
    """The rooms that signing in works with, the threads that hash, and what is being sent."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        tenancy: Tenancy,
        sessions: Sessions,
        senders: Senders,
        settings: Settings,
        *,
        clock: Callable[[], datetime] = kernel_clock.now,
    ) -> None:
        """Raises BreachedListUnusable: the settings name a file that is no such list."""
        self.database = database
        self.vault = vault
        self.tenancy = tenancy
        self.sessions = sessions
        self.senders = senders
        self.now = clock
        self.hasher = Hasher(settings)
        path = settings.breached_passwords
        self.breached = None if path is None else BreachedList(path)
        self._sending: set[asyncio.Task[None]] = set()
        sessions.still_enough = self.still_enough

    async def books(self, code: str, *, live: bool) -> Books | None:
        """One twin of a tenant by its code."""
        async with self.database.platform() as connection:
            tenant_id = await store.tenant_id_of(connection, code, live=live)
        return None if tenant_id is None else await self.books_of(tenant_id)

    async def books_of(self, tenant_id: int) -> Books | None:
        """One twin of a tenant by its number."""
        async with self.database.tenant(tenant_id) as connection:
            return await store.books(connection, tenant_id)

    async def demanding(self, books: Books) -> list[str]:
        """Which permissions in the whole tenant demand a second factor.

        Unless the tenant says otherwise: those that change something, in the live books. Nothing in the test
        books is anybody's money.
        """
        try:
            value = await value_in_force(self.tenancy, books.tenant_id, MFA_SETTING)
        except SettingNotFound:
            value = None
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            return value
        if value is not None:
            log.warning("setting_ignored", key=MFA_SETTING, tenant_id=books.tenant_id)
        return list(DEMANDING) if books.live else []

    async def demands_second_factor(
        self, connection: Connection, books: Books, user_id: UUID, demanding: list[str]
    ) -> bool:
        """Whether a user's roles demand a second factor. `demanding`: what `self.demanding` said before."""
        if not demanding:
            return False
        held = await store.permissions_tenant_wide(connection, books.tenant_id, user_id, self.now())
        return demands_second_factor(held, demanding)

    async def still_enough(self, tenant_id: int, session_id: UUID) -> bool:
        """Whether a session has the second factor that its user's roles demand by now."""
        books = await self.books_of(tenant_id)
        demanding = [] if books is None else await self.demanding(books)
        if books is None or not demanding:
            return True
        async with self.database.tenant(tenant_id) as connection:
            user_id, methods = await store.session(connection, tenant_id, session_id)
            if len(methods) > 1:
                return True
            return not await self.demands_second_factor(connection, books, user_id, demanding)

    def in_background(self, work: Coroutine[None, None, None]) -> None:
        """Goes on with something that nobody waits for."""
        task = asyncio.get_running_loop().create_task(work)
        self._sending.add(task)
        task.add_done_callback(self._done)

    async def settle(self) -> None:
        """Waits for what goes on in the background."""
        while self._sending:
            await asyncio.wait(self._sending)

    async def close(self) -> None:
        """Sends what is being sent, and lets go of everything."""
        await self.settle()
        self.hasher.close()
        if self.breached is not None:
            self.breached.close()
        await self.senders.close()

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._sending.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("sending_failed", exc_info=error)

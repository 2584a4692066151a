"""The database: one pool, and transactions that know whose they are."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from psycopg import AsyncConnection, InterfaceError, OperationalError
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from florin.kernel.errors import Unavailable
from florin.kernel.provenance import Provenance, acting, settings_of

Connection = AsyncConnection[tuple[Any, ...]]

CONNECTION_LOST = (OperationalError, InterfaceError, PoolTimeout)
"""What psycopg raises while the server is away, restarting, or was killed under a query."""


async def _configure(connection: Connection) -> None:
    await connection.set_autocommit(True)
    # A psycopg that prepares statements says DEALLOCATE ALL after every rollback, and would take those
    # of florin.kernel.pipeline along.
    connection.prepare_threshold = None


class Database:
    """Connections as `florin_app`. Every statement runs in `tenant()` or in `platform()`."""

    def __init__(self, url: str, *, size: int = 8, timeout_s: float = 10) -> None:
        self.url = url
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            url,
            min_size=min(2, size),
            max_size=size,
            timeout=timeout_s,
            max_idle=300,
            reconnect_timeout=60,
            configure=_configure,
            open=False,
            kwargs={"application_name": "florin"},
        )

    async def open(self) -> None:
        """Connects. Raises PoolTimeout when the server does not answer."""
        await self._pool.open(wait=True)

    async def close(self) -> None:
        """Waits for borrowed connections, then closes all."""
        await self._pool.close()

    async def __aenter__(self) -> "Database":
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A bare connection in autocommit mode, for the coalescer and for LISTEN.

        Raises:
            Unavailable: no connection could be had in time.
        """
        try:
            async with self._pool.connection() as connection:
                yield connection
        except PoolTimeout:
            raise Unavailable from None

    @asynccontextmanager
    async def tenant(self, tenant_id: int, *, by: Provenance | None = None) -> AsyncIterator[Connection]:
        """One transaction in one tenant's context: row-level security shows this tenant and no other.

        `by`: to whom the audit log puts down what changes in it; unless given, whoever is acting.

        Raises:
            Unavailable: the server is away; nothing was done unless the commit itself was cut off.
        """
        try:
            async with self.connection() as connection, connection.transaction():
                await _begin(connection, tenant_id, by or acting())
                yield connection
        except (OperationalError, InterfaceError) as error:
            raise Unavailable from error

    @asynccontextmanager
    async def platform(self) -> AsyncIterator[Connection]:
        """One transaction with no tenant: it sees reference tables and the registry of tenants.

        What is changed in it once it has taken a tenant's context is put down to whoever is acting.
        """
        try:
            async with self.connection() as connection, connection.transaction():
                if (by := acting()) is not None:
                    await _set(connection, settings_of(by))
                yield connection
        except (OperationalError, InterfaceError) as error:
            raise Unavailable from error


async def _begin(connection: Connection, tenant_id: int, by: Provenance | None) -> None:
    """Tenant and provenance in one round trip."""
    if by is None:
        await connection.execute(set_tenant(tenant_id))
        return
    await _set(connection, {"app.tenant_id": str(int(tenant_id)), **settings_of(by)})


async def _set(connection: Connection, said: Mapping[str, str]) -> None:
    await connection.execute(
        "SELECT set_config(s.name, s.value, true) FROM unnest(%s::text[], %s::text[]) AS s (name, value)",
        (list(said), list(said.values())),
    )


def set_tenant(tenant_id: int) -> str:
    """The statement that gives a transaction its tenant, as a literal (a number, nothing else)."""
    return f"SET LOCAL app.tenant_id = {int(tenant_id)}"

"""Where the database is: the embedded one, started for as long as it is needed, or an external."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from florin.kernel.embedded import EmbeddedServer
from florin.kernel.roles import as_role, ensure_roles
from florin.kernel.settings import Settings


@dataclass(frozen=True)
class DatabaseUrls:
    """One libpq connection string per role, passwords included, hence not in the repr."""

    owner: str = field(repr=False)
    app: str = field(repr=False)
    readonly: str = field(repr=False)
    root: str | None = field(default=None, repr=False)
    """The superuser's; None on a server that is not ours."""


@asynccontextmanager
async def open_database(settings: Settings, *, supervise: bool = False) -> AsyncIterator[DatabaseUrls]:
    """The connection strings of the database that the settings name.

    Embedded: started on entry, left on exit (the last process to leave stops it); with `supervise`
    a task brings it back when it dies. External: the roles are made if they are missing.
    Raises EmbeddedError or RolesError, each with what helps, and psycopg.OperationalError when an
    external database does not answer.
    """
    if settings.database_url is not None:
        yield await _external(settings.database_url.get_secret_value(), settings)
        return
    server = EmbeddedServer(settings.data_dir, shared_buffers=settings.pg_shared_buffers)
    try:
        await asyncio.to_thread(server.start)
        async with _supervision(server) if supervise else contextlib.nullcontext():
            yield embedded_urls(server)
    finally:
        await asyncio.to_thread(server.stop)


@asynccontextmanager
async def _supervision(server: EmbeddedServer) -> AsyncIterator[None]:
    task = asyncio.create_task(server.supervise(), name="supervise-postgresql")
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def embedded_urls(server: EmbeddedServer, database: str = "florin") -> DatabaseUrls:
    """The connection strings of a database of a started embedded server."""
    return DatabaseUrls(
        owner=server.url("florin_owner", database),
        app=server.url("florin_app", database),
        readonly=server.url("florin_readonly", database),
        root=server.url("florin_root", database),
    )


async def _external(login: str, settings: Settings) -> DatabaseUrls:
    await ensure_roles(login)
    app = settings.app_database_url
    return DatabaseUrls(
        owner=as_role(login, "florin_owner"),
        app=app.get_secret_value() if app else as_role(login, "florin_app"),
        readonly=as_role(login, "florin_readonly"),
    )

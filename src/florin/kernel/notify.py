"""NOTIFY between processes: what changed, so that caches forget and workers wake.

A notice is a hint, never the truth: whoever listens also looks for itself now and then, and is told
`None` after every reconnection, because anything may have been missed.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import structlog
from psycopg import AsyncConnection, sql

from florin.kernel.db import CONNECTION_LOST, Database
from florin.kernel.errors import Unavailable

log = structlog.get_logger(__name__)

Heard = Callable[[str | None], None]


class Notifier:
    """Gathers notices for a moment and sends each once: a commit with NOTIFY takes a global lock."""

    def __init__(self, database: Database, *, every_s: float = 0.05) -> None:
        self._database = database
        self._every_s = every_s
        self._due: set[tuple[str, str]] = set()
        self._wake = asyncio.Event()

    def say(self, channel: str, payload: str) -> None:
        """Sends the notice soon. Call it after the commit that it speaks of."""
        self._due.add((channel, payload))
        self._wake.set()

    async def flush(self) -> None:
        """Sends what is due now. What cannot be sent stays due, and the error is raised."""
        due, self._due = self._due, set()
        try:
            async with self._database.connection() as connection:
                for channel, payload in due:
                    await connection.execute("SELECT pg_notify(%s, %s)", (channel, payload))
        except BaseException:
            self._due |= due
            raise

    async def run(self) -> None:
        """Sends until cancelled. A notice that cannot be sent is kept and tried again."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(self._every_s)
            self._wake.clear()
            try:
                await self.flush()
            except (*CONNECTION_LOST, Unavailable):
                self._wake.set()
                await asyncio.sleep(1)


class Listener:
    """Hears channels on a connection of its own, for as long as it runs."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._heard: dict[str, list[Heard]] = {}

    def on(self, channel: str, heard: Heard) -> None:
        """Calls `heard(payload)` for each notice, `heard(None)` when some may have been missed."""
        self._heard.setdefault(channel, []).append(heard)

    async def run(self) -> None:
        """Listens until cancelled, reconnecting whenever the server goes away."""
        while True:
            with suppress(*CONNECTION_LOST):
                await self._listen()
            log.info("listener_reconnects")
            await asyncio.sleep(0.5)

    async def _listen(self) -> None:
        async with await AsyncConnection.connect(
            self._url, autocommit=True, application_name="florin-listener"
        ) as connection:
            for channel in self._heard:
                await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
            for heard in [heard for all_heard in self._heard.values() for heard in all_heard]:
                heard(None)
            async for notice in connection.notifies():
                for heard in self._heard.get(notice.channel, ()):
                    heard(notice.payload)

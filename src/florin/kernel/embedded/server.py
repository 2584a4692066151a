"""The server as Florin processes share it: come, use, keep alive, leave."""

import asyncio
import logging
import os
import threading
import time
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Self

from florin.kernel.embedded import postmaster
from florin.kernel.embedded.account import EmbeddedError
from florin.kernel.embedded.cluster import (
    DATABASE,
    Cluster,
    Role,
    connection_url,
    initialise,
    lay_out,
    read_passwords,
)
from florin.kernel.embedded.locks import exclusive, open_lock_file, try_lock

_LOCK_TIMEOUT_S = 660  # another process may be waiting for a long recovery
_TAKE_OVER_POLL_S = 1.0
_LONGEST_BACKOFF_S = 10.0
_TRIM_EVERY_S = 60.0

_log = logging.getLogger(__name__)


class EmbeddedServer:
    """One process's use of the PostgreSQL under `data_dir`.

    `start` and `stop` block for as long as PostgreSQL needs; from a coroutine call them through
    `asyncio.to_thread`. A process that is killed counts as having left, but stops nothing: the
    next start finds the server running and adopts it.
    """

    def __init__(self, data_dir: Path, *, shared_buffers: str | None = None) -> None:
        """`shared_buffers` as PostgreSQL writes it ("256MB"); None: an eighth of the memory."""
        self.data_dir = data_dir.expanduser().resolve()
        self._shared_buffers = shared_buffers
        self._busy = threading.RLock()  # a stop waits for a start that was left in its thread
        self._users_lock: int | None = None
        self._cluster: Cluster | None = None
        self._passwords: dict[Role, str] = {}

    def start(self) -> None:
        """Initialise if needed, start or adopt the server, and be counted among its users.

        Starting twice is the same as once. Raises EmbeddedError.
        """
        with self._busy:
            if self._users_lock is None:
                self._start()

    def _start(self) -> None:
        try:
            self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise EmbeddedError(f"cannot create the data directory: {error}") from error
        try:
            with self._start_lock():
                self._users_lock = open_lock_file(self.data_dir / "users.lock")
                try_lock(self._users_lock, shared=True)  # taken alone only under the start lock
                self._passwords = read_passwords(self.data_dir)
                self._cluster = cluster = lay_out(self.data_dir)
                if not cluster.pgdata.exists():
                    _log.info("initialising the database in %s", self.data_dir)
                    initialise(cluster, self._passwords)
                postmaster.ensure_running(cluster, shared_buffers=self._shared_buffers)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Leave; the last user to leave stops the server. Stopping twice is the same as once."""
        with self._busy:
            if self._users_lock is not None:
                self._leave(self._users_lock)

    def _leave(self, users_lock: int) -> None:
        with self._start_lock():
            os.close(users_lock)
            self._users_lock = None
            alone = open_lock_file(self.data_dir / "users.lock")
            try:
                if try_lock(alone) and self._cluster is not None:
                    postmaster.stop(self._cluster)
            finally:
                os.close(alone)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def url(self, role: Role, database: str = DATABASE) -> str:
        """A libpq URL, password included, of a started server."""
        return connection_url(self.cluster, role, self._passwords[role], database)

    @property
    def cluster(self) -> Cluster:
        """Where everything lies. Raises EmbeddedError before `start`."""
        if self._cluster is None or self._users_lock is None:
            raise EmbeddedError("the embedded PostgreSQL is not started.")
        return self._cluster

    @property
    def pid(self) -> int | None:
        """The postmaster's process, or None while there is none."""
        found = postmaster.find_postmaster(self.cluster)
        return found.pid if found else None

    async def supervise(self, *, poll_s: float = 0.25) -> None:
        """Bring the server back whenever it dies. Runs until cancelled; cancel before `stop`.

        Of all processes that call this, one supervises; another takes over within about a second
        of its end, however it ends.
        """
        lock = open_lock_file(self.cluster.data_dir / "supervisor.lock")
        try:
            while not try_lock(lock):  # noqa: ASYNC110 - another process holds it, no event tells
                await asyncio.sleep(_TAKE_OVER_POLL_S)
            await self._watch(poll_s)
        finally:
            os.close(lock)

    async def _watch(self, poll_s: float) -> None:
        failures = 0
        trim_at = time.monotonic() + _TRIM_EVERY_S
        while True:
            pause_s = poll_s
            try:
                if postmaster.find_postmaster(self.cluster) is None:
                    if await asyncio.to_thread(self._revive):
                        _log.warning("PostgreSQL had ended; restarted it")
                    failures = 0
                if time.monotonic() > trim_at:
                    trim_at = time.monotonic() + _TRIM_EVERY_S
                    await asyncio.to_thread(postmaster.trim_log, self.cluster)
            except (EmbeddedError, OSError) as error:
                pause_s = min(0.5 * 2**failures, _LONGEST_BACKOFF_S)
                failures += 1
                _log.error("PostgreSQL is not well, trying again in %.1f s: %s", pause_s, error)
            await asyncio.sleep(pause_s)

    def _revive(self) -> bool:
        with self._start_lock():
            if self._users_lock is None:  # stopped meanwhile
                return False
            return postmaster.ensure_running(self.cluster, shared_buffers=self._shared_buffers)

    def _start_lock(self) -> AbstractContextManager[None]:
        return exclusive(self.data_dir / "start.lock", timeout_s=_LOCK_TIMEOUT_S)

"""One API process: uvicorn on a socket that somebody else may have bound, behind a guard."""

import asyncio
import resource
import socket
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import structlog
import uvicorn
from starlette.types import ASGIApp

from florin.app.connection import GuardedProtocol
from florin.app.guard import LOOPBACK, Bounds, Guard, bounds_of
from florin.app.processes import stop_with_parent
from florin.app.tls import BadTls, Tls, open_tls
from florin.kernel.settings import Settings

log = structlog.get_logger(__name__)

BACKLOG: Final = 4096
_OTHER_FILES: Final = 512
"""What a process opens beside its clients' connections: the database's, logs, what it imports."""

_HANDSHAKE_S: Final = 10.0
_FAREWELL_S: Final = 5.0
_RENEW_S: Final = 10.0


def bind(host: str, port: int) -> socket.socket:
    """A listening socket that several processes can accept on.

    Raises:
        OSError: the address is taken, or is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError:
        listening.close()
        raise
    listening.listen(BACKLOG)
    listening.set_inheritable(True)
    return listening


class Server(uvicorn.Server):
    """uvicorn as Florin runs it: no access log, one orderly shutdown; signals are its caller's business."""

    def __init__(
        self, app: ASGIApp, *, guard: Guard | None = None, tls: Tls | None = None, lifespan: bool = True
    ) -> None:
        self._guard = Guard(Bounds()) if guard is None else guard
        self._tls = tls
        super().__init__(
            uvicorn.Config(
                app,
                loop="none",  # we are in one already
                http=partial(GuardedProtocol, guard=self._guard),  # type: ignore[arg-type]
                ws="none",
                lifespan="on" if lifespan else "off",
                access_log=False,
                log_config=None,
                server_header=False,
                proxy_headers=False,
                backlog=BACKLOG,
                timeout_keep_alive=self._guard.bounds.keep_alive_s,
                timeout_graceful_shutdown=10,
            )
        )

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leaves signals to whoever runs it."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts the application, then listens: uvicorn would give a TLS handshake a whole minute."""
        await super().startup(sockets=[])
        if self.should_exit:
            return
        for listening in sockets or ():
            self.servers.append(await self._listen(listening))

    async def _listen(self, listening: socket.socket) -> asyncio.Server:
        timeouts: dict[str, Any] = {}
        if self._tls is not None:
            timeouts = {"ssl_handshake_timeout": _HANDSHAKE_S, "ssl_shutdown_timeout": _FAREWELL_S}
        return await asyncio.get_running_loop().create_server(
            self._protocol,
            sock=listening,
            ssl=None if self._tls is None else self._tls.context,
            backlog=BACKLOG,
            **timeouts,
        )

    def _protocol(self) -> GuardedProtocol:
        return GuardedProtocol(self.config, self.server_state, self.lifespan.state, guard=self._guard)

    async def main_loop(self) -> None:
        """Serves, sweeps, and looks for new certificates."""
        looking = [asyncio.create_task(self._guard.run())]
        if self._tls is not None:
            looking.append(asyncio.create_task(_keep_fresh(self._tls)))
        try:
            await super().main_loop()
        finally:
            for task in looking:
                task.cancel()


async def _keep_fresh(tls: Tls) -> None:
    """Takes up a renewed certificate; those who are connected notice nothing."""
    while True:
        await asyncio.sleep(_RENEW_S)
        try:
            if tls.renew():
                log.info("certificate_renewed", certificate=str(tls.certificate))
        except BadTls as error:
            log.warning("certificate_not_renewed", reason=str(error))


def make_room_for(connections: int) -> None:
    """Lets the process open as many files as it may have connections, where the system allows it."""
    wanted = connections + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if wanted > soft != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    if wanted < connections + _OTHER_FILES:
        log.warning("few_file_descriptors", allowed=hard, connections=connections)


async def serve(app: ASGIApp, listening: socket.socket, settings: Settings) -> None:
    """Serves until a signal, or until the parent is gone.

    Raises:
        BadTls: the certificate or its key cannot be used.
    """
    stop = asyncio.Event()
    stop_with_parent(stop)
    make_room_for(settings.max_connections)
    guard = Guard(bounds_of(settings), exempt=(*LOOPBACK, *settings.trusted_proxies))
    api = Server(app, guard=guard, tls=open_tls(settings))
    serving = asyncio.create_task(api.serve([listening]))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    api.should_exit = True
    await serving
    stopping.cancel()

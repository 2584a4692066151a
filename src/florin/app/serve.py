"""One API process: uvicorn on a socket that somebody else may have bound."""

import asyncio
import socket
from collections.abc import Generator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from florin.app.processes import stop_with_parent


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
    listening.listen(4096)
    listening.set_inheritable(True)
    return listening


class _Server(uvicorn.Server):
    """Leaves signals to whoever runs it."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def server(app: ASGIApp, *, lifespan: bool = True) -> uvicorn.Server:
    """A uvicorn server as Florin runs it: no access log, no signal handlers, one orderly shutdown."""
    return _Server(
        uvicorn.Config(
            app,
            loop="none",  # we are in one already
            http="httptools",
            lifespan="on" if lifespan else "off",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            backlog=4096,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=10,
        )
    )


async def serve(app: ASGIApp, listening: socket.socket) -> None:
    """Serves until a signal, or until the parent is gone."""
    stop = asyncio.Event()
    stop_with_parent(stop)
    api = server(app)
    serving = asyncio.create_task(api.serve([listening]))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    api.should_exit = True
    await serving
    stopping.cancel()

"""`florin run`: the database, the API processes and the worker, as one thing that starts and stops."""

import asyncio
import os
import shutil
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import structlog
from rich.panel import Panel

from florin.app.processes import Child, Keeper
from florin.app.serve import bind, server
from florin.cli.console import err, out
from florin.cli.demo import Demo, ensure_demo
from florin.kernel import migrations
from florin.kernel.database_urls import DatabaseUrls, open_database
from florin.kernel.settings import Settings

log = structlog.get_logger(__name__)


class AddressTaken(Exception):
    """The address cannot be served on."""


async def run_florin(settings: Settings) -> None:
    """Runs until SIGINT or SIGTERM; then stops everything in order.

    Raises:
        AddressTaken: the port is in use, or the host is not this machine's.
        EmbeddedError, RolesError, MigrationError: the database cannot be brought up.
    """
    try:
        listening = bind(settings.host, settings.port)
    except OSError as error:
        raise AddressTaken(
            f"cannot serve on {settings.host}:{settings.port}: {error.strerror}. Set FLORIN_PORT to another port."
        ) from error
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with listening:
        err.print("starting the database ...")
        async with open_database(settings, supervise=True) as urls:
            for applied in await migrations.migrate(urls.owner):
                err.print(f"applied migration {applied}", highlight=False)
            port: int = listening.getsockname()[1]
            base = f"http://{settings.host}:{port}"
            async with _receiver(settings.host, port + 1 if port < 65535 else port - 1) as receiver:  # noqa: PLR2004
                demo = await ensure_demo(settings, urls, receiver)
                async with _processes(settings, urls, listening):
                    _greet(base, settings, demo, receiver)
                    await stop.wait()
                    err.print("\nstopping ...")
    err.print("stopped")


@asynccontextmanager
async def _processes(
    settings: Settings, urls: DatabaseUrls, listening: socket.socket
) -> AsyncIterator[None]:
    metrics = settings.data_dir / "metrics"
    shutil.rmtree(metrics, ignore_errors=True)
    metrics.mkdir(parents=True)
    environment = {
        "FLORIN_DATABASE_URL": urls.app,
        "FLORIN_APP_DATABASE_URL": urls.app,
        "FLORIN_DATA_DIR": str(settings.data_dir.resolve()),
        "FLORIN_ALLOW_PRIVATE_WEBHOOKS": "true" if _is_local(settings) else str(settings.allow_private_webhooks),
        "PROMETHEUS_MULTIPROC_DIR": str(metrics.resolve()),
    }
    keeper = Keeper()
    descriptor = listening.fileno()
    for number in range(settings.workers):
        keeper.keep(
            Child(f"api-{number}", ("serve", "--fd", str(descriptor)), environment, inherits=(descriptor,))
        )
    keeper.keep(Child("worker", ("work",), environment))
    try:
        yield
    finally:
        await keeper.stop()

"""`florin run`: the database, the API processes and the worker, as one thing that starts and stops."""

import asyncio
import os
import shutil
import signal
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import structlog
from rich.panel import Panel

from florin.access.signin.room import check_settings
from florin.app.processes import Child, Keeper
from florin.app.serve import Server, bind
from florin.app.tls import BadTls, open_tls
from florin.audit import schema_watch
from florin.cli.console import CannotStart, err, out
from florin.cli.demo import Demo, ensure_demo
from florin.kernel import migrations
from florin.kernel.database_urls import DatabaseUrls, open_database
from florin.kernel.settings import Settings
from florin.webhooks.receiver import Receiver

log = structlog.get_logger(__name__)


_READY_TIMEOUT_S = 30
_HANDSHAKE_S = 2
_RECEIVER_HOST = "127.0.0.1"


class AddressTaken(CannotStart):
    """The address cannot be served on."""


class CannotEncrypt(CannotStart):
    """The files of FLORIN_TLS_CERTIFICATE and FLORIN_TLS_KEY cannot be used."""


class NeverReady(CannotStart):
    """The API processes do not come up."""


async def run_florin(settings: Settings) -> None:
    """Runs until SIGINT or SIGTERM; then stops everything in order.

    Raises:
        SettingUnusable: a sender of codes, or the list of breached passwords, is not one.
        AddressTaken: the port is in use, or the host is not this machine's.
        NeverReady: the API processes do not come up.
        CannotEncrypt: the certificate or its key cannot be used.
        EmbeddedError, RolesError, MigrationError: the database cannot be brought up.
    """
    await check_settings(settings)
    try:
        open_tls(settings)  # better said now than by each of its processes
    except BadTls as error:
        raise CannotEncrypt(f"no TLS: {error}") from error
    try:
        listening = bind(settings.host, settings.port)
    except OSError as error:
        raise AddressTaken(
            f"cannot serve on {settings.host}:{settings.port}: {error.strerror}. FLORIN_PORT sets another."
        ) from error
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with listening:
        err.print("starting the database ...")
        async with open_database(settings, supervise=True) as urls:
            for applied in await migrations.migrate(urls.owner):
                err.print(f"applied migration {applied}", highlight=False)
            if urls.root is not None:
                await schema_watch.install(urls.root)
            port: int = listening.getsockname()[1]
            chosen = settings.model_copy(update={"port": port, "receiver_url": _receiver_url(port)})
            demo = await ensure_demo(chosen, urls, str(chosen.receiver_url))
            async with (
                _receiver(port + 1, demo.webhook_secret),
                _processes(chosen, urls, listening),
            ):
                base = f"{settings.scheme}://{settings.host}:{port}"
                if await _ready(base, stop, shows_certificate=settings.tls_client_ca is not None):
                    _greet(base, chosen, demo, str(chosen.receiver_url))
                    await stop.wait()
                err.print("\nstopping ...")
    err.print("stopped")


def _receiver_url(port: int) -> str:
    """The demo's receiver is for this machine, wherever the API is served."""
    return f"http://{_RECEIVER_HOST}:{port + 1}/"


@asynccontextmanager
async def _processes(settings: Settings, urls: DatabaseUrls, listening: socket.socket) -> AsyncIterator[None]:
    metrics = settings.data_dir / "metrics"
    shutil.rmtree(metrics, ignore_errors=True)
    metrics.mkdir(parents=True)
    environment = {
        "FLORIN_DATABASE_URL": urls.app,
        "FLORIN_APP_DATABASE_URL": urls.app,
        "FLORIN_DATA_DIR": str(settings.data_dir.resolve()),
        "FLORIN_HOST": settings.host,
        "FLORIN_PORT": str(settings.port),
        "FLORIN_RECEIVER_URL": str(settings.receiver_url),
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


@asynccontextmanager
async def _receiver(port: int, secret: str) -> AsyncIterator[None]:
    """The demo's webhook receiver; without it Florin serves all the same."""
    try:
        listening = bind(_RECEIVER_HOST, port)
    except OSError as error:
        log.warning("no_webhook_receiver", port=port, reason=error.strerror)
        yield
        return
    with listening:
        receiving = Server(Receiver([secret]).app, lifespan=False)
        task = asyncio.create_task(receiving.serve([listening]))
        try:
            yield
        finally:
            receiving.should_exit = True
            with suppress(asyncio.CancelledError):
                await task


async def _ready(base: str, stop: asyncio.Event, *, shows_certificate: bool) -> bool:
    """Waits until the API serves. False: stopped meanwhile.

    Where clients need a certificate, which this process does not have, an API that shakes hands serves: it
    listens once it has started.

    Raises:
        NeverReady: it does not come up; its own log says why.
    """
    deadline = asyncio.get_running_loop().time() + _READY_TIMEOUT_S
    itself = ssl.create_default_context()
    itself.check_hostname = False
    itself.verify_mode = ssl.CERT_NONE  # it asks only whether somebody is there, and tells nothing
    async with httpx.AsyncClient(base_url=base, trust_env=False, verify=itself) as client:
        while not stop.is_set():
            try:
                if shows_certificate:
                    await _shake_hands(base, itself)
                    return True
                if (await client.get("/readyz")).is_success:
                    return True
            except (httpx.TransportError, OSError):
                pass
            if asyncio.get_running_loop().time() > deadline:
                raise NeverReady(f"the API did not start within {_READY_TIMEOUT_S} s; the log above says why")
            await asyncio.sleep(0.05)
    return False


async def _shake_hands(base: str, context: ssl.SSLContext) -> None:
    parts = urlsplit(base)
    _, writer = await asyncio.wait_for(
        asyncio.open_connection(parts.hostname, parts.port, ssl=context), _HANDSHAKE_S
    )
    writer.transport.abort()


def _greet(base: str, settings: Settings, demo: Demo, receiver: str) -> None:
    env_file = _shown(demo.env_file)
    out.print(
        Panel.fit(
            f"""Florin serves on [bold]{base}[/]      Ctrl-C stops it

API reference   {base}/docs
Your key        {env_file}, with a user to sign in as
Webhooks        {receiver}   what the demo's endpoint received
Data            {_shown(settings.data_dir)}""",
            border_style="yellow",
        ),
        highlight=False,
    )
    out.print(
        f"""Take a payment:

  source {env_file}
  curl {base}/v1/payments \\
    -H "Authorization: Bearer $FLORIN_API_KEY" \\
    -H "Idempotency-Key: $(date +%s)" \\
    -H "Content-Type: application/json" \\
    -d '{{"amount": 4200, "currency": "USD", "method": {{"type": "card", "token": "tok_success"}}}}'
""",
        highlight=False,
        soft_wrap=True,
    )


def _shown(path: Path) -> str:
    here = Path.cwd()
    return os.path.relpath(path, here) if path.resolve().is_relative_to(here) else str(path)

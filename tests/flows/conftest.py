"""Florin as a newcomer starts it: `florin run` in a process of its own, nothing mocked."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest

from florin.kernel.embedded import EmbeddedServer

START_TIMEOUT_S = 60

PATIENCE = {f"FLORIN_STRANGER_LIMIT_PER_{period}": "0" for period in ("MINUTE", "HOUR", "DAY")}
"""The suite knocks with wrong keys more often, from one address, than anybody honest does."""


@dataclass
class Florin:
    """A running `florin run`: where it is, how to get in, what to kill."""

    process: subprocess.Popen[bytes]
    data_dir: Path
    base: str

    @property
    def key(self) -> str:
        """The demo tenant's API key."""
        text = (self.data_dir / "demo.env").read_text()
        return next(line.split("=", 1)[1] for line in text.splitlines() if line.startswith("FLORIN_API_KEY="))

    @property
    def receiver(self) -> str:
        """Where the demo's webhooks arrive."""
        port = int(self.base.rpartition(":")[2])
        return f"http://127.0.0.1:{port + 1}"

    def client(self, timeout_s: float = 30) -> httpx.Client:
        """A client that carries the demo key."""
        return httpx.Client(
            base_url=self.base, headers={"authorization": f"Bearer {self.key}"}, timeout=timeout_s
        )

    def children(self, command: str) -> list[psutil.Process]:
        """The processes that `florin run` keeps: "serve" or "work"."""
        return [
            child
            for child in psutil.Process(self.process.pid).children(recursive=True)
            if command in child.cmdline()
        ]

    def postmaster(self) -> psutil.Process:
        """The embedded server's main process."""
        return psutil.Process(int((self.data_dir / "pg" / "postmaster.pid").read_text().split()[0]))

    def connect(self) -> psycopg.Connection[tuple[object, ...]]:
        """A superuser's connection, for looking behind the API."""
        server = EmbeddedServer(self.data_dir)
        server.start()
        try:
            return psycopg.connect(server.url("florin_root"), autocommit=True)
        finally:
            server.stop()

    def wait_until_ready(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Until the API answers that it can serve."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                log = (self.data_dir / "run.log").read_text()
                raise AssertionError(f"florin run ended with {self.process.returncode}: {log[-3000:]}")
            try:
                if httpx.get(f"{self.base}/readyz", timeout=2).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.1)
        log = (self.data_dir / "run.log").read_text()
        raise AssertionError(f"not ready within {timeout_s} s: {log[-3000:]}")

    def stop(self) -> int:
        """As Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=40)


def free_port() -> int:
    """A port that is free now, as is the one after it."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port


def start_florin(data_dir: Path, **environment: str) -> Florin:
    """Starts `florin run` on a data directory and a free port, and waits until it serves."""
    port = free_port()
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / "run.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "florin", "run"],
            env={
                **os.environ,
                "FLORIN_DATA_DIR": str(data_dir),
                "FLORIN_HOST": "127.0.0.1",
                "FLORIN_PORT": str(port),
                "FLORIN_PG_SHARED_BUFFERS": "128MB",
                **PATIENCE,
                "FLORIN_ARGON2_MEMORY_KIB": "1024",
                "FLORIN_ARGON2_ITERATIONS": "1",
                "FLORIN_ARGON2_LANES": "1",
                **environment,
            },
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    florin = Florin(process, data_dir, f"http://127.0.0.1:{port}")
    florin.wait_until_ready()
    return florin


@pytest.fixture(scope="module")
def florin() -> Iterator[Florin]:
    """One Florin for a module's tests."""
    root = Path(tempfile.mkdtemp(prefix="florin-flow-"))
    running = start_florin(root / "data")
    yield running
    if running.process.poll() is None:
        running.stop()
    shutil.rmtree(root, ignore_errors=True)

"""Servers that may be killed: each test has a data directory of its own."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from florin.kernel.embedded import EmbeddedServer


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """An empty directory right under the temp directory.

    Not `tmp_path`: its parent is closed to the system user that runs PostgreSQL for root, and
    pytest closes it again whenever the server opens it.
    """
    directory = Path(tempfile.mkdtemp(prefix="florin-"))
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def prepared() -> Iterator[Path]:
    """An initialised and stopped data directory, to be copied."""
    directory = Path(tempfile.mkdtemp(prefix="florin-"))
    with EmbeddedServer(directory, shared_buffers="32MB"):
        pass
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def server(data_dir: Path, prepared: Path) -> Iterator[EmbeddedServer]:
    """Initialised but not started; stopped at the end."""
    subprocess.run(["cp", "-a", f"{prepared}/.", data_dir], check=True)
    server = EmbeddedServer(data_dir, shared_buffers="32MB")
    yield server
    server.stop()


@pytest.fixture
def new_server(data_dir: Path) -> Iterator[EmbeddedServer]:
    """Not even initialised; stopped at the end."""
    server = EmbeddedServer(data_dir, shared_buffers="32MB")
    yield server
    server.stop()

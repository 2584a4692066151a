"""The `florin` command as a user runs it: a process, arguments, an exit code."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


class Command:
    """`florin` on a data directory of its own."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir

    def __call__(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "florin", *arguments],
            env={
                **os.environ,
                "FLORIN_DATA_DIR": str(self.data_dir),
                "FLORIN_PG_SHARED_BUFFERS": "64MB",
                "COLUMNS": "200",
                **environment,
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture(scope="module")
def florin() -> Iterator[Command]:
    """The command, on a data directory where nothing has run yet."""
    root = Path(tempfile.mkdtemp(prefix="florin-cli-"))
    yield Command(root / "data")
    shutil.rmtree(root, ignore_errors=True)

"""The `florin` command as a user runs it: a process, arguments, an exit code."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest


@pytest.fixture(scope="module", autouse=True)
def _the_runs_own_logging() -> Iterator[None]:
    """A command that runs in this process must not point its logs at a stream that closes with it."""
    with patch("florin.cli.main.configure_logging"):
        yield


class Warm:
    """A process that has read the whole command and forks for each that is asked for (warm.py)."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.cli.warm"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "COLUMNS": "200"},
        )

    def run(
        self, arguments: tuple[str, ...], environment: dict[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """What the command says and how it ends."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        said = [self.directory / name for name in ("stdout", "stderr")]
        request = {
            "arguments": arguments,
            "environment": environment,
            "stdout": str(said[0]),
            "stderr": str(said[1]),
        }
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        code = int(self.process.stdout.readline())
        return subprocess.CompletedProcess(arguments, code, said[0].read_text(), said[1].read_text())


class Command:
    """`florin` on a data directory of its own."""

    def __init__(self, data_dir: Path, warm: Warm) -> None:
        self.data_dir, self._warm = data_dir, warm

    def __call__(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return self._warm.run(
            arguments,
            {
                **os.environ,
                "FLORIN_DATA_DIR": str(self.data_dir),
                "FLORIN_PG_SHARED_BUFFERS": "64MB",
                "COLUMNS": "200",
                **environment,
            },
        )


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    """One for the whole run."""
    made = Warm(tmp_path_factory.mktemp("warm"))
    yield made
    made.process.communicate()


@pytest.fixture(scope="module")
def florin(warm: Warm) -> Iterator[Command]:
    """The command, on a data directory where nothing has run yet."""
    root = Path(tempfile.mkdtemp(prefix="florin-cli-"))
    yield Command(root / "data", warm)
    shutil.rmtree(root, ignore_errors=True)

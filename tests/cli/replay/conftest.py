"""The fake API, and the commands run against it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from florin.cli.replay import app
from tests.cli.replay.fake_florin import KEY, FakeFlorin, served

Replay = Callable[..., Result]
Write = Callable[[str], Path]


@pytest.fixture
def florin() -> Iterator[FakeFlorin]:
    with served(FakeFlorin()) as fake:
        yield fake


@pytest.fixture
def replay(florin: FakeFlorin, monkeypatch: pytest.MonkeyPatch) -> Replay:
    """`replay("berka", path, "--limit", 5)` against the fake, with its key."""
    monkeypatch.setenv("COLUMNS", "160")

    def run(*arguments: object) -> Result:
        options = ["--url", florin.url, "--api-key", KEY, "--concurrency", "8"]
        return CliRunner().invoke(app, [str(argument) for argument in (*arguments, *options)])

    return run


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a text as a file and returns its path."""

    def to_file(text: str) -> Path:
        path = tmp_path / "sample"
        path.write_text(text, encoding="latin-1")
        return path

    return to_file


def shared(name: str) -> Path:
    """A real file beside the repository, else the test is skipped."""
    for parent in Path(__file__).resolve().parents:
        if (path := parent / "shared" / "data" / name).exists():
            return path
    pytest.skip(f"shared/data/{name} is not beside this repository")

from pathlib import Path

import pytest
from typer.testing import CliRunner

from florin.cli.replay import app
from florin.cli.replay.command import find_key
from florin.cli.replay.errors import KeyRefused, ReplayError
from tests.cli.replay.conftest import Replay, Write
from tests.cli.replay.fake_florin import KEY, FakeFlorin
from tests.cli.replay.samples import BERKA, RETAIL


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLORIN_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("FLORIN_API_KEY", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    "text",
    [
        f"FLORIN_API_KEY={KEY}\n",
        f"# the demo\nFLORIN_URL=http://x\nexport FLORIN_API_KEY='{KEY}'\n",
        f'FLORIN_API_KEY="{KEY}"',
    ],
)
def test_the_demo_key_is_found_as_a_shell_would(data_dir: Path, text: str) -> None:
    (data_dir / "demo.env").write_text(text)
    assert find_key(None) == KEY
    assert find_key("another") == "another"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "start florin run"),
        ("OTHER=1\n", "has no FLORIN_API_KEY"),
        ("FLORIN_API_KEY=\n", "has no FLORIN_API_KEY"),
    ],
)
def test_no_key_says_where_one_comes_from(data_dir: Path, text: str | None, says: str) -> None:
    if text is not None:
        (data_dir / "demo.env").write_text(text)
    with pytest.raises(KeyRefused, match=says):
        find_key(None)


def test_a_demo_env_that_cannot_be_read_is_named(data_dir: Path) -> None:
    (data_dir / "demo.env").mkdir()
    with pytest.raises(KeyRefused, match=r"demo.env cannot be read"):
        find_key(None)


def test_an_impossible_setting_is_named(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert data_dir.is_dir()
    monkeypatch.setenv("FLORIN_PORT", "http")
    with pytest.raises(ReplayError, match="FLORIN_PORT is not possible: Input should be a valid integer"):
        find_key(None)


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "schlüssel"])
def test_a_key_that_no_header_carries_is_refused(key: str) -> None:
    with pytest.raises(KeyRefused, match="characters that no key has"):
        find_key(key)


def test_the_key_comes_from_the_environment(
    florin: FakeFlorin, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLORIN_API_KEY", KEY)
    result = CliRunner().invoke(app, ["retail", str(write(RETAIL)), "--url", florin.url])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("name", ["retail", "berka"])
def test_a_missing_file_is_one_line_and_exit_2(replay: Replay, name: str, tmp_path: Path) -> None:
    result = replay(name, tmp_path / "none")
    assert result.exit_code == 2
    assert result.output.splitlines() == [
        f"error: cannot read {tmp_path / 'none'}: No such file or directory"
    ]


def test_the_other_file_is_refused_by_its_columns(florin: FakeFlorin, replay: Replay, write: Write) -> None:
    for name, text in (("retail", BERKA), ("berka", RETAIL)):
        result = replay(name, write(text))
        assert result.exit_code == 2
        assert "is not the expected file: no column" in result.output
        assert len(result.output.splitlines()) == 1
    assert not florin.effects


@pytest.mark.parametrize("name", ["retail", "berka"])
def test_nobody_there_is_one_line_and_exit_2(write: Write, name: str) -> None:
    path = write(RETAIL if name == "retail" else BERKA)
    result = CliRunner().invoke(app, [name, str(path), "--url", "http://127.0.0.1:1", "--api-key", KEY])
    assert result.exit_code == 2
    [line] = result.output.splitlines()
    assert line.startswith("error: no Florin API answers at http://127.0.0.1:1: ")


def test_a_bad_key_is_one_line_and_exit_2(florin: FakeFlorin, write: Write) -> None:
    arguments = ["berka", str(write(BERKA)), "--url", florin.url, "--api-key", "fl_test_wrong"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert result.output.splitlines() == [
        f"error: {florin.url} refuses the API key: The unauthenticated detail."
    ]


def test_an_api_that_goes_away_says_how_to_go_on(
    florin: FakeFlorin, replay: Replay, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("florin.cli.replay.client._LONGEST_BACKOFF_S", 0.001)
    florin.faults.extend([503] * 1000)
    result = replay("retail", write(RETAIL))
    assert result.exit_code == 2
    assert "run the same command again when it is back" in result.output


def test_options_out_of_range_are_refused(replay: Replay, write: Write) -> None:
    for option in ("--limit", "--batch"):
        assert replay("berka", write(BERKA), option, 0).exit_code == 2


@pytest.mark.parametrize("name", [None, "retail", "berka"])
def test_help_is_there(name: str | None) -> None:
    result = CliRunner().invoke(app, [*([name] if name else []), "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.output

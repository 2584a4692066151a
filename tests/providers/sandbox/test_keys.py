from pathlib import Path

from pydantic import SecretStr

from florin.kernel.settings import Settings
from florin.providers.sandbox.keys import sandbox_keys


def test_two_processes_on_one_data_directory_agree(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    first, second = sandbox_keys(settings), sandbox_keys(settings)
    assert first == second
    assert len(first.api_key) > 40
    kept = tmp_path / "data" / "sandbox_secret"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in kept.parent.iterdir()] == ["sandbox_secret"]


def test_two_data_directories_do_not(tmp_path: Path) -> None:
    assert sandbox_keys(Settings(data_dir=tmp_path / "a")) != sandbox_keys(Settings(data_dir=tmp_path / "b"))


def test_a_configured_secret_needs_no_file(tmp_path: Path) -> None:
    secret = SecretStr("a secret of sixteen and more")
    keys = sandbox_keys(Settings(data_dir=tmp_path / "none", sandbox_secret=secret))
    assert keys.api_key == "a secret of sixteen and more"
    assert len({keys.webhook, keys.redirect, keys.api_key.encode()}) == 3
    assert not (tmp_path / "none").exists()

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from florin.kernel import ring_file


def test_a_file_is_made_once_whole_and_private(tmp_path: Path) -> None:
    path = tmp_path / "deeper" / "key_ring"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: ring_file.create(path, f"text {number}"), range(20)))
    first = ring_file.read(path)
    ring_file.create(path, "another")
    assert ring_file.read(path) == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["key_ring"]


def test_changes_at_once_all_count(tmp_path: Path) -> None:
    path = tmp_path / "key_ring"
    ring_file.create(path, "")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: ring_file.change(path, lambda text: text + "x"), range(50)))
    assert ring_file.read(path) == "x" * 50


def test_a_change_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "key_ring"
    ring_file.create(path, "as it was")

    def fails(text: str) -> str:
        raise ValueError(text)

    with pytest.raises(ValueError, match="as it was"):
        ring_file.change(path, fails)
    assert ring_file.read(path) == "as it was"
    assert [one.name for one in tmp_path.iterdir()] == ["key_ring"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key_ring"
    ring_file.create(path, "secret")
    path.chmod(mode)
    with pytest.raises(ring_file.NotPrivate, match="chmod 600"):
        ring_file.read(path)

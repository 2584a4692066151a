import os
from pathlib import Path

import pytest

from florin.kernel.embedded import EmbeddedError
from florin.kernel.embedded.locks import exclusive, open_lock_file, try_lock


def test_an_exclusive_lock_is_held_by_one_and_waited_for_only_so_long(tmp_path: Path) -> None:
    path = tmp_path / "start.lock"
    held = pytest.raises(EmbeddedError, match=r"start\.lock is held by another process")
    with exclusive(path, timeout_s=1), held, exclusive(path, timeout_s=0.05):
        pass
    with exclusive(path, timeout_s=0):
        assert path.stat().st_mode & 0o777 == 0o600


def test_users_share_a_lock_that_nobody_can_take_alone_meanwhile(tmp_path: Path) -> None:
    one, two, three = (open_lock_file(tmp_path / "users.lock") for _ in range(3))
    assert try_lock(one, shared=True)
    assert try_lock(two, shared=True)
    assert not try_lock(three)
    os.close(one)
    os.close(two)
    assert try_lock(three)
    os.close(three)

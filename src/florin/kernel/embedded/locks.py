"""File locks between Florin processes. The kernel frees them however a process ends."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from florin.kernel.embedded.account import EmbeddedError

_POLL_S = 0.02


def open_lock_file(path: Path) -> int:
    """A descriptor of the lock file, created with mode 600. Close it to release what it holds.

    Never `LOCK_UN`: a forked child shares the lock, and unlocking would take it from both.
    """
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except PermissionError as error:
        raise EmbeddedError(
            f"{path} belongs to another user. Run Florin as the user that owns the data directory, "
            "or choose another with FLORIN_DATA_DIR."
        ) from error


def try_lock(descriptor: int, *, shared: bool = False) -> bool:
    """Take the lock now or return False."""
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def exclusive(path: Path, *, timeout_s: float) -> Iterator[None]:
    """Hold the lock alone; wait at most `timeout_s` for it."""
    descriptor = open_lock_file(path)
    try:
        give_up_at = time.monotonic() + timeout_s
        while not try_lock(descriptor):
            if time.monotonic() > give_up_at:
                raise EmbeddedError(f"{path} is held by another process for over {timeout_s:.0f} s.")
            time.sleep(_POLL_S)
        yield
    finally:
        os.close(descriptor)

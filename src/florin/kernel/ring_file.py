"""The key ring's file: private, written whole or not at all, changed by one at a time."""

import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from uuid import uuid4

_PRIVATE: Final = 0o600
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO

Stamp = tuple[int, int, int]
"""Changes whenever the file does: inode, size, time of its last change in nanoseconds."""


class NotPrivate(Exception):
    """Others than its owner may read or change the file."""


def stamp(path: Path) -> Stamp:
    """The file's stamp. Raises OSError."""
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def read(path: Path) -> str:
    """The file's text.

    Raises:
        NotPrivate: others may read it.
        OSError: it is not there, or not readable.
    """
    with path.open() as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if mode & _OTHERS:
            raise NotPrivate(f"{path} has mode {mode:o}: others may read it; chmod 600 {path}")
        return file.read()


def create(path: Path, text: str) -> None:
    """Writes the file unless it is there; its directory too. Whoever sees it sees all of it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _written_aside(path, text) as aside:
        try:
            os.link(aside, path)
        except FileExistsError:
            return
    _sync(path.parent)


def change(path: Path, changed: Callable[[str], str]) -> None:
    """Replaces the file's text by what `changed` makes of it. Others who would do so wait.

    Raises:
        NotPrivate, OSError: as `read`.
    """
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        with _written_aside(path, changed(read(path))) as aside:
            aside.replace(path)
        os.fsync(directory)
    finally:
        os.close(directory)


@contextmanager
def _written_aside(path: Path, text: str) -> Iterator[Path]:
    aside = path.with_name(f".{path.name}.{uuid4().hex}")
    descriptor = os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _PRIVATE)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        yield aside
    finally:
        aside.unlink(missing_ok=True)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

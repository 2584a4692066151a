"""An operator's own list of breached passwords, searched where it lies: 40 GB are no more work than one.

The file is what Have I Been Pwned's downloader writes: one SHA-1 in hexadecimal per line, in order, with or
without `:count` behind it. Lines may differ in length, so the search goes by bytes and looks for the line's
beginning: about forty pages of the file for a password, in a file of 40 GB.
"""

import mmap
from hashlib import sha1
from pathlib import Path
from typing import Final

from florin.kernel.settings import SettingUnusable

_DIGITS: Final = 40
_LONGEST_LINE: Final = 64


class BreachedListUnusable(SettingUnusable):
    """The file of breached passwords cannot be read, or is not one."""


class BreachedList:
    """A sorted file of SHA-1 hashes, mapped into memory."""

    def __init__(self, path: Path) -> None:
        """Raises BreachedListUnusable."""
        try:
            with path.open("rb") as file:
                self._lines = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise BreachedListUnusable(f"{path} cannot be read: {error}") from None
        first, last = self._hash_at(0), self._hash_at(self._start_of_line(len(self._lines) - 1))
        if first is None or last is None or first > last:
            raise BreachedListUnusable(f"{path} does not hold SHA-1 hashes in order, one a line")

    def __contains__(self, password: str) -> bool:
        """Whether the password is in the list. It reads the disk: call it in a thread."""
        wanted = sha1(password.encode(), usedforsecurity=False).hexdigest().upper().encode()
        low, high = 0, len(self._lines)
        while low < high:
            start = self._start_of_line((low + high) // 2)
            found = self._hash_at(start)
            if found == wanted:
                return True
            if found is not None and found < wanted:
                low = self._end_of_line(start)
            else:
                high = start
        return False

    def close(self) -> None:
        """Unmaps the file."""
        self._lines.close()

    def _start_of_line(self, position: int) -> int:
        return self._lines.rfind(b"\n", max(0, position - _LONGEST_LINE), position) + 1

    def _end_of_line(self, start: int) -> int:
        end = self._lines.find(b"\n", start, start + _LONGEST_LINE)
        return len(self._lines) if end < 0 else end + 1

    def _hash_at(self, start: int) -> bytes | None:
        found = self._lines[start : start + _DIGITS].upper()
        digits = len(found) == _DIGITS and all(digit in b"0123456789ABCDEF" for digit in found)
        return found if digits else None

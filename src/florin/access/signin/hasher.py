"""Passwords to hashes: Argon2id, in threads, so many at a time."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar
from unicodedata import normalize

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from florin.access.signin.errors import SignInBusy
from florin.kernel.settings import Settings

T = TypeVar("T")

_MOST_WAITING: Final = 64
"""More than this waits in one process: whoever comes now would wait for seconds."""


class Hasher:
    """Hashes and verifies. The event loop goes on meanwhile, and memory is bounded by the number at once."""

    def __init__(self, settings: Settings) -> None:
        self._argon2 = PasswordHasher(
            time_cost=settings.argon2_iterations,
            memory_cost=settings.argon2_memory_kib,
            parallelism=settings.argon2_lanes,
            hash_len=32,
            salt_len=16,
            type=Type.ID,
        )
        self._threads = ThreadPoolExecutor(settings.password_hashes_at_once, thread_name_prefix="argon2")
        self._waiting = 0
        self._nobodys = self._argon2.hash("nobody's")

    async def hash(self, password: str) -> str:
        """In the library's own form, parameters and salt in front. Raises SignInBusy."""
        return await self._run(self._hash, password)

    async def verify(self, hashed: str | None, password: str) -> bool:
        """Whether the password is the one that was hashed. None: nobody's, which takes as long and is never.

        Raises:
            SignInBusy: too many wait already.
        """
        return await self._run(self._verify, hashed, password)

    def outdated(self, hashed: str) -> bool:
        """Whether the hash was made with other parameters than the settings have now."""
        return self._argon2.check_needs_rehash(hashed)

    def close(self) -> None:
        """Lets the threads go, once they have done what they are at."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[..., T], *arguments: object) -> T:
        if self._waiting >= _MOST_WAITING:
            raise SignInBusy
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)
        finally:
            self._waiting -= 1

    def _hash(self, password: str) -> str:
        return self._argon2.hash(normal(password))

    def _verify(self, hashed: str | None, password: str) -> bool:
        try:
            right = self._argon2.verify(hashed or self._nobodys, normal(password))
        except (VerificationError, InvalidHashError):
            return False
        return right and hashed is not None


def normal(password: str) -> str:
    """NFKC (NIST SP 800-63B-4, 3.1.1.2): the same letters are the same password on every keyboard."""
    return normalize("NFKC", password)

"""Hashing in threads."""

import asyncio

import pytest

from florin.access.signin import hasher as hasher_module
from florin.access.signin.errors import SignInBusy
from florin.access.signin.hasher import Hasher
from florin.kernel.settings import Settings

from .conftest import SETTINGS


async def test_a_hash_says_how_it_was_made_and_opens_for_its_password_only() -> None:
    hasher = Hasher(SETTINGS)
    hashed = await hasher.hash("violet harbour stapler 41")
    assert hashed.startswith("$argon2id$v=19$m=1024,t=1,p=1$")
    assert await hasher.verify(hashed, "violet harbour stapler 41")
    assert not await hasher.verify(hashed, "violet harbour stapler 42")
    assert not await hasher.verify(None, "nobody's")
    assert not await hasher.verify("no hash", "x")
    assert not hasher.outdated(hashed)
    hasher.close()


def test_the_defaults_are_the_second_recommended_option_of_rfc_9106() -> None:
    settings = Settings()
    made = (settings.argon2_iterations, settings.argon2_memory_kib, settings.argon2_lanes)
    assert made == (3, 65536, 4)


async def test_the_loop_goes_on_while_passwords_are_hashed() -> None:
    hasher = Hasher(Settings(argon2_memory_kib=65536, argon2_iterations=3, password_hashes_at_once=1))
    hashing = asyncio.gather(*(hasher.hash("x") for _ in range(3)))
    ticks = 0
    while not hashing.done():
        await asyncio.sleep(0.001)
        ticks += 1
    await hashing
    assert ticks > 10
    hasher.close()


async def test_who_would_wait_too_long_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hasher_module, "_MOST_WAITING", 2)
    hasher = Hasher(SETTINGS)
    outcomes = await asyncio.gather(*(hasher.hash("x") for _ in range(5)), return_exceptions=True)
    assert [isinstance(one, SignInBusy) for one in outcomes] == [False, False, True, True, True]
    assert await hasher.hash("x")
    hasher.close()

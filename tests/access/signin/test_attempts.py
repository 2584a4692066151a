"""Attempts that are counted, and what guesses come to."""

import asyncio
from datetime import timedelta

import pytest

from florin.access.signin import policy
from florin.access.signin.errors import (
    SignInFailed,
    TooManyAttempts,
)
from florin.access.signin.model import SignedIn
from florin.access.signin.room import SignIn

from .conftest import (
    MakeRoom,
    MovableClock,
    User,
    log_of,
    visitor,
)
from .steps import attempt, fail


async def test_a_lock_doubles_from_a_minute_to_an_hour_and_ends_with_success(
    room: SignIn, ann: User, clock: MovableClock
) -> None:
    nowhere = visitor(None)  # counted by user alone
    await fail(room, ann, policy.USER_FAILURES, visitor=nowhere)
    await fail(room, ann, 3, visitor=nowhere)  # while it is locked nothing is counted
    for minutes in (1, 2, 4, 8, 16, 32, 60, 60):
        clock.move(timedelta(minutes=minutes) - timedelta(seconds=1))
        with pytest.raises(SignInFailed):
            await attempt(room, ann, visitor=nowhere)  # right, and one second early
        clock.move(timedelta(seconds=2))
        await fail(room, ann, 1, visitor=nowhere)
    clock.move(timedelta(minutes=61))
    assert isinstance(await attempt(room, ann, visitor=nowhere), SignedIn)
    await fail(room, ann, policy.USER_FAILURES - 1, visitor=nowhere)
    assert isinstance(await attempt(room, ann, visitor=nowhere), SignedIn)


async def test_a_login_that_nobody_has_is_locked_alike(room: SignIn, ann: User) -> None:
    await fail(room, ann, policy.USER_FAILURES + 1, login="nobody", visitor=visitor(None))
    async with room.database.tenant(ann.tenant.tenant_id) as connection:
        rows = await connection.execute(
            "SELECT failures, locked_until IS NOT NULL FROM access.lock_outs WHERE tenant_id = %s",
            (ann.tenant.tenant_id,),
        )
        assert await rows.fetchall() == [(policy.USER_FAILURES, True)]


async def test_guesses_made_at_once_by_two_processes_are_no_more_than_five(
    make_room: MakeRoom, ann: User
) -> None:
    rooms = [make_room(), make_room()]
    guesses = [attempt(rooms[n % 2], ann, f"guess {n}", visitor=visitor(None)) for n in range(20)]
    outcomes = await asyncio.gather(*guesses, return_exceptions=True)
    assert all(isinstance(one, SignInFailed) for one in outcomes)
    log = await log_of(rooms[0], ann.tenant.tenant_id)
    async with rooms[0].database.tenant(ann.tenant.tenant_id) as connection:
        rows = await connection.execute(
            "SELECT count(*) FROM audit.log WHERE tenant_id = %s AND (after ->> 'let_in')::boolean",
            (ann.tenant.tenant_id,),
        )
        assert await rows.fetchone() == (policy.USER_FAILURES,)
    assert [action for _, action, _ in log].count("locked_out") == 1


async def test_strangers_who_guess_do_not_lock_out_an_address_that_is_known(room: SignIn, ann: User) -> None:
    home = visitor("203.0.113.5")
    assert isinstance(await attempt(room, ann, visitor=home), SignedIn)
    await fail(room, ann, policy.USER_FAILURES, visitor=visitor("192.0.2.66"))
    with pytest.raises(SignInFailed):
        await attempt(room, ann, visitor=visitor("192.0.2.67"))
    assert isinstance(await attempt(room, ann, visitor=home), SignedIn)


async def test_an_address_that_guesses_at_many_is_told_to_wait(
    room: SignIn, ann: User, clock: MovableClock
) -> None:
    for number in range(policy.ADDRESS_FAILURES):
        with pytest.raises(SignInFailed):
            await attempt(room, ann, login=f"nobody.{number}")
    with pytest.raises(TooManyAttempts) as refused:
        await attempt(room, ann)
    assert refused.value.headers == {"retry-after": "60"}
    assert isinstance(await attempt(room, ann, visitor=visitor("192.0.2.9")), SignedIn)
    clock.move(timedelta(seconds=61))
    assert isinstance(await attempt(room, ann), SignedIn)
    with pytest.raises(SignInFailed):  # a success gives back its own attempt and no more
        await attempt(room, ann, login="nobody.99")
    with pytest.raises(TooManyAttempts):
        await attempt(room, ann)

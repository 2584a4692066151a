"""What most tests of signing in begin with."""

from typing import Any

import pytest

from florin.access.signin import service
from florin.access.signin.errors import (
    SignInFailed,
)
from florin.access.signin.model import Challenged, SignedIn
from florin.access.signin.room import SignIn

from .conftest import (
    PASSWORD,
    User,
    visitor,
)


async def attempt(
    room: SignIn, user: User, password: str = PASSWORD, *, login: str | None = None, **options: Any
) -> SignedIn | Challenged:
    return await service.sign_in(
        room,
        options.pop("visitor", visitor()),
        tenant=user.tenant.code,
        live=user.tenant.live,
        login=login or user.user_name,
        password=password,
        **options,
    )


async def fail(room: SignIn, user: User, times: int, **options: Any) -> None:
    for _ in range(times):
        with pytest.raises(SignInFailed):
            await attempt(room, user, "wrong", **options)


async def challenge_of(room: SignIn, user: User) -> str:
    answer = await attempt(room, user)
    assert isinstance(answer, Challenged)
    return answer.token

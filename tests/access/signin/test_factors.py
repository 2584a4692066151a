"""Second factors: the app, recovery codes, and who needs one."""

import asyncio
from datetime import timedelta

import pyotp
import pytest

from florin.access.sessions.errors import RefreshRefused
from florin.access.sessions.service import refresh
from florin.access.signin import model, policy, service
from florin.access.signin.errors import (
    ChallengeFailed,
    SignInFailed,
)
from florin.access.signin.model import Challenged, ChallengePurpose, Method, SignedIn
from florin.access.signin.room import SignIn
from florin.kernel.ids import new_id
from florin.tenancy import configuration
from florin.tenancy.model import SettingType

from .conftest import (
    MakeRoom,
    MakeUser,
    MovableClock,
    User,
    visitor,
    with_app,
)
from .steps import attempt, challenge_of


async def test_with_an_authenticator_app_the_password_alone_begins_no_session(
    room: SignIn, ann: User, clock: MovableClock
) -> None:
    app, _ = await with_app(room, ann)
    answer = await attempt(room, ann)
    assert isinstance(answer, Challenged)
    assert answer.purpose is ChallengePurpose.VERIFY
    assert answer.factors == (Method.TOTP, Method.RECOVERY)
    clock.move(timedelta(seconds=30))
    signed_in = await service.answer_challenge(room, visitor(), answer.token, app.at(clock.at))
    assert signed_in.recovery_codes is None
    with pytest.raises(ChallengeFailed):  # it is used
        await service.answer_challenge(room, visitor(), answer.token, app.at(clock.at))


async def test_a_step_of_the_app_is_taken_once_and_one_step_off_is_tolerated(
    room: SignIn, ann: User, clock: MovableClock
) -> None:
    app, _ = await with_app(room, ann)
    clock.move(timedelta(minutes=2))
    late = app.at(clock.at - timedelta(seconds=30))
    await service.answer_challenge(room, visitor(), await challenge_of(room, ann), late)
    for replayed in (
        late,
        app.at(clock.at - timedelta(seconds=60)),
        app.at(clock.at + timedelta(seconds=60)),
    ):
        with pytest.raises(ChallengeFailed):
            await service.answer_challenge(room, visitor(), await challenge_of(room, ann), replayed)
    await service.answer_challenge(room, visitor(), await challenge_of(room, ann), app.at(clock.at))


async def test_one_code_of_the_app_answers_one_of_many_challenges_at_once(
    make_room: MakeRoom, ann: User, clock: MovableClock
) -> None:
    rooms = [make_room(), make_room()]
    app, _ = await with_app(rooms[0], ann)
    clock.move(timedelta(minutes=1))
    tokens = [await challenge_of(rooms[0], ann) for _ in range(policy.USER_FAILURES)]
    outcomes = await asyncio.gather(
        *(
            service.answer_challenge(rooms[n % 2], visitor(), token, app.at(clock.at))
            for n, token in enumerate(tokens)
        ),
        return_exceptions=True,
    )
    assert [isinstance(one, SignedIn) for one in outcomes].count(True) == 1


async def test_a_challenge_takes_five_attempts_and_five_minutes(
    room: SignIn, ann: User, clock: MovableClock
) -> None:
    app, _ = await with_app(room, ann)
    clock.move(timedelta(minutes=1))
    token = await challenge_of(room, ann)
    for _ in range(model.MAX_ATTEMPTS):
        with pytest.raises(ChallengeFailed):
            await service.answer_challenge(room, visitor(), token, "000000")
    clock.move(timedelta(minutes=2))  # no lock any more
    with pytest.raises(ChallengeFailed):
        await service.answer_challenge(room, visitor(), token, app.at(clock.at))
    token = await challenge_of(room, ann)
    clock.move(model.CHALLENGE_LIFETIME)
    with pytest.raises(ChallengeFailed):
        await service.answer_challenge(room, visitor(), token, app.at(clock.at))
    for nonsense in ("fl_ch_1_x", "fl_ch_zzzzzz_" + "a" * 43, "fl_ch_1_" + "a" * 43):
        with pytest.raises(ChallengeFailed):
            await service.answer_challenge(room, visitor(), nonsense, "000000")


async def test_wrong_codes_of_the_app_lock_out_although_the_password_is_right_each_time(
    room: SignIn, ann: User, clock: MovableClock
) -> None:
    await with_app(room, ann)
    clock.move(timedelta(minutes=1))
    for _ in range(policy.USER_FAILURES):
        token = await challenge_of(room, ann)
        with pytest.raises(ChallengeFailed):
            await service.answer_challenge(room, visitor(None), token, "000000")
    with pytest.raises(SignInFailed):
        await attempt(room, ann, visitor=visitor(None))


async def test_a_recovery_code_stands_in_for_the_app_once(
    room: SignIn, ann: User, clock: MovableClock
) -> None:
    _, recovery = await with_app(room, ann)
    assert len(set(recovery)) == model.RECOVERY_CODES
    typed = recovery[3].upper().replace("-", " ")
    await service.answer_challenge(room, visitor(), await challenge_of(room, ann), typed)
    with pytest.raises(ChallengeFailed):
        await service.answer_challenge(room, visitor(), await challenge_of(room, ann), recovery[3])


async def test_who_may_write_in_the_live_books_sets_up_a_second_factor_before_anything_else(
    room: SignIn, make_user: MakeUser, clock: MovableClock
) -> None:
    admin = await make_user(live=True, roles=["tenant_admin"])
    answer = await attempt(room, admin)
    assert isinstance(answer, Challenged)
    assert answer.purpose is ChallengePurpose.ENROL
    with pytest.raises(ChallengeFailed):  # nothing is set up yet
        await service.answer_challenge(room, visitor(), answer.token, "000000")
    made = await service.enrol(room, visitor(), answer.token)
    app = pyotp.TOTP(made.secret)
    assert app.provisioning_uri(name=admin.user_name, issuer_name=admin.tenant.name) == made.uri
    signed_in = await service.answer_challenge(room, visitor(), answer.token, app.at(clock.at))
    assert signed_in.recovery_codes is not None
    assert len(signed_in.recovery_codes) == model.RECOVERY_CODES
    again = await attempt(room, admin)
    assert isinstance(again, Challenged)
    assert again.purpose is ChallengePurpose.VERIFY
    with pytest.raises(ChallengeFailed):
        await service.enrol(room, visitor(), again.token)


async def test_a_tenant_may_say_otherwise_who_needs_a_second_factor(
    room: SignIn, make_user: MakeUser
) -> None:
    admin = await make_user(live=True, roles=["tenant_admin"])
    tester = await make_user(roles=["viewer"])
    for user, value in ((admin, []), (tester, ["payments:read"])):
        await configuration.set_value(
            room.tenancy,
            user.tenant.tenant_id,
            policy.MFA_SETTING,
            type=SettingType.JSON,
            value=value,
            by="test",
            effective_from=None,
        )
    assert isinstance(await attempt(room, admin), SignedIn)
    assert isinstance(await attempt(room, tester), Challenged)


async def test_a_session_without_a_second_factor_is_not_renewed_once_one_is_needed(
    room: SignIn, make_user: MakeUser, clock: MovableClock
) -> None:
    user = await make_user(live=True)
    begun = await attempt(room, user)
    assert isinstance(begun, SignedIn)
    renewed = await refresh(room.sessions, begun.tokens.refresh_token)
    async with room.database.tenant(user.tenant.tenant_id) as connection:
        await connection.execute(
            "INSERT INTO access.assignments (tenant_id, id, user_id, built_in, assigned_at, assigned_by)"
            " VALUES (%s, %s, %s, 'finance', %s, 'test')",
            (user.tenant.tenant_id, new_id(), user.id, room.now()),
        )
    with pytest.raises(RefreshRefused):
        await refresh(room.sessions, renewed.refresh_token)
    app, _ = await with_app(room, user)
    clock.move(timedelta(seconds=30))
    token = await challenge_of(room, user)
    begun = await service.answer_challenge(room, visitor(), token, app.at(clock.at))
    assert await refresh(room.sessions, begun.tokens.refresh_token)

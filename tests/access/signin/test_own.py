"""What a signed-in user does about his own signing in."""

from datetime import timedelta
from itertools import pairwise

import pytest

from florin.access.senders import Channel
from florin.access.signin import own, policy, service
from florin.access.signin.errors import (
    ContactNotVerified,
    PasswordRefused,
    SecondFactorDemanded,
    SecondFactorMissing,
    SecondFactorOn,
    SignInFailed,
    WrongProof,
)
from florin.access.signin.model import Challenged, Method, Proof, Purpose, SignedIn
from florin.access.signin.room import SignIn

from .conftest import (
    ANOTHER,
    PASSWORD,
    MakeUser,
    MovableClock,
    Outbox,
    User,
    log_of,
    me_of,
    visitor,
    with_app,
)

BY_PASSWORD = Proof(password=PASSWORD)


async def sign_in(room: SignIn, user: User, password: str = PASSWORD) -> SignedIn | Challenged:
    return await service.sign_in(
        room,
        visitor(),
        tenant=user.tenant.code,
        live=user.tenant.live,
        login=user.user_name,
        password=password,
    )


async def verify(room: SignIn, user: User, outbox: Outbox, purpose: Purpose, channel: Channel) -> None:
    code_id = await own.send_code(room, await me_of(room, user), purpose, channel)
    await room.settle()
    await own.verify_contact(room, await me_of(room, user), code_id, outbox.code)


async def test_a_profile_shows_what_is_ones_own_unmasked(room: SignIn, ann: User) -> None:
    found = await own.profile(room, await me_of(room, ann))
    assert (found.name, found.email, found.phone) == ("Ann Example", ann.email, ann.phone)
    assert found.recovery_codes_left == 0
    assert not found.second_factor_demanded


async def test_a_changed_password_ends_all_other_sessions(room: SignIn, ann: User) -> None:
    here, there = await sign_in(room, ann), await sign_in(room, ann)
    assert isinstance(here, SignedIn)
    assert isinstance(there, SignedIn)
    mine = await me_of(room, ann, session_id=here.tokens.session_id)
    await own.change_password(room, mine, present=PASSWORD, new=ANOTHER)
    async with room.database.tenant(ann.tenant.tenant_id) as connection:
        rows = await connection.execute(
            "SELECT id, ended_reason FROM access.sessions WHERE tenant_id = %s", (ann.tenant.tenant_id,)
        )
        assert dict(await rows.fetchall()) == {
            here.tokens.session_id: None,
            there.tokens.session_id: "password_changed",
        }
    with pytest.raises(SignInFailed):
        await sign_in(room, ann)
    assert isinstance(await sign_in(room, ann, ANOTHER), SignedIn)
    assert "password_changed" in [action for _, action, _ in await log_of(room, ann.tenant.tenant_id)]


async def test_none_of_the_last_four_passwords_comes_back(room: SignIn, ann: User) -> None:
    used = [PASSWORD, *(f"{word} copper lanterns drift" for word in ("six", "seven", "eight", "nine"))]
    for present, new in pairwise(used):
        await own.change_password(room, await me_of(room, ann), present=present, new=new)
    for again in used[1:]:
        with pytest.raises(PasswordRefused) as refused:
            await own.change_password(room, await me_of(room, ann), present=used[-1], new=again)
        assert refused.value.extra["errors"][0]["rule"] == "used_before"
        assert refused.value.param == "new_password"
    await own.change_password(room, await me_of(room, ann), present=used[-1], new=PASSWORD)


async def test_a_password_holds_nothing_of_ones_own(room: SignIn, ann: User) -> None:
    for new in (
        f"violet {ann.email.partition('@')[0]} stapler",
        "harbour Example stapler",
        "violet demo bank 41",
    ):
        with pytest.raises(PasswordRefused) as refused:
            await own.change_password(room, await me_of(room, ann), present=PASSWORD, new=new)
        assert refused.value.extra["errors"][0]["rule"] == "holds_own_words"


async def test_a_wrong_present_password_counts_as_an_attempt_to_sign_in(room: SignIn, ann: User) -> None:
    for _ in range(policy.USER_FAILURES):
        with pytest.raises(WrongProof):
            await own.change_password(room, await me_of(room, ann), present="wrong", new=ANOTHER)
    with pytest.raises(WrongProof):
        await own.change_password(room, await me_of(room, ann), present=PASSWORD, new=ANOTHER)


async def test_an_app_is_on_once_a_code_of_it_has_been_confirmed(
    room: SignIn, ann: User, clock: MovableClock
) -> None:
    with pytest.raises(WrongProof):
        await own.enrol_totp(room, await me_of(room, ann), Proof(password="wrong"))
    with pytest.raises(SecondFactorMissing):
        await own.confirm_totp(room, await me_of(room, ann), "000000")
    made = await own.enrol_totp(room, await me_of(room, ann), BY_PASSWORD)
    assert isinstance(await sign_in(room, ann), SignedIn)
    with pytest.raises(WrongProof):
        await own.confirm_totp(room, await me_of(room, ann), "000000")
    app, codes = await with_app(room, ann)
    assert app.secret != made.secret
    assert len(codes) == 10
    assert isinstance(await sign_in(room, ann), Challenged)
    with pytest.raises(SecondFactorOn):
        await own.enrol_totp(room, await me_of(room, ann), BY_PASSWORD)
    assert (await own.profile(room, await me_of(room, ann))).recovery_codes_left == 10
    async with room.database.tenant(ann.tenant.tenant_id) as connection:
        rows = await connection.execute(
            "SELECT f::text FROM access.second_factors f WHERE tenant_id = %s", (ann.tenant.tenant_id,)
        )
        row = await rows.fetchone()
    assert row is not None
    assert app.secret not in row[0]
    assert app.secret.encode().hex() not in row[0]


async def test_turning_the_app_off_needs_the_app_or_a_recovery_code(
    room: SignIn, ann: User, clock: MovableClock
) -> None:
    app, codes = await with_app(room, ann)
    with pytest.raises(WrongProof):
        await own.disable_totp(room, await me_of(room, ann), BY_PASSWORD)
    with pytest.raises(WrongProof):  # the step that has confirmed it is used
        await own.disable_totp(room, await me_of(room, ann), Proof(totp=app.at(clock.at)))
    clock.move(timedelta(seconds=30))
    await own.disable_totp(room, await me_of(room, ann), Proof(totp=app.at(clock.at)))
    assert isinstance(await sign_in(room, ann), SignedIn)
    assert (await own.profile(room, await me_of(room, ann))).recovery_codes_left == 0
    _, codes = await with_app(room, ann)
    await own.disable_totp(room, await me_of(room, ann), Proof(recovery_code=codes[0]))
    with pytest.raises(SecondFactorMissing):
        await own.disable_totp(room, await me_of(room, ann), Proof(recovery_code=codes[1]))


async def test_whose_roles_demand_a_second_factor_cannot_go_without(
    room: SignIn, make_user: MakeUser, clock: MovableClock, outbox: Outbox
) -> None:
    admin = await make_user(live=True, roles=["tenant_admin"])
    app, _ = await with_app(room, admin)
    clock.move(timedelta(seconds=30))
    proof = Proof(totp=app.at(clock.at))
    with pytest.raises(SecondFactorDemanded):
        await own.disable_totp(room, await me_of(room, admin), proof)
    await verify(room, admin, outbox, Purpose.VERIFY_PHONE, Channel.SMS)
    await own.choose_code_channel(room, await me_of(room, admin), Channel.SMS, proof)
    clock.move(timedelta(seconds=30))
    await own.disable_totp(room, await me_of(room, admin), Proof(totp=app.at(clock.at)))
    with pytest.raises(SecondFactorDemanded):
        await own.choose_code_channel(room, await me_of(room, admin), None, BY_PASSWORD)


async def test_renewed_recovery_codes_end_the_old_ones(room: SignIn, ann: User, clock: MovableClock) -> None:
    with pytest.raises(SecondFactorMissing):
        await own.renew_recovery_codes(room, await me_of(room, ann), BY_PASSWORD)
    app, old = await with_app(room, ann)
    clock.move(timedelta(seconds=30))
    with pytest.raises(WrongProof):
        await own.renew_recovery_codes(room, await me_of(room, ann), BY_PASSWORD)
    new = await own.renew_recovery_codes(room, await me_of(room, ann), Proof(totp=app.at(clock.at)))
    assert not set(new) & set(old)
    mine = await me_of(room, ann)
    with pytest.raises(WrongProof):
        await own.prove(room, mine, Proof(recovery_code=old[0]))
    assert await own.prove(room, mine, Proof(recovery_code=new[0])) is Method.RECOVERY


async def test_codes_that_are_sent_are_a_second_factor_for_a_verified_number(
    room: SignIn, ann: User, outbox: Outbox, clock: MovableClock
) -> None:
    with pytest.raises(ContactNotVerified):
        await own.choose_code_channel(room, await me_of(room, ann), Channel.SMS, BY_PASSWORD)
    await verify(room, ann, outbox, Purpose.VERIFY_PHONE, Channel.SMS)
    recovery = await own.choose_code_channel(room, await me_of(room, ann), Channel.SMS, BY_PASSWORD)
    assert recovery is not None
    answer = await sign_in(room, ann)
    assert isinstance(answer, Challenged)
    assert answer.factors == (Method.SMS, Method.RECOVERY)
    clock.move(timedelta(minutes=1))
    code_id = await service.send_challenge_code(room, visitor(), answer.token)
    await room.settle()
    signed_in = await service.answer_challenge(room, visitor(), answer.token, outbox.code, code_id=code_id)
    assert signed_in.tokens.session_id
    await with_app(room, ann)  # from now on the app is asked for, and sent codes do not stand in
    answer = await sign_in(room, ann)
    assert isinstance(answer, Challenged)
    assert answer.factors == (Method.TOTP, Method.RECOVERY)
    with pytest.raises(ContactNotVerified):
        await service.send_challenge_code(room, visitor(), answer.token)


async def test_a_code_verifies_the_address_that_it_was_sent_to_and_no_later_one(
    room: SignIn, ann: User, outbox: Outbox
) -> None:
    code_id = await own.send_code(room, await me_of(room, ann), Purpose.VERIFY_EMAIL, Channel.EMAIL)
    await room.settle()
    async with room.database.tenant(ann.tenant.tenant_id) as connection:
        await connection.execute(
            "UPDATE access.users SET email_index = '\\x00' WHERE tenant_id = %s AND id = %s",
            (ann.tenant.tenant_id, ann.id),
        )
    await own.verify_contact(room, await me_of(room, ann), code_id, outbox.code)
    assert not (await me_of(room, ann)).account.verified(Channel.EMAIL)


async def test_a_code_of_another_user_proves_nothing_and_is_not_used_up(
    room: SignIn, make_user: MakeUser, outbox: Outbox
) -> None:
    ann, ben = await make_user(), await make_user()
    code_id = await own.send_code(room, await me_of(room, ann), Purpose.VERIFY_EMAIL, Channel.EMAIL)
    await room.settle()
    with pytest.raises(WrongProof):
        await own.verify_contact(room, await me_of(room, ben), code_id, outbox.code)
    assert await own.verify_contact(room, await me_of(room, ann), code_id, outbox.code) is Channel.EMAIL

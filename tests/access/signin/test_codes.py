"""Codes that are sent: to whom, how often, and what is told of it."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest

from florin.access.senders import Channel
from florin.access.signin import codes, store
from florin.access.signin.errors import ContactNotVerified, TooManyAttempts
from florin.access.signin.model import Purpose
from florin.access.signin.room import SignIn

from .conftest import MakeUser, MovableClock, Outbox, User, log_of, me_of, visitor


async def ask(
    room: SignIn,
    user: User,
    login: str,
    *,
    purpose: Purpose = Purpose.SIGN_IN,
    channel: Channel | None = None,
    address: str = "198.51.100.7",
) -> UUID:
    code_id = await codes.request(
        room,
        visitor(address),
        tenant=user.tenant.code,
        live=user.tenant.live,
        login=login,
        purpose=purpose,
        channel=channel,
    )
    await room.settle()
    return code_id


async def test_what_is_sent_says_whose_it_is_and_for_how_long(
    room: SignIn, ann: User, outbox: Outbox
) -> None:
    await ask(room, ann, ann.email)
    message = outbox.messages[0]
    assert message.channel is Channel.EMAIL
    assert message.to == ann.email
    assert outbox.code.isdigit()
    assert ann.tenant.name in message.text
    assert "10 minutes" in message.text
    assert outbox.code not in repr(message)
    assert ann.email not in repr(message)


async def test_the_channel_is_the_one_that_was_asked_for_else_the_logins(
    room: SignIn, ann: User, outbox: Outbox, clock: MovableClock
) -> None:
    for login, channel, expected in (
        (ann.phone, None, "sms"),
        (ann.email, Channel.SMS, "sms"),
        (ann.user_name, None, "email"),
        (ann.user_name, Channel.SMS, "sms"),
    ):
        await ask(room, ann, login, channel=channel)
        assert outbox.messages[-1].channel == expected
        clock.move(timedelta(minutes=2))
    assert len(outbox.messages) == 4


async def test_nobodys_login_is_answered_and_bounded_alike(room: SignIn, ann: User, outbox: Outbox) -> None:
    for login in (ann.email, "nobody@shop.example"):
        code_id = await ask(room, ann, login)
        assert code_id.version == 7
        with pytest.raises(TooManyAttempts) as refused:
            await ask(room, ann, login)
        assert refused.value.headers == {"retry-after": "60"}
    assert [message.to for message in outbox.messages] == [ann.email]
    unknown = await codes.request(
        room, visitor(), tenant="NOBODY", live=False, login=ann.email, purpose=Purpose.SIGN_IN
    )
    assert unknown.version == 7


async def test_a_login_gets_one_a_minute_five_an_hour_and_ten_a_day(
    room: SignIn, ann: User, outbox: Outbox, clock: MovableClock
) -> None:
    async def sent_within(hours: int) -> int:
        before = len(outbox.messages)
        for _ in range(hours * 20):
            clock.move(timedelta(minutes=3))
            try:
                await ask(room, ann, ann.email)
            except TooManyAttempts as refused:
                assert int(refused.headers["retry-after"]) > 0
        return len(outbox.messages) - before

    assert await sent_within(1) == 5
    assert await sent_within(3) == 5


async def test_two_logins_of_one_user_share_his_quota_without_showing_it(
    room: SignIn, ann: User, outbox: Outbox
) -> None:
    await ask(room, ann, ann.email)
    await ask(room, ann, ann.phone)
    assert len(outbox.messages) == 1


async def test_an_address_that_asks_for_many_is_told_to_wait(room: SignIn, ann: User) -> None:
    for number in range(10):
        await ask(room, ann, f"nobody{number}@shop.example")
    with pytest.raises(TooManyAttempts):
        await ask(room, ann, "nobody10@shop.example")
    await ask(room, ann, "nobody10@shop.example", address="192.0.2.1")


async def test_nothing_is_sent_to_whoever_may_not_sign_in(
    room: SignIn, make_user: MakeUser, outbox: Outbox
) -> None:
    suspended = await make_user(status="SUSPENDED")
    await ask(room, suspended, suspended.email, purpose=Purpose.RESET_PASSWORD)
    assert outbox.messages == []


async def test_a_code_that_could_not_be_sent_is_written_down(
    room: SignIn, ann: User, outbox: Outbox, logged: Callable[[], str]
) -> None:
    outbox.broken = "gateway.example answers 500"
    before = logged().count("code_not_sent")
    code_id = await ask(room, ann, ann.email)
    async with room.database.tenant(ann.tenant.tenant_id) as connection:
        rows = await connection.execute(
            "SELECT sent_at, failure FROM access.one_time_codes WHERE tenant_id = %s AND id = %s",
            (ann.tenant.tenant_id, code_id),
        )
        assert await rows.fetchone() == (None, "gateway.example answers 500")
    assert ("system", "code_not_sent", str(ann.id)) in await log_of(room, ann.tenant.tenant_id)
    assert logged().count("code_not_sent") == before + 1
    assert ann.email not in logged()


async def test_the_database_keeps_no_code_and_no_destination(room: SignIn, ann: User, outbox: Outbox) -> None:
    await ask(room, ann, ann.phone)
    async with room.database.tenant(ann.tenant.tenant_id) as connection:
        kept = ""
        for table in ("access.one_time_codes", "access.send_quotas", "audit.log"):
            rows = await connection.execute(
                f"SELECT string_agg(t::text, ' ') FROM {table} t WHERE tenant_id = %s".encode(),
                (ann.tenant.tenant_id,),
            )
            row = await rows.fetchone()
            assert row is not None
            kept += str(row[0])
    for secret in (outbox.code, ann.phone, ann.phone[1:], ann.email):
        assert f"{secret}," not in kept
        assert f'"{secret}' not in kept
    assert ann.phone[1:] not in kept


async def test_a_step_up_goes_to_a_verified_number_only(room: SignIn, ann: User, outbox: Outbox) -> None:
    mine = await me_of(room, ann)
    with pytest.raises(ContactNotVerified):
        await codes.request_own(room, visitor(), mine.books, mine.account, Purpose.STEP_UP, Channel.SMS)
    async with room.database.tenant(ann.tenant.tenant_id) as connection:
        index = mine.account.phone_index
        assert index is not None
        await store.verify_contact(connection, ann.tenant.tenant_id, ann.id, Channel.SMS, index, room.now())
    mine = await me_of(room, ann)
    await codes.request_own(room, visitor(), mine.books, mine.account, Purpose.STEP_UP, Channel.SMS)
    await room.settle()
    assert outbox.messages[-1].to == ann.phone
    with pytest.raises(TooManyAttempts):
        await codes.request_own(room, visitor(), mine.books, mine.account, Purpose.STEP_UP, Channel.SMS)

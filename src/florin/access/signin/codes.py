"""Codes that are sent: asked for, written, sent after the commit, and taken.

Whoever asks learns nothing of whether there is such a user: what he waits for is the same for everybody, and
the rest is done in the background. Quotas of the login and of the address bound everybody alike and say so;
the user's own quota, which two logins may share, does so silently.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from secrets import randbelow
from typing import Final
from uuid import UUID

import structlog

from florin.access.senders import Channel, Message, NotSent
from florin.access.signin import factors, policy, store
from florin.access.signin.errors import ContactNotVerified, TooManyAttempts
from florin.access.signin.logins import find, login_of
from florin.access.signin.model import CODE_LIFETIME, Account, Books, Code, Purpose, Visitor
from florin.access.signin.policy import Quota
from florin.access.signin.room import SignIn
from florin.kernel.db import Connection
from florin.kernel.ids import encode_id, new_id
from florin.kernel.provenance import acting_as
from florin.kernel.vault import TenantKeys

log = structlog.get_logger(__name__)

_TEXTS: Final = {
    Purpose.SIGN_IN: "is your code to sign in",
    Purpose.RESET_PASSWORD: "is your code to set a new password",
    Purpose.SECOND_FACTOR: "is your code to finish signing in",
    Purpose.STEP_UP: "is your code to confirm that it is you",
    Purpose.VERIFY_EMAIL: "is your code to confirm this address",
    Purpose.VERIFY_PHONE: "is your code to confirm this number",
}
_MINUTES: Final = CODE_LIFETIME // timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A code that was asked for."""

    id: UUID
    purpose: Purpose
    channel: Channel | None
    """None: by e-mail if there is an address, else by SMS."""


async def request(
    room: SignIn,
    visitor: Visitor,
    *,
    tenant: str,
    live: bool,
    login: str,
    purpose: Purpose,
    channel: Channel | None = None,
) -> UUID:
    """Sends a code to whoever has this login, if anybody has and policy lets it. The code's id, in any case.

    For signing in none is sent to users who need a second factor: a code alone would be their only one.

    Raises:
        TooManyAttempts: too many were asked for, for this login or from this address.
    """
    wanted = Wanted(new_id(), purpose, channel)
    books = await room.books(tenant, live=live)
    if books is None:
        return wanted.id
    keys = await room.vault.of(books.tenant_id)
    given = login_of(keys, books, login)
    at = room.now()
    async with room.database.tenant(books.tenant_id) as connection:
        wait = await _take_quotas(
            connection,
            keys,
            {
                (Quota.DESTINATION, given.subject.hex()),
                (Quota.ADDRESS, policy.source(visitor.address) or given.subject.hex()),
            },
            at,
        )
    _refuse_early(wait)

    async def go_on() -> None:
        async with room.database.tenant(books.tenant_id) as connection:
            account = await find(connection, books.tenant_id, given)
        if account is None or not books.active:
            return
        own = Wanted(wanted.id, purpose, channel or given.channel)
        await _issue(room, visitor, books, account, own)

    room.in_background(go_on())
    return wanted.id


async def request_own(
    room: SignIn, visitor: Visitor, books: Books, account: Account, purpose: Purpose, channel: Channel
) -> UUID:
    """Sends a code to somebody who is known already: to step up, to verify, to finish signing in.

    Raises:
        ContactNotVerified: there is no such address or number; or it is not verified and the code is to prove
            more than that it is his.
        TooManyAttempts: too many were sent to this user.
    """
    verifies = purpose in (Purpose.VERIFY_EMAIL, Purpose.VERIFY_PHONE)
    if not account.has(channel) or not (verifies or account.verified(channel)):
        raise ContactNotVerified
    keys = await room.vault.of(books.tenant_id)
    async with room.database.tenant(books.tenant_id) as connection:
        wait = await _take_quotas(connection, keys, {(Quota.USER, str(account.id))}, room.now())
    _refuse_early(wait)
    wanted = Wanted(new_id(), purpose, channel)
    room.in_background(_write_and_send(room, visitor, books, account, wanted, channel))
    return wanted.id


async def _issue(room: SignIn, visitor: Visitor, books: Books, account: Account, wanted: Wanted) -> None:
    """Sends a code to a user who may not be the one who asks, if policy lets it."""
    channel = wanted.channel or (Channel.EMAIL if account.has(Channel.EMAIL) else Channel.SMS)
    if not account.may_sign_in or not account.has(channel):
        return
    keys = await room.vault.of(books.tenant_id)
    demanding = await room.demanding(books)
    async with room.database.tenant(books.tenant_id) as connection:
        if wanted.purpose is Purpose.SIGN_IN and (
            account.second_factors
            or await room.demands_second_factor(connection, books, account.id, demanding)
        ):
            return
        wait = await _take_quotas(connection, keys, {(Quota.USER, str(account.id))}, room.now())
    if not wait:
        await _write_and_send(room, visitor, books, account, wanted, channel)


async def _write_and_send(
    room: SignIn, visitor: Visitor, books: Books, account: Account, wanted: Wanted, channel: Channel
) -> None:
    """Writes the code, commits, sends it, and writes down how that ended."""
    keys = await room.vault.of(books.tenant_id)
    code, at = f"{randbelow(1_000_000):06}", room.now()
    destination, sealed = account.index_of(channel), account.phone_sealed
    if channel is Channel.EMAIL:
        sealed = account.email_sealed
    assert destination is not None and sealed is not None, "the channel has been looked at"
    row = Code(
        id=wanted.id,
        user_id=account.id,
        purpose=wanted.purpose,
        channel=channel,
        destination=destination,
        digest=factors.code_digest(keys, wanted.id, code),
        attempts=0,
        expires_at=at + CODE_LIFETIME,
        used_at=None,
    )
    async with room.database.tenant(books.tenant_id) as connection:
        people = await room.vault.people(connection, books.tenant_id, [account.person_id])
        if account.person_id not in people:
            return
        person = people[account.person_id]
        to = person.open("phone" if channel is Channel.SMS else "email", sealed)
        await store.insert_code(connection, books.tenant_id, row, at)
    failure = None
    try:
        await room.senders.send(_message(books, wanted, channel, to, code))
    except NotSent as error:
        failure = str(error)
        log.warning("code_not_sent", code_id=encode_id("otc", wanted.id), channel=channel, reason=failure)
    with acting_as(lambda: visitor.provenance("system")):
        async with room.database.tenant(books.tenant_id) as connection:
            sent_at = None if failure else room.now()
            await store.code_sent(connection, books.tenant_id, wanted.id, sent_at, failure)
            after = {"purpose": wanted.purpose, "channel": channel, "failure": failure}
            action = "code_not_sent" if failure else "code_sent"
            await store.record(connection, books.tenant_id, action, "user", str(account.id), after)


def _message(books: Books, wanted: Wanted, channel: Channel, to: str, code: str) -> Message:
    text = (
        f"{code} {_TEXTS[wanted.purpose]} at {books.name}. It holds for {_MINUTES} minutes. "
        "Nobody of ours ever asks you for it."
    )
    subject = f"Your code for {books.name}"
    return Message(encode_id("otc", wanted.id), channel, to, subject, text)


async def _take_quotas(
    connection: Connection, keys: TenantKeys, wanted: set[tuple[Quota, str]], at: datetime
) -> timedelta:
    """Counts one more for all of these, or for none: then for how long to wait. Locks rows in order."""
    by_subject = {keys.blind(f"quota_{quota}", name): quota for quota, name in wanted}
    kept: dict[bytes, list[datetime]] = {}
    wait = timedelta()
    for subject in sorted(by_subject):
        asked_at = await store.lock_quota(connection, keys.tenant_id, subject, at)
        kept[subject] = policy.within_day(asked_at, at)
        wait = max(wait, policy.wait_for(by_subject[subject], kept[subject], at))
    if not wait:
        for subject, asked_at in kept.items():
            await store.set_quota(connection, keys.tenant_id, subject, [*asked_at, at], at)
    return wait


def _refuse_early(wait: timedelta) -> None:
    if wait:
        raise TooManyAttempts(
            "too many codes were asked for", headers={"retry-after": str(ceil(wait.total_seconds()))}
        )

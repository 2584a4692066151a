"""What is a signed-in user's own: his profile, password, second factor, address and number.

What weakens or moves a way of signing in wants a fresh proof: a stolen access token alone is not enough.
"""

from dataclasses import dataclass
from uuid import UUID

from florin.access.people.errors import UserNotFound
from florin.access.senders import Channel
from florin.access.sessions.model import EndReason
from florin.access.sessions.service import end_all
from florin.access.signin import attempts, codes, factors, passwords, store
from florin.access.signin.errors import (
    ContactNotVerified,
    SecondFactorDemanded,
    SecondFactorMissing,
    SecondFactorOn,
    WrongProof,
)
from florin.access.signin.model import Account, Books, Method, Proof, Purpose, TotpSecret, Visitor
from florin.access.signin.room import SignIn
from florin.kernel.db import Connection
from florin.kernel.ids import encode_id
from florin.kernel.vault import Person


@dataclass(frozen=True, slots=True)
class Me:
    """A signed-in user, and where he is."""

    books: Books
    account: Account
    visitor: Visitor
    session_id: UUID | None


@dataclass(frozen=True, slots=True)
class Profile:
    """What a user is shown of himself, unmasked."""

    me: Me
    name: str | None
    email: str | None
    phone: str | None
    recovery_codes_left: int
    second_factor_demanded: bool


async def me(room: SignIn, tenant_id: int, user_id: UUID, visitor: Visitor, session_id: UUID | None) -> Me:
    """Who is signed in. Raises UserNotFound: deleted since."""
    books = await room.books_of(tenant_id)
    async with room.database.tenant(tenant_id) as connection:
        account = await store.account(connection, tenant_id, user_id)
    if books is None or account is None:
        raise UserNotFound
    return Me(books, account, visitor, session_id)


async def profile(room: SignIn, mine: Me) -> Profile:
    """Everything that there is to show."""
    demanding, account = await room.demanding(mine.books), mine.account
    async with room.database.tenant(mine.books.tenant_id) as connection:
        people = await room.vault.people(connection, mine.books.tenant_id, [account.person_id])
        left = await store.recovery_codes_left(connection, mine.books.tenant_id, account.id)
        demanded = await room.demands_second_factor(connection, mine.books, account.id, demanding)
    person = people.get(account.person_id)
    return Profile(
        mine,
        name=_opened(person, "name", account.name_sealed),
        email=_opened(person, "email", account.email_sealed),
        phone=_opened(person, "phone", account.phone_sealed),
        recovery_codes_left=left,
        second_factor_demanded=demanded,
    )


async def change_password(room: SignIn, mine: Me, *, present: str, new: str) -> None:
    """Another password; all other sessions of the user end.

    Raises:
        WrongProof: the present password is another, or there is none, or too many were wrong.
        PasswordRefused: names the rule.
        TooManyAttempts: too many failures from this address.
    """
    await prove(room, mine, Proof(password=present))
    hashed = await passwords.hash_new(room, mine.books, mine.account, new, param="new_password")
    tenant_id, user_id = mine.books.tenant_id, mine.account.id
    async with room.database.tenant(tenant_id) as connection:
        locked = await store.lock_user(connection, tenant_id, user_id)
        if locked is None or locked.password_changed_at != mine.account.password_changed_at:
            raise WrongProof  # it has been changed meanwhile
        await passwords.replace(connection, room, tenant_id, user_id, hashed, how="present_password")
        await end_all(connection, tenant_id, user_id, EndReason.PASSWORD_CHANGED, but=mine.session_id)
    room.sessions.changed(tenant_id)


async def prove(room: SignIn, mine: Me, proof: Proof, *, allowed: frozenset[Method] | None = None) -> Method:
    """How the proof has shown anew who the user is. It counts as an attempt to sign in.

    Args:
        allowed: which ways are enough; None: each.

    Raises:
        WrongProof: it is not right, or is of a way that is not enough here.
        TooManyAttempts: too many failures from this address.
    """
    tenant_id, account, at = mine.books.tenant_id, mine.account, room.now()
    await room.vault.of(tenant_id)  # made, if need be, before a transaction is open
    method: Method | None = None
    async with room.database.tenant(tenant_id) as connection:
        attempt = await attempts.count(connection, tenant_id, account.id, mine.visitor.address, at)
        if attempt.let_in and proof.password is None:
            method = await _taken(connection, room, mine, proof)
    attempt.check_address(at)
    if proof.password is not None:
        hashed = account.password_hash if attempt.let_in else None
        if await room.hasher.verify(hashed, proof.password):
            method = Method.PASSWORD
    enough = method is not None and (allowed is None or method in allowed)
    async with room.database.tenant(tenant_id) as connection:
        if method is not None and enough:
            await attempts.give_back(connection, attempt, at, forgive=True)
            return method
        action = "locked_out" if attempt.locks else "proof_failed"
        await store.record(connection, tenant_id, action, "user", str(account.id))
    raise WrongProof


async def _taken(connection: Connection, room: SignIn, mine: Me, proof: Proof) -> Method | None:
    account, at = mine.account, room.now()
    keys = await room.vault.of(mine.books.tenant_id)
    if proof.totp is not None:
        right = account.totp and await factors.take_totp(connection, keys, account, proof.totp, at)
        return Method.TOTP if right else None
    if proof.recovery_code is not None:
        right = await factors.take_recovery_code(connection, keys, account.id, proof.recovery_code, at)
        return Method.RECOVERY if right else None
    if proof.code_id is not None and proof.code is not None:
        code = await factors.take_code(
            connection, keys, proof.code_id, Purpose.STEP_UP, proof.code, at, of=account.id
        )
        return None if code is None else Method(code.channel)
    return None


async def enrol_totp(room: SignIn, mine: Me, proof: Proof) -> TotpSecret:
    """The secret of an authenticator app, to be confirmed by a code of it.

    Raises:
        SecondFactorOn: there is an app already.
        WrongProof: the proof is not right.
    """
    if mine.account.totp:
        raise SecondFactorOn
    await prove(room, mine, proof)
    keys = await room.vault.of(mine.books.tenant_id)
    label = mine.account.user_name or encode_id("user", mine.account.id)
    made = factors.new_secret(label, mine.books.name)
    sealed = factors.seal_secret(keys, mine.account.id, made.secret)
    async with room.database.tenant(mine.books.tenant_id) as connection:
        if not await store.put_secret(connection, mine.books.tenant_id, mine.account.id, sealed, room.now()):
            raise SecondFactorOn
    return made


async def confirm_totp(room: SignIn, mine: Me, typed: str) -> list[str]:
    """Turns the app on with a code of it. Ten recovery codes, shown once.

    Raises:
        SecondFactorMissing: no app waits for being confirmed.
        WrongProof: the code is not right, or was taken before.
        TooManyAttempts: too many failures from this address.
    """
    if mine.account.secret_sealed is None or mine.account.totp:
        raise SecondFactorMissing
    tenant_id, user_id, at = mine.books.tenant_id, mine.account.id, room.now()
    keys = await room.vault.of(tenant_id)
    fresh = None
    async with room.database.tenant(tenant_id) as connection:
        attempt = await attempts.count(connection, tenant_id, user_id, mine.visitor.address, at)
        if (
            attempt.let_in
            and await factors.take_totp(connection, keys, mine.account, typed, at)
            and await store.confirm_secret(connection, tenant_id, user_id, at)
        ):
            fresh = await factors.fresh_recovery_codes(connection, keys, user_id, at)
            await attempts.give_back(connection, attempt, at, forgive=False)
    attempt.check_address(at)
    if fresh is None:
        raise WrongProof
    return fresh


async def disable_totp(room: SignIn, mine: Me, proof: Proof) -> None:
    """Turns the app off, by a code of it or a recovery code. Recovery codes end with the last second factor.

    Raises:
        SecondFactorMissing: there is none.
        SecondFactorDemanded: the user's roles demand one, and there is no other.
        WrongProof: the proof is not right.
    """
    if not mine.account.totp:
        raise SecondFactorMissing
    await _check_dispensable(room, mine, other=mine.account.code_channel is not None)
    await prove(room, mine, proof, allowed=frozenset({Method.TOTP, Method.RECOVERY}))
    tenant_id, user_id, at = mine.books.tenant_id, mine.account.id, room.now()
    async with room.database.tenant(tenant_id) as connection:
        await store.drop_secret(connection, tenant_id, user_id, at)
        if mine.account.code_channel is None:
            await store.replace_recovery_codes(connection, tenant_id, user_id, [], at)


async def choose_code_channel(
    room: SignIn, mine: Me, channel: Channel | None, proof: Proof
) -> list[str] | None:
    """Codes that are sent, as a second factor: where to, or (None) no more. Recovery codes with the first.

    Raises:
        ContactNotVerified: the address or number is not proved to be the user's.
        SecondFactorDemanded: the user's roles demand one, and there is no other.
        WrongProof: the proof is not right.
    """
    account = mine.account
    if channel is None:
        await _check_dispensable(room, mine, other=account.totp)
    elif not account.verified(channel):
        raise ContactNotVerified(param="channel")
    await prove(room, mine, proof, allowed=frozenset(account.second_factors) or None)
    keys, at = await room.vault.of(mine.books.tenant_id), room.now()
    async with room.database.tenant(mine.books.tenant_id) as connection:
        await store.set_code_channel(connection, keys.tenant_id, account.id, channel, at)
        if channel is not None and not account.second_factors:
            return await factors.fresh_recovery_codes(connection, keys, account.id, at)
        if channel is None and not account.totp:
            await store.replace_recovery_codes(connection, keys.tenant_id, account.id, [], at)
    return None


async def renew_recovery_codes(room: SignIn, mine: Me, proof: Proof) -> list[str]:
    """Ten new ones; the old ones end.

    Raises:
        SecondFactorMissing: there is no second factor that they would stand in for.
        WrongProof: the proof is not right.
    """
    if not mine.account.second_factors:
        raise SecondFactorMissing
    await prove(room, mine, proof, allowed=frozenset(mine.account.second_factors))
    keys, at = await room.vault.of(mine.books.tenant_id), room.now()
    async with room.database.tenant(mine.books.tenant_id) as connection:
        await store.record(connection, keys.tenant_id, "recovery_codes_renewed", "user", str(mine.account.id))
        return await factors.fresh_recovery_codes(connection, keys, mine.account.id, at)


async def send_code(room: SignIn, mine: Me, purpose: Purpose, channel: Channel) -> UUID:
    """Sends a code to the user himself. Raises what `codes.request_own` raises."""
    return await codes.request_own(room, mine.visitor, mine.books, mine.account, purpose, channel)


async def verify_contact(room: SignIn, mine: Me, code_id: UUID, typed: str) -> Channel:
    """Proves an address or a number with the code that was sent there.

    Raises:
        WrongProof: the code is not right, is used up or has expired.
    """
    tenant_id, at = mine.books.tenant_id, room.now()
    keys = await room.vault.of(tenant_id)
    async with room.database.tenant(tenant_id) as connection:
        for purpose in (Purpose.VERIFY_EMAIL, Purpose.VERIFY_PHONE):
            code = await factors.take_code(connection, keys, code_id, purpose, typed, at, of=mine.account.id)
            if code is not None:
                await store.verify_contact(
                    connection, tenant_id, code.user_id, code.channel, code.destination, at
                )
                return code.channel
    raise WrongProof


async def _check_dispensable(room: SignIn, mine: Me, *, other: bool) -> None:
    demanding = await room.demanding(mine.books)
    async with room.database.tenant(mine.books.tenant_id) as connection:
        if not other and await room.demands_second_factor(connection, mine.books, mine.account.id, demanding):
            raise SecondFactorDemanded


def _opened(person: Person | None, name: str, sealed: bytes | None) -> str | None:
    return None if person is None or sealed is None else person.open(name, sealed)

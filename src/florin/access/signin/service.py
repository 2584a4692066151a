"""Use cases of signing in, for whoever has no credential yet.

An unknown user, a wrong password, a user who is locked out or suspended: all look alike and take alike. The
same rows are locked and written, and a password is hashed in any case.
"""

from collections.abc import Sequence
from uuid import UUID

from florin.access.errors import TenantNotActive
from florin.access.sessions.model import EndReason
from florin.access.sessions.service import begin, end_all
from florin.access.signin import attempts, codes, factors, logins, model, passwords, store
from florin.access.signin.attempts import Attempt
from florin.access.signin.errors import (
    ChallengeFailed,
    CodeNotTaken,
    ContactNotVerified,
    SecondFactorOn,
    SignInFailed,
)
from florin.access.signin.model import (
    ANONYMOUS,
    CHALLENGE_LIFETIME,
    MAY_SIGN_IN,
    Account,
    Books,
    Challenge,
    Challenged,
    ChallengePurpose,
    Method,
    Purpose,
    SignedIn,
    TotpSecret,
    Visitor,
)
from florin.access.signin.room import SignIn
from florin.kernel.db import Connection
from florin.kernel.ids import encode_id, new_id
from florin.kernel.provenance import acting_as


async def sign_in(
    room: SignIn, visitor: Visitor, *, tenant: str, live: bool, login: str, password: str
) -> SignedIn | Challenged:
    """Begins a session, or asks for the second factor.

    Raises:
        SignInFailed: whatever the reason.
        TooManyAttempts: too many failures from this address.
        TenantNotActive: all is right, and nobody of this tenant may sign in.
        SignInBusy: too many passwords are being hashed.
    """
    books = await room.books(tenant, live=live)
    if books is None:
        await room.hasher.verify(None, password)
        raise SignInFailed
    keys = await room.vault.of(books.tenant_id)
    given = logins.login_of(keys, books, login)
    at = room.now()
    async with room.database.tenant(books.tenant_id) as connection:
        account = await logins.find(connection, books.tenant_id, given)
        counted = given.nobodys_id if account is None else account.id
        attempt = await attempts.count(connection, books.tenant_id, counted, visitor.address, at)
    attempt.check_address(at)
    looked_at = account is not None and account.may_sign_in and attempt.let_in
    hashed = account.password_hash if account is not None and looked_at else None
    if not await room.hasher.verify(hashed, password) or account is None or hashed is None:
        await _record_failure(room, visitor, books, account, attempt)
        raise SignInFailed
    if not books.active:
        raise TenantNotActive
    if room.hasher.outdated(hashed):
        fresh = await room.hasher.hash(password)
        async with room.database.tenant(books.tenant_id) as connection:
            await store.rehash_password(connection, books.tenant_id, account.id, hashed, fresh)
    return await _go_on(room, visitor, books, account, attempt)


async def answer_challenge(
    room: SignIn, visitor: Visitor, token: str, typed: str, *, code_id: UUID | None = None
) -> SignedIn:
    """Ends a challenge with the second factor and begins the session. Locks the challenge, then the counts.

    Args:
        typed: a code of the authenticator app, a recovery code, or with `code_id` the one that was sent.

    Raises:
        ChallengeFailed: whatever the reason; a code of the app that was taken before is one.
        TooManyAttempts: too many failures from this address.
    """
    books = await _books_of_token(room, token)
    keys, at = await room.vault.of(books.tenant_id), room.now()
    method, fresh, account = None, None, None
    async with room.database.tenant(books.tenant_id, by=visitor.provenance(ANONYMOUS)) as connection:
        challenge, account = await _open_challenge(connection, books, token, room)
        attempt = await attempts.count(
            connection, books.tenant_id, None if account is None else account.id, visitor.address, at
        )
        if challenge is not None and account is not None and attempt.let_in:
            await store.count_challenge(connection, books.tenant_id, challenge.id)
            if challenge.purpose is ChallengePurpose.VERIFY:
                method = await factors.take_second_factor(connection, keys, account, typed, code_id, at)
            elif await factors.take_totp(connection, keys, account, typed, at) and await store.confirm_secret(
                connection, books.tenant_id, account.id, at
            ):
                method = Method.TOTP
                fresh = await factors.fresh_recovery_codes(connection, keys, account.id, at)
        if method is not None and challenge is not None:
            await store.use_challenge(connection, books.tenant_id, challenge.id, at)
    attempt.check_address(at)
    if challenge is None or account is None or method is None:
        await _record_failure(room, visitor, books, account, attempt)
        raise ChallengeFailed
    methods = [*challenge.methods, method]
    return await _complete(room, visitor, books, account, attempt, methods, recovery_codes=fresh)


async def enrol(room: SignIn, visitor: Visitor, token: str) -> TotpSecret:
    """The secret of an authenticator app, for somebody whose roles demand one before he may do anything.

    Asked for again, it is another one; the last one counts.

    Raises:
        ChallengeFailed: the challenge is none of these, or is over.
    """
    books = await _books_of_token(room, token)
    keys = await room.vault.of(books.tenant_id)
    async with room.database.tenant(books.tenant_id, by=visitor.provenance(ANONYMOUS)) as connection:
        challenge, account = await _open_challenge(connection, books, token, room)
        if challenge is None or account is None or challenge.purpose is not ChallengePurpose.ENROL:
            raise ChallengeFailed
        made = factors.new_secret(account.user_name or encode_id("user", account.id), books.name)
        sealed = factors.seal_secret(keys, account.id, made.secret)
        if not await store.put_secret(connection, books.tenant_id, account.id, sealed, room.now()):
            raise SecondFactorOn
    return made


async def send_challenge_code(room: SignIn, visitor: Visitor, token: str) -> UUID:
    """Sends the code that ends a challenge, to the address or number that the user has chosen for it.

    Raises:
        ChallengeFailed: the challenge is over.
        ContactNotVerified: codes that are sent are not the user's second factor.
        TooManyAttempts: too many were sent.
    """
    books = await _books_of_token(room, token)
    async with room.database.tenant(books.tenant_id) as connection:
        challenge, account = await _open_challenge(connection, books, token, room)
    if challenge is None or account is None or challenge.purpose is not ChallengePurpose.VERIFY:
        raise ChallengeFailed
    if account.totp or account.code_channel is None:
        raise ContactNotVerified
    return await codes.request_own(room, visitor, books, account, Purpose.SECOND_FACTOR, account.code_channel)


async def sign_in_by_code(
    room: SignIn, visitor: Visitor, *, tenant: str, live: bool, code_id: UUID, code: str
) -> SignedIn:
    """Begins a session with a code that was sent. Locks the address's count, then the code.

    It proves the address or number as well.

    Raises:
        CodeNotTaken: whatever the reason.
        TooManyAttempts: too many failures from this address.
    """
    books = await room.books(tenant, live=live)
    if books is None or not books.active:
        raise CodeNotTaken
    keys, at = await room.vault.of(books.tenant_id), room.now()
    demanding = await room.demanding(books)
    account, taken = None, None
    async with room.database.tenant(books.tenant_id, by=visitor.provenance(ANONYMOUS)) as connection:
        attempt = await attempts.count(connection, books.tenant_id, None, visitor.address, at)
        if attempt.let_in:
            taken = await factors.take_code(connection, keys, code_id, Purpose.SIGN_IN, code, at)
        if taken is not None:
            account = await store.account(connection, books.tenant_id, taken.user_id)
        if account is not None and taken is not None:
            if (
                not account.may_sign_in
                or account.second_factors
                or await room.demands_second_factor(connection, books, account.id, demanding)
            ):
                account = None
            else:
                await store.verify_contact(
                    connection, books.tenant_id, account.id, taken.channel, taken.destination, at
                )
    attempt.check_address(at)
    if account is None or taken is None:
        await _record_failure(room, visitor, books, None, attempt)
        raise CodeNotTaken
    return await _complete(room, visitor, books, account, attempt, [Method(taken.channel)])


async def reset_password(
    room: SignIn, visitor: Visitor, *, tenant: str, live: bool, code_id: UUID, code: str, password: str
) -> None:
    """Sets a password with a code that was sent: a forgotten one, or the first one of an invited user.

    The code is used up only when the password is taken, so that a refused one can be mended; trying counts.
    All sessions end. A second factor stays what it is.

    Raises:
        CodeNotTaken: whatever the reason.
        PasswordRefused: names the rule.
        TooManyAttempts: too many failures from this address.
    """
    books = await room.books(tenant, live=live)
    if books is None or not books.active:
        raise CodeNotTaken
    keys, at = await room.vault.of(books.tenant_id), room.now()
    account, found = None, None
    async with room.database.tenant(books.tenant_id) as connection:
        attempt = await attempts.count(connection, books.tenant_id, None, visitor.address, at)
        if attempt.let_in:
            found = await factors.compare_code(connection, keys, code_id, Purpose.RESET_PASSWORD, code, at)
        if found is not None:
            account = await store.account(connection, books.tenant_id, found.user_id)
            await attempts.give_back(connection, attempt, at, forgive=False)
    attempt.check_address(at)
    if found is None or account is None or not account.may_sign_in:
        await _record_failure(room, visitor, books, account, attempt)
        raise CodeNotTaken
    hashed = await passwords.hash_new(room, books, account, password, param="password")
    by = visitor.provenance(encode_id("user", account.id))
    async with room.database.tenant(books.tenant_id, by=by) as connection:
        locked = await store.lock_code(connection, books.tenant_id, code_id)
        if locked is None or not await store.use_code(connection, books.tenant_id, code_id, at):
            raise CodeNotTaken
        await store.verify_contact(
            connection, books.tenant_id, account.id, found.channel, found.destination, at
        )
        await passwords.replace(connection, room, books.tenant_id, account.id, hashed, how="code")
        await end_all(connection, books.tenant_id, account.id, EndReason.PASSWORD_CHANGED)
    room.sessions.changed(books.tenant_id)


async def _go_on(
    room: SignIn, visitor: Visitor, books: Books, account: Account, attempt: Attempt
) -> SignedIn | Challenged:
    """After the password: a challenge for whoever has, or needs, a second factor; else the session."""
    demanding, at = await room.demanding(books), room.now()
    async with room.database.tenant(
        books.tenant_id, by=visitor.provenance(encode_id("user", account.id))
    ) as connection:
        purpose: ChallengePurpose | None = None
        if account.second_factors:
            purpose = ChallengePurpose.VERIFY
        elif await room.demands_second_factor(connection, books, account.id, demanding):
            purpose = ChallengePurpose.ENROL
        if purpose is not None:
            token = model.new_challenge_token(books.tenant_id)
            challenge = Challenge(
                id=new_id(),
                user_id=account.id,
                purpose=purpose,
                methods=[Method.PASSWORD],
                attempts=0,
                expires_at=at + CHALLENGE_LIFETIME,
                used_at=None,
            )
            await attempts.give_back(connection, attempt, at, forgive=False)
            await store.insert_challenge(connection, books.tenant_id, challenge, model.digest(token), at)
            await store.record(
                connection,
                books.tenant_id,
                "challenged",
                "user",
                str(account.id),
                {"purpose": purpose, "methods": [Method.PASSWORD]},
            )
            return Challenged(token, purpose, account.second_factors or (Method.TOTP,))
    return await _complete(room, visitor, books, account, attempt, [Method.PASSWORD])


async def _complete(
    room: SignIn,
    visitor: Visitor,
    books: Books,
    account: Account,
    attempt: Attempt,
    methods: Sequence[str],
    *,
    recovery_codes: list[str] | None = None,
) -> SignedIn:
    """All is proved: forgives earlier failures, begins the session, writes both down."""
    by, at = visitor.provenance(encode_id("user", account.id)), room.now()
    with acting_as(lambda: by):
        async with room.database.tenant(books.tenant_id) as connection:
            locked = await store.lock_user(connection, books.tenant_id, account.id)
            if locked is None or locked.status not in MAY_SIGN_IN:
                raise SignInFailed
            if locked.password_changed_at != account.password_changed_at:
                raise SignInFailed  # while it was looked at: what has proved it proves nothing any more
            await attempts.give_back(connection, attempt, at, forgive=True)
            await store.activate(connection, books.tenant_id, account.id, at)
        tokens = await begin(
            room.sessions,
            books.tenant_id,
            account.id,
            methods,
            address=visitor.address,
            user_agent=visitor.user_agent,
        )
        async with room.database.tenant(books.tenant_id) as connection:
            after = {"methods": list(methods), "session": encode_id("ses", tokens.session_id)}
            await store.record(connection, books.tenant_id, "signed_in", "user", str(account.id), after)
    return SignedIn(tokens, recovery_codes)


async def _record_failure(
    room: SignIn, visitor: Visitor, books: Books, account: Account | None, attempt: Attempt
) -> None:
    """One line of the audit log in any case; what was typed is in none."""
    entity = ("sign_in", "unknown") if account is None else ("user", str(account.id))
    locks = account is not None and attempt.locks
    async with room.database.tenant(books.tenant_id, by=visitor.provenance(ANONYMOUS)) as connection:
        await store.record(
            connection,
            books.tenant_id,
            "locked_out" if locks else "sign_in_failed",
            *entity,
            {"let_in": attempt.let_in},
        )


async def _books_of_token(room: SignIn, token: str) -> Books:
    tenant_id = model.tenant_of(token)
    books = None if tenant_id is None else await room.books_of(tenant_id)
    if books is None or not books.active:
        raise ChallengeFailed
    return books


async def _open_challenge(
    connection: Connection, books: Books, token: str, room: SignIn
) -> tuple[Challenge | None, Account | None]:
    """The challenge of a token, locked, and its user, if both are still what they have to be."""
    challenge = await store.lock_challenge(connection, books.tenant_id, model.digest(token))
    if challenge is None or not challenge.open_at(room.now()):
        return None, None
    account = await store.account(connection, books.tenant_id, challenge.user_id)
    if account is None or not account.may_sign_in:
        return None, None
    return challenge, account

"""What administrators and operators do about other people's signing in."""

from collections.abc import Collection, Mapping
from uuid import UUID

from florin.access.people.errors import UserNotFound
from florin.access.sessions.model import EndReason
from florin.access.sessions.service import end_all
from florin.access.signin import logins, passwords, store
from florin.access.signin.errors import UserMayDoMore
from florin.access.signin.model import Account, Books
from florin.access.signin.room import SignIn
from florin.kernel.permissions import beyond


async def reachable(
    room: SignIn,
    tenant_id: int,
    user_id: UUID,
    *,
    partner_id: UUID | None = None,
    units: Collection[UUID] | None = None,
) -> Account:
    """The user, if he is within the partner and the business units of whoever asks. Raises UserNotFound."""
    async with room.database.tenant(tenant_id) as connection:
        account = await store.account(connection, tenant_id, user_id)
        if account is None or (partner_id is not None and account.partner_id != partner_id):
            raise UserNotFound
        if units is not None and not await store.is_within_units(
            connection, tenant_id, user_id, frozenset(units), room.now()
        ):
            raise UserNotFound
    return account


async def check_outranks(
    room: SignIn,
    tenant_id: int,
    account: Account,
    *,
    scopes: Collection[str],
    unit_scopes: Mapping[UUID, Collection[str]],
) -> None:
    """Passes whoever may do all that the user may, wherever the user may.

    Else whoever may take second factors away could take those of stronger users, and be them; and whoever may
    unlock could guess at their passwords without end.

    Raises:
        UserMayDoMore: there is something that he may not.
    """
    async with room.database.tenant(tenant_id) as connection:
        whole, units = await store.permissions_anywhere(connection, tenant_id, account.id, room.now())
    if beyond(scopes, whole):
        raise UserMayDoMore
    for unit, held in units.items():
        if beyond([*scopes, *unit_scopes.get(unit, ())], held):
            raise UserMayDoMore


async def unlock(room: SignIn, tenant_id: int, account: Account) -> bool:
    """Forgives a user's failures, from wherever they came. False: there were none."""
    async with room.database.tenant(tenant_id) as connection:
        changed = await store.forgive_user(connection, tenant_id, account.id) > 0
        if changed:
            await store.record(connection, tenant_id, "unlocked", "user", str(account.id))
    return changed


async def reset_second_factor(room: SignIn, tenant_id: int, account: Account) -> bool:
    """Takes away a second factor whose phone and recovery codes are lost. False: there was none.

    All sessions end. Whoever's roles demand one sets another up at the next sign-in.
    """
    at = room.now()
    async with room.database.tenant(tenant_id) as connection:
        if not account.second_factors:
            return False
        await store.drop_secret(connection, tenant_id, account.id, at)
        await store.set_code_channel(connection, tenant_id, account.id, None, at)
        await store.replace_recovery_codes(connection, tenant_id, account.id, [], at)
        await store.end_open(connection, tenant_id, account.id, at)
        await end_all(connection, tenant_id, account.id, EndReason.REVOKED)
        await store.record(connection, tenant_id, "second_factor_reset", "user", str(account.id))
    room.sessions.changed(tenant_id)
    return True


async def find_user(room: SignIn, books: Books, login: str) -> Account:
    """The user of a login. Raises UserNotFound."""
    keys = await room.vault.of(books.tenant_id)
    async with room.database.tenant(books.tenant_id) as connection:
        account = await logins.find(connection, books.tenant_id, logins.login_of(keys, books, login))
    if account is None:
        raise UserNotFound
    return account


async def set_password(room: SignIn, books: Books, account: Account, password: str) -> None:
    """Sets a user's password for him; all his sessions end. Raises PasswordRefused."""
    hashed = await passwords.hash_new(room, books, account, password, param="password")
    async with room.database.tenant(books.tenant_id) as connection:
        await passwords.replace(connection, room, books.tenant_id, account.id, hashed, how="operator")
        await end_all(connection, books.tenant_id, account.id, EndReason.PASSWORD_CHANGED)
    room.sessions.changed(books.tenant_id)

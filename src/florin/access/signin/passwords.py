"""Setting passwords: the rules, the hash, and what ends with the old one."""

import asyncio
from typing import Final
from uuid import UUID

from florin.access.signin import store
from florin.access.signin.model import Account, Books
from florin.access.signin.password_rules import Broken, broken_rule, refuse
from florin.access.signin.room import SignIn
from florin.kernel.db import Connection
from florin.kernel.ids import new_id

KEPT: Final = 4
"""PCI DSS 4.0.1, 8.3.7: none of the last four."""


async def own_words(room: SignIn, books: Books, account: Account) -> list[str]:
    """What the user's password may not hold: his names, address and number, the tenant's code and name."""
    words = [books.code, books.name, *([account.user_name] if account.user_name else [])]
    async with room.database.tenant(books.tenant_id) as connection:
        people = await room.vault.people(connection, books.tenant_id, [account.person_id])
    person = people.get(account.person_id)
    if person is None:
        return words
    if account.email_sealed is not None:
        words.append(person.open("email", account.email_sealed).partition("@")[0])
    for name, sealed in (("name", account.name_sealed), ("phone", account.phone_sealed)):
        if sealed is not None:
            words.append(person.open(name, sealed))
    return words


async def hash_new(room: SignIn, books: Books, account: Account, password: str, *, param: str) -> str:
    """The hash of a password that keeps all rules.

    Raises:
        PasswordRefused: names the rule and the field `param`.
        SignInBusy: too many passwords are being hashed.
    """
    words = await own_words(room, books, account)
    broken = await asyncio.to_thread(broken_rule, password, words, room.breached)
    if broken is not None:
        raise refuse(broken, param)
    async with room.database.tenant(books.tenant_id) as connection:
        former = await store.former_passwords(connection, books.tenant_id, account.id, KEPT - 1)
    for hashed in (account.password_hash, *former):
        if hashed is not None and await room.hasher.verify(hashed, password):
            raise refuse(Broken("used_before", f"was one of the last {KEPT}"), param)
    return await room.hasher.hash(password)


async def replace(
    connection: Connection, room: SignIn, tenant_id: int, user_id: UUID, hashed: str, *, how: str
) -> None:
    """Writes a new password's hash, ends what was open and forgives failures. Locks the user.

    `how` it was allowed, for the audit log: "present_password", "code", "operator".
    """
    at = room.now()
    locked = await store.lock_user(connection, tenant_id, user_id)
    if locked is not None and locked.password_hash is not None:
        await store.remember_password(
            connection, tenant_id, user_id, new_id(), locked.password_hash, keep=KEPT - 1, at=at
        )
    await store.set_password(connection, tenant_id, user_id, hashed, at)
    await store.end_open(connection, tenant_id, user_id, at)
    await store.forgive_user(connection, tenant_id, user_id)
    await store.record(connection, tenant_id, "password_changed", "user", str(user_id), {"how": how})

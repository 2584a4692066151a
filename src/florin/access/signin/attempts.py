"""Attempts: counted under the row's lock before anything is compared, and given back when they succeed.

Guesses that are made at once, in however many processes, are therefore as many as guesses made one by one.
Whoever signs in from an address that he has signed in from before has a count of his own there, so that
strangers who guess at his password lock out strangers.
"""

from dataclasses import dataclass
from datetime import datetime
from math import ceil
from uuid import UUID

from florin.access.signin import policy, store
from florin.access.signin.errors import TooManyAttempts
from florin.kernel.db import Connection


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt that has been counted, or was not let in."""

    tenant_id: int
    user_id: UUID | None
    """None: counted by address only."""

    known: bool
    """Whether the user has signed in from this address before."""

    source: str | None
    let_in: bool
    """False: the user is locked out here. Whatever is shown is not looked at."""

    locks: bool
    """Whether the user is locked out if this one fails."""

    retry_at: datetime | None
    """When the address may try again; None: it may now."""

    def check_address(self, at: datetime) -> None:
        """Raises TooManyAttempts. Outside the transaction, which is to be committed."""
        if self.retry_at is not None:
            wait_s = max(1, ceil((self.retry_at - at).total_seconds()))
            raise TooManyAttempts(headers={"retry-after": str(wait_s)})


async def count(
    connection: Connection, tenant_id: int, user_id: UUID | None, address: str | None, at: datetime
) -> Attempt:
    """Counts one attempt. Locks the address's row, then the user's.

    An address that is locked out counts for nobody.
    """
    source = policy.source(address)
    if source is not None:
        tries = await store.lock_address_tries(connection, tenant_id, source, at)
        if tries.locked_at(at):
            return Attempt(tenant_id, user_id, False, source, False, False, tries.locked_until)
        tries = tries.after_one_more(at, allowed=policy.ADDRESS_FAILURES)
        await store.set_address_tries(connection, tenant_id, source, tries)
    if user_id is None:
        return Attempt(tenant_id, None, False, source, True, False, None)
    known = await store.address_is_known(connection, tenant_id, user_id, address, at - policy.KNOWN_FOR)
    tries = await store.lock_user_tries(connection, tenant_id, user_id, known=known, at=at)
    if tries.locked_at(at):
        return Attempt(tenant_id, user_id, known, source, False, False, None)
    tries = tries.after_one_more(at, allowed=policy.USER_FAILURES)
    await store.set_user_tries(connection, tenant_id, user_id, tries, known=known)
    return Attempt(tenant_id, user_id, known, source, True, tries.locked_at(at), None)


async def give_back(connection: Connection, attempt: Attempt, at: datetime, *, forgive: bool) -> None:
    """The attempt has succeeded. `forgive`: all is proved, so failures before it count no more either.

    A success forgives the user, never the address: one account of one's own would make guessing free.
    """
    tenant_id, user_id, known = attempt.tenant_id, attempt.user_id, attempt.known
    if attempt.source is not None:
        tries = await store.lock_address_tries(connection, tenant_id, attempt.source, at)
        tries = tries.with_one_less()
        await store.set_address_tries(connection, tenant_id, attempt.source, tries)
    if user_id is not None and forgive:
        await store.forgive_user(connection, tenant_id, user_id, known=known)
    elif user_id is not None:
        tries = await store.lock_user_tries(connection, tenant_id, user_id, known=known, at=at)
        tries = tries.with_one_less()
        await store.set_user_tries(connection, tenant_id, user_id, tries, known=known)

"""What somebody types to say who he is: a user name, an address or a number."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from florin.access.senders import Channel
from florin.access.signin import store
from florin.access.signin.model import Account, Books
from florin.kernel.contacts import normal_email, normal_phone, normal_user_name
from florin.kernel.db import Connection
from florin.kernel.vault import TenantKeys

MAX_LENGTH: Final = 254
_UUID_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Login:
    """A login in its normal spelling, of one kind or of none."""

    subject: bytes
    """A blind index of it, whatever its kind: quotas are kept under it."""

    user_name: str | None = None
    email_index: bytes | None = None
    phone_index: bytes | None = None

    @property
    def channel(self) -> Channel | None:
        """How messages reach it; None: it says nothing of that."""
        if self.email_index is not None:
            return Channel.EMAIL
        return None if self.phone_index is None else Channel.SMS

    @property
    def nobodys_id(self) -> UUID:
        """The id under which failures are counted if it is nobody's."""
        return UUID(bytes=self.subject[:_UUID_BYTES], version=4)


def login_of(keys: TenantKeys, books: Books, typed: str) -> Login:
    """A number may be a national one of the tenant's country. What is of no kind is nobody's login."""
    if "@" in typed:
        with suppress(ValueError):
            index = keys.blind("email", normal_email(typed))
            return Login(index, email_index=index)
    with suppress(ValueError):
        name = normal_user_name(typed)
        return Login(keys.blind("user_name", name), user_name=name)
    with suppress(ValueError):
        index = keys.blind("phone", normal_phone(typed, books.country))
        return Login(index, phone_index=index)
    return Login(keys.blind("no_login", typed.casefold()))


async def find(connection: Connection, tenant_id: int, login: Login) -> Account | None:
    """The user whose login it is. The same query for all kinds, also for what is of none."""
    return await store.find_account(
        connection,
        tenant_id,
        user_name=login.user_name,
        email_index=login.email_index,
        phone_index=login.phone_index,
    )

"""Real people: users of the house with roles, each with a session and its tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID, uuid4

from florin.access.people import policy
from florin.access.people.model import Grant
from florin.access.people.room import People
from florin.access.people.users import create_user
from florin.access.sessions.model import TokenPair
from florin.access.sessions.service import Sessions, begin
from florin.access.signin.admin import set_password
from florin.access.signin.room import SignIn
from florin.access.signin.store import account, activate
from florin.kernel.clock import now
from florin.kernel.db import Database
from florin.kernel.http.call import Rooms
from florin.kernel.ids import encode_id

OPERATOR: Final = policy.operator("cli:owasp")
PASSWORD: Final = "violet harbour stapler 41"


@dataclass(frozen=True, slots=True)
class Resident:
    """A user and a session of his."""

    tenant_id: int
    id: UUID
    user_name: str
    email: str
    tokens: TokenPair

    @property
    def name(self) -> str:
        """`user_...`"""
        return encode_id("user", self.id)

    @property
    def session(self) -> str:
        """`ses_...`"""
        return encode_id("ses", self.tokens.session_id)


async def move_in(
    rooms: Rooms, tenant_id: int, grants: Sequence[Grant] = (), *, partner_id: UUID | None = None
) -> Resident:
    """A new user who is active and has signed in."""
    user_name = f"u{uuid4().hex[:20]}"
    given = {"user_name": user_name, "email": f"{user_name}@house.example", "name": "Ann Resident"}
    made = await create_user(
        rooms[People], tenant_id, given, by=OPERATOR, partner_id=partner_id, grants=grants
    )
    tokens = await let_in(rooms, tenant_id, made.id)
    return Resident(tenant_id, made.id, user_name, given["email"], tokens)


async def let_in(rooms: Rooms, tenant_id: int, user_id: UUID) -> TokenPair:
    """One more session of a user, who is active from now on."""
    async with rooms[Database].tenant(tenant_id) as connection:
        await activate(connection, tenant_id, user_id, now())
    return await begin(rooms[Sessions], tenant_id, user_id, ["pwd"], address=None, user_agent="owasp")


async def give_password(rooms: Rooms, who: Resident, password: str = PASSWORD) -> None:
    """Lets a user sign in with a password. It ends his sessions."""
    room = rooms[SignIn]
    books = await room.books_of(who.tenant_id)
    async with rooms[Database].tenant(who.tenant_id) as connection:
        found = await account(connection, who.tenant_id, who.id)
    assert books is not None
    assert found is not None
    await set_password(room, books, found, password)

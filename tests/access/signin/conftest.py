"""A room for signing in on a real database: fast hashes, a clock that is moved, messages that are kept."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import pyotp
import pytest

from florin.access.senders import Channel, Message, NotSent, Senders
from florin.access.signin import own
from florin.access.signin.hasher import Hasher
from florin.access.signin.model import Proof, Visitor
from florin.access.signin.own import Me
from florin.access.signin.room import SignIn
from florin.kernel.clock import now
from florin.kernel.db import Database
from florin.kernel.ids import new_id
from florin.kernel.provenance import Provenance
from florin.kernel.settings import Settings
from florin.kernel.vault import Vault
from florin.tenancy.model import Tenant
from florin.tenancy.service import Tenancy
from tests.access.conftest import database, new_tenant, partner, tenancy, twins
from tests.access.tokens_world import RING, process

__all__ = ["database", "new_tenant", "partner", "tenancy", "twins"]

Twins = tuple[Tenant, Tenant]

PASSWORD = "violet harbour stapler 41"
ANOTHER = "seven copper lanterns drift"
SETTINGS = Settings(argon2_memory_kib=1024, argon2_iterations=1, argon2_lanes=1, password_hashes_at_once=4)


class MovableClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.at = now()

    def __call__(self) -> datetime:
        return self.at

    def timestamp(self) -> float:
        """Seconds since 1970."""
        return self.at.timestamp()

    def move(self, by: timedelta) -> None:
        self.at += by


@dataclass
class Outbox:
    """A sender that keeps what it is given, or breaks."""

    messages: list[Message] = field(default_factory=list)
    broken: str | None = None

    async def send(self, message: Message) -> None:
        if self.broken is not None:
            raise NotSent(self.broken)
        self.messages.append(message)

    async def close(self) -> None:
        """Nothing is open."""

    @property
    def code(self) -> str:
        """The six digits of the last message."""
        return self.messages[-1].text[:6]


class CountingHasher(Hasher):
    """Counts how often a password is looked at."""

    verified = 0

    async def verify(self, hashed: str | None, password: str) -> bool:
        self.verified += 1
        return await super().verify(hashed, password)


@dataclass(frozen=True)
class User:
    """A user of the tests, with what he signs in by."""

    id: UUID
    tenant: Tenant
    user_name: str
    email: str
    phone: str


def visitor(address: str | None = "198.51.100.7") -> Visitor:
    return Visitor(address, "tests", lambda actor: Provenance(actor, address=address))


@pytest.fixture
def outbox() -> Outbox:
    return Outbox()


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


MakeRoom = Callable[[], SignIn]


@pytest.fixture
def make_room(database: Database, tenancy: Tenancy, outbox: Outbox, clock: MovableClock) -> MakeRoom:
    """Another process's room on the same database."""

    def make() -> SignIn:
        sessions = process(database).sessions
        sessions._clock = clock.timestamp
        room = SignIn(
            database,
            Vault(database, RING),
            tenancy,
            sessions,
            Senders(dict.fromkeys(Channel, outbox)),
            SETTINGS,
            clock=clock,
        )
        room.hasher = CountingHasher(SETTINGS)
        return room

    return make


@pytest.fixture
def room(make_room: MakeRoom) -> SignIn:
    return make_room()


MakeUser = Callable[..., Awaitable[User]]


@pytest.fixture
def make_user(room: SignIn, twins: Twins) -> MakeUser:
    """Makes users of the test twin, whose books demand no second factor, or of the live one."""
    made = 0

    async def make(
        *,
        live: bool = False,
        roles: Sequence[str] = ("viewer",),
        password: str | None = PASSWORD,
        status: str = "ACTIVE",
        unit_id: UUID | None = None,
        partner_id: UUID | None = None,
    ) -> User:
        nonlocal made
        made += 1
        tenant = twins[0] if live else twins[1]
        user = User(new_id(), tenant, f"ann.{made}", f"ann{made}@shop.example", f"+2711555{made:04}")
        keys = await room.vault.of(tenant.tenant_id)
        hashed = None if password is None else await room.hasher.hash(password)
        at = room.now()
        async with room.database.tenant(tenant.tenant_id) as connection:
            person = await room.vault.new_person(connection, tenant.tenant_id, "user")
            await connection.execute(
                "INSERT INTO access.users (tenant_id, id, person_id, partner_id, status, user_name,"
                " name_sealed, email_sealed, email_index, phone_sealed, phone_index, password_hash,"
                " password_changed_at, created_at, created_by, updated_at)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 'test', %s)",
                (
                    *(tenant.tenant_id, user.id, person.id, partner_id, status, user.user_name),
                    *(person.seal("name", "Ann Example"), person.seal("email", user.email)),
                    *(keys.blind("email", user.email), person.seal("phone", user.phone)),
                    *(keys.blind("phone", user.phone), hashed, None if hashed is None else at, at, at),
                ),
            )
            for role in roles:
                await connection.execute(
                    "INSERT INTO access.assignments (tenant_id, id, user_id, built_in, business_unit_id,"
                    " assigned_at, assigned_by) VALUES (%s, %s, %s, %s, %s, %s, 'test')",
                    (tenant.tenant_id, new_id(), user.id, role, unit_id, at),
                )
        return user

    return make


@pytest.fixture
async def ann(make_user: MakeUser) -> User:
    """A viewer of the test twin."""
    return await make_user()


async def me_of(room: SignIn, user: User, *, session_id: UUID | None = None) -> Me:
    return await own.me(room, user.tenant.tenant_id, user.id, visitor(), session_id)


async def with_app(room: SignIn, user: User) -> tuple[pyotp.TOTP, list[str]]:
    """Sets up an authenticator app; the app, and the recovery codes."""
    made = await own.enrol_totp(room, await me_of(room, user), Proof(password=PASSWORD))
    app = pyotp.TOTP(made.secret)
    codes = await own.confirm_totp(room, await me_of(room, user), app.at(room.now()))
    return app, codes


async def log_of(room: SignIn, tenant_id: int) -> list[tuple[str, str, str]]:
    """Actor, action and entity of the audit log, oldest first."""
    async with room.database.tenant(tenant_id) as connection:
        rows = await connection.execute(
            "SELECT actor, action, entity_id FROM audit.log WHERE tenant_id = %s ORDER BY seq", (tenant_id,)
        )
        return [(row[0], row[1], row[2]) for row in await rows.fetchall()]

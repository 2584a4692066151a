"""People of tenants of one's own, and the API as any of them sees it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI

from florin.access.people import http as people_http
from florin.access.people.model import Grant, User
from florin.access.people.policy import Actor, operator
from florin.access.people.room import People
from florin.access.people.users import create_user
from florin.audit.reads import open_witness
from florin.kernel.crypto import KeyRing
from florin.kernel.db import Database
from florin.kernel.errors import Unauthenticated
from florin.kernel.http.call import Principal, PrincipalKind, Rooms
from florin.kernel.http.framework import install_problems
from florin.kernel.http.gate import Gate, Headers
from florin.kernel.notify import Notifier
from florin.kernel.vault import Vault
from florin.tenancy import http as tenancy_http
from florin.tenancy.model import BusinessUnitType, Partner, Tenant
from florin.tenancy.service import Tenancy, create_business_unit, create_partner

OPERATOR = operator("cli:tests")


@pytest.fixture
def people(database: Database) -> People:
    return People(database, Vault(database, KeyRing({"k1": bytes(32)})), Notifier(database))


@pytest.fixture
def tenant_id(twins: tuple[Tenant, Tenant]) -> int:
    """The live twin of a tenant that nobody else has."""
    return twins[0].tenant_id


MakeUnit = Callable[..., Awaitable[UUID]]


@pytest.fixture
def unit(tenancy: Tenancy, tenant_id: int) -> MakeUnit:
    """Makes a business unit, below another if one is given."""

    async def make(parent: UUID | None = None) -> UUID:
        made = await create_business_unit(
            tenancy, tenant_id, name="unit", type=BusinessUnitType.RETAIL, parent_id=parent
        )
        return made.id

    return make


@pytest.fixture
async def shop(tenancy: Tenancy, tenant_id: int) -> Partner:
    return await create_partner(tenancy, tenant_id, name="Shop", email="pay@shop.example")


def a_name() -> str:
    return f"u{uuid4().hex[:12]}"


MakeUser = Callable[..., Awaitable[User]]


@pytest.fixture
def user(people: People, tenant_id: int) -> MakeUser:
    """Makes a user with these roles; `given` and `partner_id` as in create_user."""

    async def make(*grants: Grant, partner_id: UUID | None = None, **given: str) -> User:
        return await create_user(
            people,
            tenant_id,
            given or {"user_name": a_name()},
            by=OPERATOR,
            partner_id=partner_id,
            grants=grants,
        )

    return make


async def principal_of(people: People, tenant_id: int, user_id: UUID) -> Principal:
    """The user as a session makes a principal of him."""
    async with people.database.tenant(tenant_id) as connection:
        cursor = await connection.execute(
            "SELECT partner_id, platform, permissions, unit_permissions FROM access.permissions_of(%s, %s)",
            (tenant_id, [user_id]),
        )
        row = await cursor.fetchone()
    assert row is not None
    partner_id, platform, permissions, by_unit = row
    return Principal(
        tenant_id=tenant_id,
        partner_id=partner_id,
        id=user_id,
        scopes=frozenset(permissions),
        live=True,
        kind=PrincipalKind.USER,
        session_id=uuid4(),
        unit_scopes={UUID(unit): frozenset(held) for unit, held in by_unit.items()},
        platform=platform,
    )


async def actor_of(people: People, tenant_id: int, user_id: UUID, *, needs: str = "users:write") -> Actor:
    """The user as an endpoint that needs this permission makes an actor of him."""
    who = await principal_of(people, tenant_id, user_id)
    wide = needs in who.scopes or "*" in who.scopes
    units = frozenset(unit for unit, held in who.unit_scopes.items() if held & {needs, "users:*", "*"})
    return Actor(
        name=who.name,
        held=who.scopes,
        held_in_units=who.unit_scopes,
        within=None if wide else units,
        partner_id=who.partner_id,
        user_id=user_id,
    )


@dataclass
class Doorman:
    """Lets in whoever has a principal here, by a word of his own."""

    principals: dict[str, Principal]

    async def authenticate(self, headers: Mapping[bytes, bytes], address: str | None) -> Principal:
        word = headers.get(b"authorization", b"").removeprefix(b"Bearer ").decode()
        if word not in self.principals:
            raise Unauthenticated
        return self.principals[word]

    async def admit(self, principal: Principal) -> Headers:
        return []

    async def admit_stranger(self, address: str | None) -> Headers:
        return []


class As:
    """The API as one principal sees it."""

    def __init__(self, client: httpx.AsyncClient, word: str) -> None:
        self._client = client
        self._headers = {"authorization": f"Bearer {word}"}

    async def __call__(self, method: str, path: str, body: object = None, **query: str) -> httpx.Response:
        return await self._client.request(
            method, f"/v1/{path}", json=body, params=query, headers=self._headers
        )


LetIn = Callable[[Principal], As]
SignIn = Callable[[User], Awaitable[As]]


@pytest.fixture
async def let_in(people: People, tenancy: Tenancy) -> AsyncIterator[LetIn]:
    """The API of people and tenancy behind the real gate, as whatever principal."""
    app = FastAPI()
    install_problems(app)
    for router in (*tenancy_http.routers, *people_http.routers):
        app.include_router(router)
    rooms = Rooms()
    rooms.add(open_witness(people.database))
    rooms.add(people)
    rooms.add(tenancy)
    doorman = Doorman({})
    gate = Gate(
        app, routes=app.routes, rooms=rooms, authenticator=doorman, limiter=doorman, max_body_bytes=262_144
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(gate), base_url="http://florin") as client:

        def let(principal: Principal) -> As:
            word = uuid4().hex
            doorman.principals[word] = principal
            return As(client, word)

        yield let


@pytest.fixture
def sign_in(people: People, tenant_id: int, let_in: LetIn) -> SignIn:
    """The API as a user sees it, with the roles that he has now."""

    async def enter(user: User) -> As:
        return let_in(await principal_of(people, tenant_id, user.id))

    return enter

"""What is privileged to see is noted before it is shown; without a note nothing is shown."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Any
from uuid import UUID

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI
from fastapi.responses import StreamingResponse

from florin.audit import chain, service
from florin.audit.model import AuditEntry
from florin.audit.reads import open_witness
from florin.audit.store import kept_entity
from florin.kernel.errors import NotFound, Unavailable
from florin.kernel.http.call import Call, Principal, PrincipalKind, Rooms, requires
from florin.kernel.http.framework import install_problems
from florin.kernel.http.gate import Gate, Headers
from florin.kernel.http.lean import LeanRoute
from florin.kernel.http.notes import HIDDEN, Witness, filters_shown, note_read
from florin.kernel.ids import AccountId, encode_id, new_id
from tests.ledger.books import Books

See = Annotated[Call, Depends(requires("things:read", privileged=True))]
Plain = Annotated[Call, Depends(requires("things:read"))]

ordinary, lean = APIRouter(), APIRouter(route_class=LeanRoute)
sent: list[str] = []


@ordinary.get("/v1/things")
async def list_things(call: See, email: str | None = None, limit: int = 3) -> list[str]:
    return ["secret"]


@ordinary.get("/v1/things/{account_id}")
async def read_thing(call: See, account_id: AccountId) -> str:
    if account_id == UUID(int=404):
        raise NotFound
    return "secret"


@ordinary.get("/v1/plain")
async def read_plain(call: Plain) -> str:
    return "open"


@ordinary.get("/v1/people")
async def read_people(call: Plain, ids: int = 2) -> str:
    await note_read(call, "customer", [UUID(int=1), UUID(int=2)][:ids], ["name", "email"])
    return "names"


@ordinary.get("/v1/stream")
async def stream(call: See) -> StreamingResponse:
    async def parts() -> AsyncIterator[bytes]:
        for part in (b"sec", b"ret"):
            yield part

    return StreamingResponse(parts())


@lean.get("/v1/lean")
async def read_lean(call: See) -> dict[str, str]:
    return {"lean": "secret"}


class Door:
    def __init__(self, principal: Principal) -> None:
        self.principal = principal

    async def authenticate(self, headers: Mapping[bytes, bytes], address: str | None) -> Principal:
        return self.principal

    async def admit(self, principal: Principal) -> Headers:
        return []

    async def admit_stranger(self, address: str | None) -> Headers:
        return []


SESSION, USER = new_id(), new_id()


def client_of(books: Books, witness: Witness, *scopes: str) -> httpx.AsyncClient:
    app = FastAPI()
    install_problems(app)
    app.router.routes.extend([*ordinary.routes, *lean.routes])
    rooms = Rooms()
    rooms.add(witness)
    principal = Principal(
        books.tenant_id,
        None,
        USER,
        frozenset(scopes or ("things:read",)),
        live=True,
        kind=PrincipalKind.USER,
        session_id=SESSION,
    )
    door = Door(principal)
    gate = Gate(app, routes=app.routes, rooms=rooms, authenticator=door, limiter=door, max_body_bytes=1000)
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(gate),
        base_url="http://florin",
        headers={"user-agent": "curl/8\x1b[31m", "x-request-id": "req-1"},
    )


@pytest.fixture
async def client(books: Books) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(books, open_witness(books.ledger.database)) as made:
        yield made


async def noted(books: Books) -> list[AuditEntry]:
    return await service.entries(books.ledger.database, books.tenant_id, limit=100)


async def test_a_note_says_who_was_shown_what_and_from_where(books: Books, client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/things", params={"limit": 5, "email": "ada@example.org"})
    assert answer.json() == ["secret"]
    [one] = await noted(books)
    assert (one.action, one.entity_type, one.entity_id, one.changed) == (
        "read",
        "collection",
        "/v1/things",
        [],
    )
    assert one.after == {"operation": "GET /v1/things", "filters": {"limit": "5", "email": HIDDEN}}
    assert (one.actor, one.session_id) == (encode_id("user", USER), encode_id("ses", SESSION))
    assert (one.address, one.request_id) == ("127.0.0.1", "req-1")
    assert one.user_agent == "curl/8\ufffd[31m"
    assert (await chain.verify(books.ledger.database, books.tenant_id)).broken is None


async def test_many_readers_at_once_are_all_noted_in_one_chain(
    books: Books, client: httpx.AsyncClient
) -> None:
    answers = await asyncio.gather(*(client.get("/v1/things") for _ in range(64)))
    assert {one.status_code for one in answers} == {200}
    assert len(await noted(books)) == 64
    verdict = await chain.verify(books.ledger.database, books.tenant_id)
    assert (verdict.rows, verdict.broken) == (64, None)


async def test_a_thing_is_noted_by_its_own_type_and_id(books: Books, client: httpx.AsyncClient) -> None:
    account_id = new_id()
    assert (await client.get(f"/v1/things/{encode_id('acct', account_id)}")).status_code == 200
    [one] = await noted(books)
    assert (one.entity_type, one.entity_id) == ("account", str(account_id))


async def test_people_who_were_shown_unmasked_are_noted_without_their_data(
    books: Books, client: httpx.AsyncClient
) -> None:
    told = {"operation": "GET /v1/people", "fields": ["email", "name"]}
    assert (await client.get("/v1/people?ids=2")).json() == "names"
    [page] = await noted(books)
    assert (page.entity_type, page.entity_id) == ("collection", "/v1/people")
    assert page.after == {**told, "customer": [str(UUID(int=1)), str(UUID(int=2))]}
    await client.get("/v1/people?ids=1")
    await client.get("/v1/people?ids=0")
    one, _ = await noted(books)
    assert (one.entity_type, one.entity_id, one.after) == ("customer", str(UUID(int=1)), told)


@pytest.mark.parametrize("path", ["/v1/lean", "/v1/stream"])
async def test_lean_and_streamed_answers_are_noted_too(
    books: Books, client: httpx.AsyncClient, path: str
) -> None:
    assert "sec" in (await client.get(path)).text
    assert [one.entity_id for one in await noted(books)] == [path]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/plain",
        "/v1/things?limit=x",
        "/v1/things?colour=red",
        f"/v1/things/{encode_id('acct', UUID(int=404))}",
    ],
)
async def test_what_shows_nothing_privileged_is_not_noted(
    books: Books, client: httpx.AsyncClient, path: str
) -> None:
    await client.get(path)
    assert await noted(books) == []


async def test_who_may_not_is_not_noted(books: Books) -> None:
    async with client_of(books, open_witness(books.ledger.database), "other:read") as client:
        assert (await client.get("/v1/things")).status_code == 403
    assert await noted(books) == []


@asynccontextmanager
async def _away(books: Books) -> AsyncIterator[httpx.AsyncClient]:
    async def write(tenant_id: int, note: Any) -> None:
        raise Unavailable

    async with client_of(books, Witness(write)) as client:
        yield client


@pytest.mark.parametrize("path", ["/v1/things", "/v1/lean", "/v1/stream", "/v1/people"])
async def test_without_a_note_nothing_is_shown(books: Books, path: str) -> None:
    async with _away(books) as client:
        answer = await client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.headers["content-type"] == "application/problem+json"
    assert "sec" not in answer.text
    assert "names" not in answer.text


async def test_a_witness_that_fails_shows_nothing_either(books: Books) -> None:
    async def write(tenant_id: int, note: Any) -> None:
        raise RuntimeError("broken")

    async with client_of(books, Witness(write)) as client:
        answer = await client.get("/v1/things")
    assert answer.status_code == 500
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        (b"status=active&limit=3", {"status": "active", "limit": "3"}),
        (b"phone=%2B27821234567", {"phone": HIDDEN}),
        (b"account_number=12345", {"account_number": HIDDEN}),
        (b"q=ada", {"q": HIDDEN}),
        (b"code=ada%40example.org", {"code": HIDDEN}),
        (b"from=2026-11-20T13%3A00%3A00Z", {"from": "2026-11-20T13:00:00Z"}),
        (b"after=" + b"x" * 65, {"after": HIDDEN}),
    ],
)
def test_filters_are_kept_where_no_person_can_be_told_by_them(query: bytes, shown: dict[str, str]) -> None:
    assert filters_shown(query) == shown


def test_an_id_is_kept_as_rows_have_it() -> None:
    uuid = new_id()
    assert kept_entity("key", encode_id("key", uuid)) == ("api_key", str(uuid))
    assert kept_entity("transfer", encode_id("tr", uuid)) == ("transfer", str(uuid))
    assert kept_entity("collection", "/v1/audit") == ("collection", "/v1/audit")

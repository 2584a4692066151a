"""The gate in front of a small application: ids, bounds, refusals, lean and ordinary routes."""

import asyncio
from collections.abc import Mapping
from ipaddress import ip_network
from typing import Annotated, Any
from uuid import UUID

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI
from pydantic import BaseModel, ConfigDict
from starlette.types import Message

from florin.kernel.errors import Conflict, TooManyRequests, Unauthenticated
from florin.kernel.http.call import Call, Principal, Rooms, requires
from florin.kernel.http.framework import install_problems
from florin.kernel.http.gate import GIVEN_UP, Gate, Headers
from florin.kernel.http.lean import LeanRoute
from florin.kernel.ids import AccountId, encode_id

KEY = {"authorization": "Bearer good"}
JSON = {"content-type": "application/json"}


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")
    amount: int


lean = APIRouter(route_class=LeanRoute)
ordinary = APIRouter()


@lean.post("/v1/lean", status_code=201)
async def post_lean(
    call: Annotated[Call, Depends(requires("things:write"))], body: Body
) -> dict[str, object]:
    if body.amount == 409:
        raise Conflict("no", param="amount", have=3)
    if body.amount == 500:
        raise RuntimeError("secret inside")
    if body.amount == 504:
        await asyncio.sleep(30)
    if body.amount == 201:
        call.mark_replayed()
    return {"amount": body.amount, "operation": call.operation, "slot": str(call.idempotency().slot)}


@lean.get("/v1/lean/{account}")
async def get_lean(
    call: Annotated[Call, Depends(requires("things:read"))], account: AccountId
) -> dict[str, str]:
    return {"account": encode_id("acct", account), "operation": call.operation}


@lean.get("/v1/books")
async def get_books(
    call: Annotated[Call, Depends(requires("things:read", tenants_only=True))],
) -> dict[str, str]:
    return {"books": str(call.tenant_id)}


@ordinary.post("/v1/ordinary")
async def post_ordinary(
    call: Annotated[Call, Depends(requires("things:write"))], body: Body
) -> dict[str, object]:
    return {"amount": body.amount, "operation": call.operation, "size": len(call.body)}


@ordinary.post("/v1/lean/batch")
@ordinary.put("/v1/lean/batch")
async def post_batch(call: Annotated[Call, Depends(requires("things:write"))]) -> dict[str, str]:
    return {"operation": call.operation}


class Door:
    async def authenticate(self, headers: Mapping[bytes, bytes], address: str | None) -> Principal:
        if headers.get(b"authorization") == b"Bearer good":
            return Principal(1, None, UUID(int=1), frozenset({"things:*"}), live=False)
        if headers.get(b"authorization") == b"Bearer reader":
            return Principal(1, None, UUID(int=2), frozenset({"things:read"}), live=False)
        if headers.get(b"authorization") == b"Bearer partner":
            return Principal(1, UUID(int=9), UUID(int=4), frozenset({"*"}), live=False)
        raise Unauthenticated

    async def admit_stranger(self, address: str | None) -> Headers:
        return []

    async def admit(self, principal: Principal) -> Headers:
        if principal.id == UUID(int=3):
            raise TooManyRequests
        return [(b"ratelimit-limit", b"10")]


@pytest.fixture
def gate() -> Gate:
    return make_gate()


def make_gate(**options: Any) -> Gate:
    app = FastAPI()
    install_problems(app)
    app.router.routes.extend([*lean.routes, *ordinary.routes])
    door = Door()
    return Gate(
        app,
        routes=app.routes,
        rooms=Rooms(),
        authenticator=door,
        limiter=door,
        max_body_bytes=1000,
        **options,
    )


@pytest.fixture
def client(gate: Gate) -> httpx.AsyncClient:
    return client_of(gate)


def client_of(gate: Gate, base_url: str = "http://florin") -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(gate), base_url=base_url, headers=KEY | JSON)


async def test_a_lean_route_answers_by_the_short_way(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/lean", json={"amount": 5}, headers={"idempotency-key": "k"})
    assert answer.status_code == 201
    assert answer.json()["operation"] == "POST /v1/lean"
    assert answer.headers["ratelimit-limit"] == "10"
    assert answer.headers["request-id"].startswith("req_")
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_replayed_answer_says_so(client: httpx.AsyncClient) -> None:
    for amount, replayed in ((201, "true"), (5, None)):
        answer = await client.post("/v1/lean", json={"amount": amount}, headers={"idempotency-key": "k"})
        assert answer.headers.get("idempotent-replayed") == replayed


async def test_a_lean_route_with_a_path_id_goes_through_the_framework(client: httpx.AsyncClient) -> None:
    account = encode_id("acct", UUID(int=7))
    answer = await client.get(f"/v1/lean/{account}")
    assert answer.json() == {"account": account, "operation": "GET /v1/lean/{account}"}
    malformed = await client.get("/v1/lean/acct_nonsense")
    assert malformed.status_code == 422
    assert malformed.json()["code"] == "invalid_request"


async def test_an_ordinary_route_sees_the_same_call_and_body(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/ordinary", json={"amount": 5})
    assert answer.json() == {"amount": 5, "operation": "POST /v1/ordinary", "size": len(b'{"amount":5}')}


async def test_refusals_are_problems_with_code_field_and_request_id(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/lean", json={"amount": 409}, headers={"x-request-id": "mine-1"})
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["code"] == "conflict"
    assert problem["param"] == "amount"
    assert problem["have"] == 3
    assert problem["request_id"] == answer.headers["request-id"] == "mine-1"


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 400, "malformed_request"),
        (b"{", 400, "malformed_request"),
        (b'{"amount": "five"}', 422, "invalid_request"),
        (b'{"amount": 1, "more": 2}', 422, "invalid_request"),
        (b"[]", 422, "invalid_request"),
        (b"{}", 422, "invalid_request"),
        (b" " * 1001, 413, "body_too_large"),
    ],
)
async def test_bad_bodies_are_told_apart(
    client: httpx.AsyncClient, content: bytes, status: int, code: str
) -> None:
    answer = await client.post("/v1/lean", content=content)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_a_missing_idempotency_key_is_told(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/lean", json={"amount": 5})
    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_missing")


async def test_what_goes_wrong_inside_is_not_shown(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/lean", json={"amount": 500})
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "secret inside" not in answer.text


@pytest.mark.parametrize("path", ["/v1/nothing", "/elsewhere"])
async def test_an_unknown_path_is_a_problem(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    other_method = await client.delete("/v1/lean")
    assert (other_method.status_code, other_method.json()["code"]) == (405, "method_not_allowed")


@pytest.mark.parametrize("method", ["DELETE", "PATCH", "OPTIONS", "GET"])
async def test_a_method_that_a_path_does_not_know_is_answered_with_those_that_it_knows(
    client: httpx.AsyncClient, method: str
) -> None:
    answer = await client.request(method, "/v1/lean/batch")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST, PUT")
    one = encode_id("acct", UUID(int=7))
    if method != "GET":
        answer = await client.request(method, f"/v1/lean/{one}")
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET")


async def test_an_ordinary_route_refuses_as_a_lean_one_does(client: httpx.AsyncClient) -> None:
    for content, status in ((b"{", 400), (b'{"amount": "five"}', 422), (b'{"amount": 1, "more": 2}', 422)):
        lean_answer = (await client.post("/v1/lean", content=content)).json()
        answer = await client.post(
            "/v1/ordinary", content=content, headers={"content-type": "application/json"}
        )
        assert answer.status_code == status
        problem = answer.json()
        assert (problem["code"], problem.get("param")) == (lean_answer["code"], lean_answer.get("param"))


async def test_no_key_no_answer_and_a_scope_is_needed(client: httpx.AsyncClient) -> None:
    unknown = await client.post("/v1/lean", json={"amount": 5}, headers={"authorization": "Bearer bad"})
    assert unknown.status_code == 401
    assert unknown.headers["www-authenticate"] == "Bearer"
    reader = {"authorization": "Bearer reader"}
    forbidden = await client.post("/v1/lean", json={"amount": 5}, headers=reader)
    assert (forbidden.status_code, forbidden.json()["scope"]) == (403, "things:write")


async def test_what_is_the_tenants_own_is_kept_from_partners_of_any_scope(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/books")).json() == {"books": "1"}
    refused = await client.get("/v1/books", headers={"authorization": "Bearer partner"})
    assert (refused.status_code, refused.json()["code"]) == (403, "tenants_only")


async def test_a_client_that_leaves_before_its_body_is_whole_is_no_fault_of_ours(gate: Gate) -> None:
    sent: list[Message] = []
    messages: list[Message] = [
        {"type": "http.request", "body": b'{"amount"', "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"authorization", b"Bearer good"), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/v1/lean", "headers": headers, "query_string": b""}
    await gate(scope, receive, send)
    assert sent[0]["status"] == 400


SAFE = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "cross-origin-resource-policy": "same-origin",
    "x-frame-options": "DENY",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/lean", b'{"amount": 409}'),
        ("POST", "/v1/lean", b'{"amount": 500}'),
        ("POST", "/v1/ordinary", b'{"amount": 5}'),
        ("POST", "/v1/ordinary", b"{"),
        ("GET", "/v1/nothing", b""),
        ("DELETE", "/v1/lean", b""),
        ("OPTIONS", "/v1/lean", b""),
        ("TRACE", "/v1/lean", b""),
        ("GET", "/elsewhere", b""),
    ],
)
async def test_every_answer_tells_browsers_to_do_nothing_with_it(
    client: httpx.AsyncClient, method: str, path: str, body: bytes
) -> None:
    answer = await client.request(method, path, content=body, headers={"origin": "https://evil.example"})
    assert {name: answer.headers.get(name) for name in SAFE} == SAFE
    assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert "server" not in answer.headers
    assert "strict-transport-security" not in answer.headers


async def test_over_tls_browsers_are_told_to_stay_there() -> None:
    async with client_of(make_gate(), "https://florin") as client:
        answer = await client.get("/v1/books")
        assert answer.headers["strict-transport-security"] == "max-age=31536000"


@pytest.mark.parametrize(
    ("trusted", "said", "told"),
    [
        ("127.0.0.0/8", "https", True),
        ("127.0.0.0/8", "http", False),
        ("10.0.0.0/8", "https", False),
        (None, "https", False),
    ],
)
async def test_a_proxy_of_ours_is_believed_that_the_client_spoke_tls(
    trusted: str | None, said: str, *, told: bool
) -> None:
    gate = make_gate(trusted_proxies=[] if trusted is None else [ip_network(trusted)])
    async with client_of(gate) as client:
        answer = await client.get("/v1/books", headers={"x-forwarded-proto": said})
        assert ("strict-transport-security" in answer.headers) is told


async def test_an_origin_that_the_operator_named_may_call_and_ask_beforehand() -> None:
    gate = make_gate(cors_origins=["https://app.example"])
    asking = {"origin": "https://app.example", "access-control-request-method": "POST"}
    async with client_of(gate) as client:
        preflight = await client.options("/v1/lean", headers={**asking, "authorization": ""})
        assert (preflight.status_code, preflight.content) == (204, b"")
        assert preflight.headers["access-control-allow-origin"] == "https://app.example"
        assert "authorization" in preflight.headers["access-control-allow-headers"]
        answer = await client.post("/v1/lean", json={"amount": 409}, headers=asking)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (
            409,
            "https://app.example",
        )
        assert "request-id" in answer.headers["access-control-expose-headers"]
        for origin in ("null", "https://evil.example"):
            refused = await client.options("/v1/lean", headers={**asking, "origin": origin})
            assert refused.status_code == 405
            assert "access-control-allow-origin" not in refused.headers
            assert refused.headers["vary"] == "Origin"


@pytest.mark.parametrize("name", ["authorization", "idempotency-key", "content-type", "host"])
async def test_a_header_that_says_two_things_is_refused(client: httpx.AsyncClient, name: str) -> None:
    headers = [("authorization", "Bearer good"), (name, "one"), (name, "two")]
    async with httpx.AsyncClient(transport=client._transport, base_url="http://florin") as plain:
        answer = await plain.get("/v1/books", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_request")
    assert answer.json()["param"] == name.title()


def request(body: bytes) -> tuple[dict[str, Any], list[Message]]:
    headers = [(b"authorization", b"Bearer good"), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/v1/lean", "headers": headers, "query_string": b""}
    return scope, [{"type": "http.request", "body": body, "more_body": False}]


@pytest.mark.parametrize("is_given_up", [True, False])
async def test_a_request_whose_time_is_over_is_told_so_and_one_that_is_stopped_is_not(
    gate: Gate, *, is_given_up: bool
) -> None:
    scope, messages = request(b'{"amount": 504}')
    sent: list[Message] = []

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    task = asyncio.ensure_future(gate(scope, receive, send))
    await asyncio.sleep(0.05)
    if is_given_up:
        scope[GIVEN_UP] = 0.05
    task.cancel()
    if not is_given_up:
        with pytest.raises(asyncio.CancelledError):
            await task
        assert sent == []
        return
    await task
    assert sent[0]["status"] == 504
    assert dict(sent[0]["headers"])[b"retry-after"] == b"5"
    assert b'"code":"timed_out"' in sent[1]["body"]

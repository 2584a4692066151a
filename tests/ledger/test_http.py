"""The ledger's endpoints behind the gate, on a real database."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import APIRouter, FastAPI

from florin.audit.reads import open_witness
from florin.kernel.http.call import Principal, Rooms
from florin.kernel.http.framework import install_problems
from florin.kernel.http.gate import Gate, Headers
from florin.kernel.ids import encode_id, new_id
from florin.ledger import http
from florin.ledger.service import Ledger
from tests.conftest import AllDatabaseUrls
from tests.ledger.conftest import new_tenant

Body = dict[str, Any]


class _Anyone:
    """Lets every caller in, as one tenant."""

    def __init__(self, tenant_id: int) -> None:
        self.principal = Principal(tenant_id, None, uuid4(), frozenset({"ledger:*"}), live=True)

    async def authenticate(self, headers: Mapping[bytes, bytes], address: str | None) -> Principal:
        return self.principal

    async def admit_stranger(self, address: str | None) -> Headers:
        return []

    async def admit(self, principal: Principal) -> Headers:
        return []


class Client:
    """JSON in, JSON out."""

    def __init__(self, http_client: httpx.AsyncClient, tenant_id: int) -> None:
        self.http = http_client
        self.tenant_id = tenant_id

    async def post(self, path: str, body: object = None, *, key: str | None = None) -> httpx.Response:
        headers = {"idempotency-key": key or str(uuid4())}
        return await self.http.post(path, json=body, headers=headers)

    async def get(self, path: str, **params: str | int) -> Any:
        answer = await self.http.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def account(self, code: str, type_: str = "liability", **more: object) -> str:
        body = {"code": code, "name": code, "type": type_, "currency": "USD"} | more
        answer = await self.post("/v1/accounts", body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])


def two_legs(debit: str, credit: str, amount: int) -> Body:
    return {
        "legs": [
            {"account": debit, "direction": "debit", "amount": amount},
            {"account": credit, "direction": "credit", "amount": amount},
        ]
    }


def problem(answer: httpx.Response) -> tuple[int, str, str | None]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"], answer.json().get("param")


@asynccontextmanager
async def serving(
    ledger: Ledger, urls: AllDatabaseUrls, routers: Iterable[APIRouter]
) -> AsyncIterator[Client]:
    """A client of these routers behind the gate, as a tenant of its own."""
    rooms = Rooms()
    rooms.add(open_witness(ledger.database))
    rooms.add(ledger)
    app = FastAPI()
    for router in routers:
        app.router.routes.extend(router.routes)
    install_problems(app)
    anyone = _Anyone(new_tenant(urls.root))
    gate = Gate(
        app, routes=app.routes, rooms=rooms, authenticator=anyone, limiter=anyone, max_body_bytes=1 << 20
    )
    transport = httpx.ASGITransport(gate)
    async with httpx.AsyncClient(transport=transport, base_url="http://florin") as http_client:
        yield Client(http_client, anyone.principal.tenant_id)


@pytest.fixture
async def api(ledger: Ledger, database_urls: AllDatabaseUrls) -> AsyncIterator[Client]:
    async with serving(ledger, database_urls, http.routers) as client:
        yield client


async def test_a_transfer_is_told_the_same_when_posted_replayed_and_read(api: Client) -> None:
    cash, wallet = await api.account("cash", "asset"), await api.account("wallet", min_balance=0)
    body = two_legs(cash, wallet, 500) | {"description": "Top-up", "metadata": {"order": "1"}}
    posted = await api.post("/v1/transfers", body, key="k")
    assert posted.status_code == 201
    transfer = posted.json()
    assert transfer["entries"][1] == {
        "account": wallet,
        "currency": "USD",
        "direction": "credit",
        "amount": 500,
        "seq": 1,
        "balance_before": 0,
        "balance_after": 500,
        "reversed": 0,
    }
    again = await api.post("/v1/transfers", body, key="k")
    assert (again.status_code, again.json()) == (201, transfer)
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in posted.headers
    assert await api.get(f"/v1/transfers/{transfer['id']}") == transfer
    assert (await api.get("/v1/transfers", account=wallet, kind="transfer"))["data"] == [transfer]
    other = await api.post("/v1/transfers", two_legs(cash, wallet, 501), key="k")
    assert problem(other) == (422, "idempotency_key_reused", None)
    assert await api.get(f"/v1/accounts/{wallet}/balance") == {
        "account": wallet,
        "currency": "USD",
        "balance": 500,
        "pending_debits": 0,
        "pending_credits": 0,
        "available": 500,
        "entry_seq": 1,
    }


async def test_refusals_name_the_field_and_nothing_is_written(api: Client) -> None:
    cash, wallet = await api.account("cash", "asset"), await api.account("wallet", min_balance=0)
    unknown = encode_id("acct", new_id())
    unbalanced = two_legs(cash, wallet, 5) | {"currency": "USD"}
    unbalanced["legs"][0]["amount"] = 6
    refusals = [
        (two_legs(wallet, cash, 5), (422, "insufficient_funds", "legs[0].amount")),
        (two_legs(cash, unknown, 5), (404, "account_not_found", "legs[1].account")),
        (two_legs(cash, cash, 5), (422, "account_repeated", "legs[1].account")),
        (unbalanced, (422, "unbalanced", "legs")),
        (two_legs(cash, wallet, 0), (422, "invalid_request", "legs[0].amount")),
        (two_legs(cash, wallet, 5) | {"note": "x"}, (422, "invalid_request", "note")),
        (two_legs(cash, wallet, 5) | {"currency": "EUR"}, (422, "currency_mismatch", "legs[0].account")),
    ]
    for body, expected in refusals:
        assert problem(await api.post("/v1/transfers", body)) == expected
    keyless = await api.http.post("/v1/transfers", json=two_legs(cash, wallet, 5))
    assert problem(keyless) == (400, "idempotency_key_missing", None)
    assert (await api.get("/v1/transfers"))["data"] == []
    duplicate = await api.post(
        "/v1/accounts", {"code": "cash", "name": "x", "type": "asset", "currency": "USD"}
    )
    assert problem(duplicate) == (409, "account_code_taken", "code")


async def test_a_batch_answers_each_item_in_order_and_shares_keys_with_singles(api: Client) -> None:
    cash, wallet = await api.account("cash", "asset"), await api.account("wallet", min_balance=0)
    single = await api.post("/v1/transfers", two_legs(cash, wallet, 5), key="k0")
    wanted = [two_legs(cash, wallet, 5), two_legs(wallet, cash, 50), two_legs(wallet, cash, 2)]
    items = [item | {"idempotency_key": f"k{n}"} for n, item in enumerate(wanted)]
    answer = await api.post("/v1/transfers/batch", {"transfers": items})
    assert answer.status_code == 200, answer.text
    first, second, third = answer.json()["data"]
    assert first == {"status": 201, "transfer": single.json(), "problem": None}
    assert second["status"] == 422
    assert second["problem"]["code"] == "insufficient_funds"
    assert second["problem"]["param"] == "transfers[1].legs[0].amount"
    assert third["transfer"]["entries"][0]["balance_after"] == 3
    again = await api.post("/v1/transfers/batch", {"transfers": items})
    assert again.json() == answer.json()
    items[2]["legs"] = []
    wrong = await api.post("/v1/transfers/batch", {"transfers": items})
    assert problem(wrong) == (422, "invalid_request", "transfers[2].legs")


async def test_a_hold_is_placed_posted_in_part_voided_and_listed(api: Client) -> None:
    cash, wallet = await api.account("cash", "asset"), await api.account("wallet")
    body = two_legs(cash, wallet, 100) | {"expires_at": "2199-01-01T00:00:00Z"}
    placed = await api.post("/v1/holds", body, key="h")
    assert placed.status_code == 201, placed.text
    hold = placed.json()
    posted = await api.post(f"/v1/holds/{hold['id']}/post", {"amount": 40}, key="p")
    assert (posted.json()["kind"], posted.json()["hold"]) == ("post", hold["id"])
    both = await api.post(f"/v1/holds/{hold['id']}/post", {"amount": 40} | two_legs(cash, wallet, 1))
    assert problem(both) == (422, "invalid_request", "amount")
    too_much = await api.post(f"/v1/holds/{hold['id']}/post", {"amount": 61})
    assert problem(too_much) == (422, "hold_amount_exceeded", None)
    voided = await api.post(f"/v1/holds/{hold['id']}/void")
    assert voided.json()["entries"][0]["amount"] == 60
    assert problem(await api.post(f"/v1/holds/{hold['id']}/post")) == (409, "hold_closed", None)
    assert (await api.post("/v1/holds", body, key="h")).json() == hold
    now = await api.get(f"/v1/holds/{hold['id']}")
    assert (now["status"], now["legs"][0]["posted"], now["legs"][0]["remaining"]) == ("voided", 40, 0)
    assert (await api.get("/v1/holds", status="voided", account=wallet))["data"] == [now]


async def test_one_key_for_two_targets_is_a_mistake(api: Client) -> None:
    cash, wallet = await api.account("cash", "asset"), await api.account("wallet")
    one, two = [(await api.post("/v1/transfers", two_legs(cash, wallet, 5))).json() for _ in range(2)]
    first = await api.post(f"/v1/transfers/{one['id']}/reverse", key="r")
    assert first.json()["reverses"] == one["id"]
    assert (await api.post(f"/v1/transfers/{one['id']}/reverse", key="r")).json() == first.json()
    other = await api.post(f"/v1/transfers/{two['id']}/reverse", key="r")
    assert problem(other) == (422, "idempotency_key_reused", None)
    assert problem(await api.post(f"/v1/transfers/{one['id']}/reverse")) == (409, "already_reversed", None)
    assert (await api.get(f"/v1/transfers/{one['id']}"))["reversed_by"] == [first.json()["id"]]


async def test_accounts_are_listed_changed_and_stated(api: Client) -> None:
    cash, wallet = await api.account("cash", "asset"), await api.account("wallet")
    for amount in (1, 2, 3):
        await api.post("/v1/transfers", two_legs(cash, wallet, amount))
    changed = await api.http.patch(f"/v1/accounts/{wallet}", json={"name": "W", "max_balance": 10})
    assert (changed.json()["name"], changed.json()["max_balance"], changed.json()["balance"]) == ("W", 10, 6)
    closing = await api.http.patch(f"/v1/accounts/{wallet}", json={"status": "closed"})
    assert problem(closing) == (409, "account_not_empty", "status")
    listed = await api.get(
        "/v1/accounts", type="liability", currency="USD", status="active", code_prefix="wal"
    )
    assert listed == {"data": [changed.json()], "has_more": False}
    newest = await api.get(f"/v1/accounts/{wallet}/entries", limit=2)
    assert ([entry["seq"] for entry in newest["data"]], newest["has_more"]) == ([3, 2], True)
    oldest = await api.get(f"/v1/accounts/{wallet}/entries", limit=2, starting_after=2)
    assert ([entry["balance_after"] for entry in oldest["data"]], oldest["has_more"]) == ([1], False)
    [books] = (await api.get("/v1/trial-balance"))["data"]
    assert (books["currency"], books["debits"], books["credits"], books["difference"]) == ("USD", 6, 6, 0)
    missing = await api.http.get(f"/v1/accounts/{encode_id('acct', new_id())}/balance")
    assert problem(missing) == (404, "account_not_found", None)

"""The chart, limits, account settings and their history over HTTP."""

from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI

from florin.audit import http as audit_http
from florin.audit.reads import open_witness
from florin.kernel.db import Database
from florin.kernel.http.call import Principal, Rooms
from florin.kernel.http.framework import install_problems
from florin.kernel.http.gate import Gate
from florin.ledger import http
from florin.ledger.service import Ledger
from tests.conftest import AllDatabaseUrls
from tests.ledger.conftest import new_tenant
from tests.ledger.test_http import Client, _Anyone, problem, two_legs


def client_of(
    ledger: Ledger, tenant_id: int, scopes: frozenset[str], partner: bool = False, *, platform: bool = False
) -> Client:
    rooms = Rooms()
    rooms.add(open_witness(ledger.database))
    rooms.add(ledger)
    rooms.add(ledger.database)
    app = FastAPI()
    for router in (*http.routers, audit_http.router):
        app.router.routes.extend(router.routes)
    install_problems(app)
    anyone = _Anyone(tenant_id)
    anyone.principal = Principal(
        tenant_id, uuid4() if partner else None, uuid4(), scopes, live=True, platform=platform
    )
    gate = Gate(
        app, routes=app.routes, rooms=rooms, authenticator=anyone, limiter=anyone, max_body_bytes=1 << 20
    )
    return Client(httpx.AsyncClient(transport=httpx.ASGITransport(gate), base_url="http://florin"), tenant_id)


@pytest.fixture
def tenant_id(database_urls: AllDatabaseUrls) -> int:
    return new_tenant(database_urls.root)


@pytest.fixture
def api(ledger: Ledger, tenant_id: int) -> Client:
    assert isinstance(ledger.database, Database)
    return client_of(ledger, tenant_id, frozenset({"ledger:*", "audit:read"}))


async def patch(api: Client, path: str, **body: Any) -> httpx.Response:
    return await api.http.patch(path, json=body)


async def test_a_node_whose_code_has_slashes_is_made_read_changed_and_deleted(api: Client) -> None:
    new = {"code": "bank/zar:main", "name": "Main", "type": "asset", "clears_within": "PT36H"}
    made = await api.post("/v1/chart/nodes", new)
    assert made.status_code == 201, made.text
    for path in ("/v1/chart/nodes/bank/zar:main", "/v1/chart/nodes/bank%2Fzar%3Amain"):
        assert await api.get(path) == made.json()
    changed = await patch(api, "/v1/chart/nodes/bank/zar:main", clears_within=None, name="M", reason="r")
    assert changed.json() == made.json() | {"clears_within": None, "name": "M"}
    assert problem(await api.post("/v1/chart/nodes", new)) == (409, "chart_node_exists", "code")
    gone = await api.http.delete("/v1/chart/nodes/bank/zar:main", params={"reason": "not used"})
    assert gone.status_code == 204
    missing = await api.http.delete("/v1/chart/nodes/bank/zar:main")
    assert problem(missing) == (404, "chart_node_not_found", None)
    audit = await api.get("/v1/audit", entity_type="chart", entity_id="bank/zar:main")
    told = [(one["action"], one["changed"], one["reason"]) for one in audit["data"]]
    assert (told[0][0], told[0][2]) == ("deleted", "not used")
    assert told[1] == ("changed", ["clears_within", "name"], "r")
    assert audit["data"][2]["actor"].startswith("key_")


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        ({"code": "a:"}, (422, "invalid_request", "code")),
        ({"code": "a b"}, (422, "invalid_request", "code")),
        ({"type": "debt"}, (422, "invalid_request", "type")),
        ({"clears_within": "1 week"}, (422, "invalid_request", "clears_within")),
        ({"clears_within": 7}, (422, "invalid_request", "clears_within")),
        ({"currency": "XAU"}, (422, "currency_unknown", "currency")),
        ({"min_balance": 5}, (422, "currency_unknown", "currency")),
        (
            {"currency": "USD", "min_balance": 5, "max_balance": 4},
            (422, "bounds_out_of_order", "min_balance"),
        ),
        ({"code": "provider", "type": "liability"}, (422, "account_code_reserved", "type")),
        ({"colour": "red"}, (422, "invalid_request", "colour")),
    ],
)
async def test_a_node_that_breaks_a_rule_is_refused_by_field(
    api: Client, body: dict[str, Any], refused: tuple[int, str, str]
) -> None:
    assert (
        problem(await api.post("/v1/chart/nodes", {"code": "a", "name": "A", "type": "asset"} | body))
        == refused
    )
    assert (await api.get("/v1/chart"))["data"] == []


async def test_a_template_is_applied_twice_and_summed_up(api: Client) -> None:
    shipped = (await api.get("/v1/chart/templates"))["data"]
    assert len(shipped) == 6
    first = (await api.post("/v1/chart/templates/fintech/apply")).json()
    again = (await api.post("/v1/chart/templates/fintech/apply", {"reason": "to be sure"})).json()
    assert (again["made"], again["present"]) == ([], first["made"])
    assert problem(await api.post("/v1/chart/templates/bakery/apply"))[:2] == (
        404,
        "chart_template_not_found",
    )

    bank, wallet = await api.account("assets:bank:1", "asset"), await api.account("customer:7")
    assert (await api.post("/v1/transfers", two_legs(bank, wallet, 500))).status_code == 201
    below = await api.post("/v1/transfers", two_legs(wallet, bank, 501))
    assert problem(below) == (422, "insufficient_funds", "legs[0].amount")
    tree = {node["code"]: node for node in (await api.get("/v1/chart", under="assets"))["data"]}
    assert tree["assets"]["totals"] == tree["assets:bank"]["totals"]
    assert tree["assets:bank"]["depth"] == 1
    [total] = tree["assets"]["totals"]
    assert total == {"currency": "USD", "debits": 500, "credits": 0, "net": 500, "accounts": 1}
    rolled = await api.get("/v1/chart/balance", under="customer")
    assert (rolled["normal_side"], rolled["totals"][0]["net"]) == ("credit", 500)
    assert [child["code"] for child in rolled["children"]] == ["customer:7"]


async def test_an_account_shows_its_own_bounds_and_those_in_force(api: Client) -> None:
    await api.post(
        "/v1/chart/nodes",
        {"code": "w", "name": "W", "type": "liability", "currency": "USD", "max_balance": 100},
    )
    account = await api.account("w:1", credit_limit=50)
    shown = await api.get(f"/v1/accounts/{account}")
    assert (shown["min_balance"], shown["effective_min_balance"]) == (-50, -50)
    assert (shown["max_balance"], shown["effective_max_balance"]) == (None, 100)
    both = await patch(api, f"/v1/accounts/{account}", credit_limit=0, min_balance=0)
    assert problem(both) == (422, "bound_given_twice", "credit_limit")
    crossing = await patch(api, f"/v1/accounts/{account}", min_balance=101)
    assert problem(crossing) == (422, "bounds_out_of_order", "min_balance")
    wrong = await api.post("/v1/accounts", {"code": "w:2", "name": "x", "type": "asset", "currency": "USD"})
    assert problem(wrong) == (422, "type_of_class", "type")
    none = await patch(
        api, f"/v1/accounts/{account}", credit_limit=None, clears_within="P2D", match_by="correlation"
    )
    assert (none.json()["min_balance"], none.json()["clears_within"]) == (None, "P2D")


async def test_a_limit_is_shared_left_and_listed(api: Client) -> None:
    new = {"name": "Group", "side": "credit", "currency": "USD", "min_balance": -10}
    limit = (await api.post("/v1/limits", new)).json()
    path = f"/v1/limits/{limit['id']}"
    bank, wallet = await api.account("bank", "asset"), await api.account("wallet")
    joined = await patch(api, f"/v1/accounts/{wallet}", limit=limit["id"], reason="group contract")
    assert joined.json()["limit"] == limit["id"]
    over = await api.post("/v1/transfers", two_legs(wallet, bank, 11))
    assert problem(over) == (422, "shared_limit_exceeded", "legs[0].amount")
    await api.post("/v1/transfers", two_legs(wallet, bank, 10))
    assert (await api.get(path))["balance"] == -10
    assert [one["id"] for one in (await api.get(f"{path}/accounts"))["data"]] == [wallet]
    assert [one["id"] for one in (await api.get("/v1/limits"))["data"]] == [limit["id"]]
    mismatch = await patch(api, f"/v1/accounts/{bank}", limit=limit["id"])
    assert problem(mismatch) == (422, "limit_side_mismatch", "limit")
    widened = await patch(api, path, min_balance=-20, reason="paid up")
    assert widened.json()["min_balance"] == -20
    assert problem(await api.post("/v1/limits", new)) == (409, "limit_name_taken", "name")
    assert (await patch(api, f"/v1/accounts/{wallet}", limit=None)).json()["limit"] is None
    assert (await api.get(path))["balance"] == 0


async def test_accounts_are_found_by_metadata_and_by_subtree(api: Client) -> None:
    first = await api.account("c:1", metadata={"customer": "7", "url": "https://x.example"})
    second = await api.account("c:2", metadata={"customer": "7", "tier": "gold"})
    await api.account("c2", metadata={"customer": "70"})

    async def found(**query: Any) -> list[str]:
        answer = await api.http.get("/v1/accounts", params=query)
        assert answer.status_code == 200, answer.text
        return [one["id"] for one in answer.json()["data"]]

    assert await found(metadata="customer:7") == [second, first]
    assert await found(metadata=["customer:7", "tier:gold"]) == [second]
    assert await found(metadata="url:https://x.example") == [first]
    assert await found(metadata="customer:7", starting_after=second) == [first]
    assert await found(metadata="customer:7", under="c:1") == [first]
    assert await found(metadata="customer:8") == []
    assert await found(under="c") == [second, first]
    assert len(await found(code_prefix="c")) == 3
    await patch(api, f"/v1/accounts/{first}", metadata={"customer": "8"})
    assert await found(metadata="customer:7") == [second]
    assert await found(metadata="customer:8") == [first]
    for wrong in ("customer", ":7", "k" * 41 + ":v"):
        refused = await api.http.get("/v1/accounts", params={"metadata": wrong})
        assert refused.status_code == 422
        assert refused.json()["param"].startswith("metadata")
    twice = await api.http.get("/v1/accounts", params={"metadata": ["customer:7", "customer:8"]})
    assert problem(twice) == (422, "invalid_request", "metadata")


async def test_the_history_of_an_account_tells_who_and_why(
    api: Client, ledger: Ledger, tenant_id: int
) -> None:
    account = await api.account("x")
    for status, reason in (("frozen", "court order 7"), ("active", "lifted")):
        await patch(api, f"/v1/accounts/{account}", status=status, reason=reason)
    changes = await api.get(f"/v1/accounts/{account}/changes", limit=2)
    assert [one["reason"] for one in changes["data"]] == ["lifted", "court order 7"]
    assert changes["has_more"]
    assert changes["data"][0]["entity_id"] == account
    assert changes["data"][0]["request_id"]
    rest = await api.get(f"/v1/accounts/{account}/changes", starting_after=changes["data"][1]["id"])
    assert [one["action"] for one in rest["data"]] == ["created"]
    keyless = client_of(ledger, tenant_id, frozenset({"ledger:*"}))
    partner = client_of(ledger, tenant_id, frozenset({"*"}), partner=True)
    for path in ("/v1/audit", f"/v1/accounts/{account}/changes"):
        assert problem(await keyless.http.get(path))[:2] == (403, "forbidden")
        assert problem(await partner.http.get(path))[:2] == (403, "tenants_only")

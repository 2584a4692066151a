"""/v1/monitors behind the gate."""

from collections.abc import AsyncIterator

import pytest

from florin.kernel.ids import encode_id, new_id
from florin.ledger import http as ledger_http
from florin.ledger.monitors import http
from florin.ledger.service import Ledger
from tests.conftest import AllDatabaseUrls
from tests.ledger.test_http import Client, problem, serving, two_legs


@pytest.fixture
async def api(ledger: Ledger, database_urls: AllDatabaseUrls) -> AsyncIterator[Client]:
    async with serving(ledger, database_urls, (*ledger_http.routers, http.router)) as client:
        yield client


async def test_a_monitor_is_made_read_changed_and_listed(api: Client) -> None:
    cash, wallet = await api.account("cash", "asset"), await api.account("wallet")
    body = {"account": wallet, "name": "Low", "metric": "balance", "comparison": "below", "threshold": 100}
    answer = await api.post("/v1/monitors", body | {"reason": "asked for by treasury"})
    assert answer.status_code == 201, answer.text
    made = answer.json()
    state = {"object": "balance_monitor", "active": True, "value": 0, "holds": True}
    assert made == body | state | {"id": made["id"], "created_at": made["created_at"]}
    await api.post("/v1/transfers", two_legs(cash, wallet, 100))
    path = f"/v1/monitors/{made['id']}"
    assert await api.get(path) == made | {"value": 100, "holds": False}
    changed = await api.http.patch(path, json={"threshold": 101, "name": "Lower"})
    assert changed.json() == made | {"value": 100, "threshold": 101, "name": "Lower"}
    paused = await api.http.patch(path, json={"active": False})
    assert paused.json()["active"] is False
    assert (await api.get("/v1/monitors", account=wallet, active="false"))["data"] == [paused.json()]
    assert (await api.get("/v1/monitors", account=cash)) == {"data": [], "has_more": False}


async def test_what_breaks_a_rule_is_refused_by_name(api: Client) -> None:
    wallet = await api.account("wallet")
    body = {"account": wallet, "name": "Low", "metric": "balance", "comparison": "below", "threshold": 100}
    for field, value, status, code in (
        ("account", encode_id("acct", new_id()), 404, "account_not_found"),
        ("account", "acct_1", 422, "invalid_request"),
        ("name", "", 422, "invalid_request"),
        ("metric", "pending", 422, "invalid_request"),
        ("comparison", "equal", 422, "invalid_request"),
        ("threshold", 1.5, 422, "invalid_request"),
        ("threshold", 10**18 + 1, 422, "invalid_request"),
    ):
        assert problem(await api.post("/v1/monitors", body | {field: value})) == (status, code, field)
    nobody = f"/v1/monitors/{encode_id('mon', new_id())}"
    assert problem(await api.http.get(nobody)) == (404, "monitor_not_found", None)
    assert problem(await api.http.patch(nobody, json={"active": True})) == (404, "monitor_not_found", None)

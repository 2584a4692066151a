"""/v1/clearing behind the gate."""

from collections.abc import AsyncIterator

import pytest

from florin.kernel.ids import decode_id, encode_id, new_id
from florin.ledger import http as ledger_http
from florin.ledger.clearing import http
from florin.ledger.service import Ledger
from tests.conftest import AllDatabaseUrls
from tests.ledger.books import Books
from tests.ledger.clearing.lingering import clears
from tests.ledger.test_http import Client, problem, serving, two_legs


@pytest.fixture
async def api(ledger: Ledger, database_urls: AllDatabaseUrls) -> AsyncIterator[Client]:
    async with serving(ledger, database_urls, (*ledger_http.routers, http.router)) as client:
        yield client


async def test_what_lingers_is_reported_listed_and_trailed(api: Client, ledger: Ledger) -> None:
    clearing, other = await api.account("psp", "asset"), await api.account("payable")
    await clears(Books(ledger, api.tenant_id), decode_id("acct", clearing))
    posted = (await api.post("/v1/transfers", two_legs(clearing, other, 70))).json()
    await api.post("/v1/transfers", two_legs(other, clearing, 50))
    (account,) = (await api.get("/v1/clearing"))["data"]
    assert account["oldest_age_s"] in range(60)
    assert account | {"oldest_age_s": 0} == {
        "account": clearing,
        "code": "psp",
        "name": "psp",
        "currency": "USD",
        "clears_within_s": 86400,
        "match_by": "order",
        "balance": 20,
        "open_items": 1,
        "open_amount": 20,
        "overdue_items": 0,
        "overdue_amount": 0,
        "oldest_at": posted["recorded_at"],
        "oldest_age_s": 0,
        "aging": {"under_1_day": 20, "days_1_to_7": 0, "days_7_to_30": 0, "over_30_days": 0},
    }
    (aged,) = (await api.get("/v1/clearing", at="2199-12-31T00:00:00Z"))["data"]
    assert (aged["overdue_amount"], aged["aging"]["over_30_days"]) == (20, 20)
    (item,) = (await api.get(f"/v1/clearing/{clearing}/items"))["data"]
    assert item["age_s"] in range(60)
    assert item | {"age_s": 0} == {
        "transfer": posted["id"],
        "correlation_id": None,
        "direction": "debit",
        "amount": 20,
        "since": posted["recorded_at"],
        "age_s": 0,
        "overdue": False,
        "last_transfer": posted["id"],
    }
    later = await api.get(f"/v1/clearing/{clearing}/items", at="2199-12-31T00:00:00Z", overdue="true")
    assert [one["transfer"] for one in later["data"]] == [posted["id"]]
    trail = await api.get(f"/v1/clearing/{clearing}/items/{posted['id']}/trail")
    assert trail["item"]["amount"] == 20
    assert trail["complete"] is True
    (step,) = trail["data"]
    assert step == {
        "at": posted["recorded_at"],
        "kind": "transfer",
        "event": None,
        "transfer": {
            "id": posted["id"],
            "kind": "transfer",
            "description": None,
            "correlation_id": None,
            "causation_id": None,
            "related": None,
            "direction": "debit",
            "amount": 70,
        },
    }


async def test_what_is_no_clearing_account_or_no_transfer_of_it_is_not_found(
    api: Client, ledger: Ledger
) -> None:
    plain, clearing = await api.account("plain"), await api.account("psp", "asset")
    await clears(Books(ledger, api.tenant_id), decode_id("acct", clearing))
    nobody = encode_id("tr", new_id())
    for path, code in (
        (f"{plain}/items", "not_a_clearing_account"),
        (f"{encode_id('acct', new_id())}/items", "not_a_clearing_account"),
        (f"{plain}/items/{nobody}/trail", "not_a_clearing_account"),
        (f"{clearing}/items/{nobody}/trail", "transfer_not_found"),
    ):
        assert problem(await api.http.get(f"/v1/clearing/{path}")) == (404, code, None)
    assert problem(await api.http.get("/v1/clearing", params={"at": "soon"}))[2] == "at"

"""How far the books are proven, over HTTP; and where a transfer says that it comes from."""

import asyncio
from datetime import timedelta

from florin.ledger.proof.service import prove
from florin.ledger.service import Ledger
from tests.conftest import AllDatabaseUrls
from tests.ledger.proof.conftest import Tamper
from tests.ledger.test_http import Client, problem, two_legs

ORIGIN = {"correlation_id": "order-1", "causation_id": "evt-1"}


async def test_the_standing_tells_what_is_proven_and_the_first_fault(
    api: Client,
    ledger: Ledger,
    tamper: Tamper,
    database_urls: AllDatabaseUrls,
) -> None:
    cash, wallet = await api.account("cash", "asset"), await api.account("wallet")
    nothing = await api.get("/v1/ledger/status")
    assert (nothing["status"], nothing["transfers"], nothing["proven_at"]) == ("proven", 0, None)
    posted = (await api.post("/v1/transfers", two_legs(cash, wallet, 5))).json()
    behind = await api.get("/v1/ledger/status")
    assert (behind["status"], behind["behind_transfers"]) == ("behind", 1)
    assert behind["behind_seconds"] > 0
    tenant_id = api.tenant_id
    await asyncio.sleep(0.002)
    await prove(ledger, tenant_id, grace=timedelta(0))
    proven = await api.get("/v1/ledger/status")
    assert (proven["status"], proven["transfers"], proven["entries"]) == ("proven", 1, 2)
    assert (proven["last_transfer"], proven["last_recorded_at"]) == (posted["id"], posted["recorded_at"])
    assert (proven["fault_count"], proven["faults"]) == (0, [])


async def test_transfers_of_one_correlation_are_found(api: Client) -> None:
    cash, wallet = await api.account("cash", "asset"), await api.account("wallet")
    first = await api.post("/v1/transfers", two_legs(cash, wallet, 5) | ORIGIN)
    assert (first.json()["correlation_id"], first.json()["causation_id"]) == ("order-1", "evt-1")
    await api.post("/v1/transfers", two_legs(cash, wallet, 6))
    batch = [two_legs(cash, wallet, 7) | ORIGIN | {"idempotency_key": "b"}]
    batched = (await api.post("/v1/transfers/batch", {"transfers": batch})).json()["data"][0]["transfer"]
    hold = (await api.post("/v1/holds", two_legs(wallet, cash, 2) | ORIGIN)).json()
    part = await api.post(f"/v1/holds/{hold['id']}/post", {"amount": 1, "causation_id": "evt-2"} | ORIGIN)
    void = await api.post(f"/v1/holds/{hold['id']}/void", ORIGIN)
    back = await api.post(f"/v1/transfers/{first.json()['id']}/reverse", {"causation_id": "evt-3"})
    assert back.json()["correlation_id"] == "order-1"
    assert back.json()["causation_id"] == "evt-3"
    found = (await api.get("/v1/transfers", correlation_id="order-1"))["data"]
    assert [one["kind"] for one in found] == ["reversal", "void", "post", "hold", "transfer", "transfer"]
    assert [one["id"] for one in found[:3]] == [back.json()["id"], void.json()["id"], part.json()["id"]]
    assert found[4] == batched
    of_account = await api.get("/v1/transfers", correlation_id="order-1", account=cash, kind="transfer")
    assert [one["id"] for one in of_account["data"]] == [batched["id"], first.json()["id"]]
    assert (await api.get("/v1/transfers", correlation_id="order-2"))["data"] == []


async def test_an_origin_of_the_wrong_length_is_refused(api: Client) -> None:
    cash, wallet = await api.account("cash", "asset"), await api.account("wallet")
    for name in ORIGIN:
        for wrong in ("", "x" * 256, "a\u0000b"):
            answer = await api.post("/v1/transfers", two_legs(cash, wallet, 5) | {name: wrong})
            assert problem(answer) == (422, "invalid_request", name)

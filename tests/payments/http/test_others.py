"""Events, reference data, and providers' messages behind the real gate."""

from uuid import UUID

import httpx
import orjson

from florin.kernel.ids import decode_id
from florin.payments.model import attempt_reference
from tests.payments.conftest import Books
from tests.payments.http.test_payments import take


async def test_events_are_listed_filtered_and_read(client: httpx.AsyncClient) -> None:
    for _ in range(3):
        await take(client)
    page = (await client.get("/v1/events", params={"limit": 4})).json()
    assert [event["type"] for event in page["data"]] == ["payment.completed", "payment.created"] * 2
    assert page["has_more"]
    rest = (await client.get("/v1/events", params={"starting_after": page["data"][-1]["id"]})).json()
    assert (len(rest["data"]), rest["has_more"]) == (2, False)
    done = (await client.get("/v1/events", params={"type": "payment.completed"})).json()["data"]
    assert len(done) == 3
    read = await client.get(f"/v1/events/{done[0]['id']}")
    assert read.json() == done[0]
    missing = await client.get("/v1/events/evt_01h455vb4pex5vsknk084sn02q")
    assert (missing.status_code, missing.json()["code"]) == (404, "event_not_found")


async def test_currencies_and_methods_are_listed(client: httpx.AsyncClient) -> None:
    currencies = {row["code"]: row for row in (await client.get("/v1/currencies")).json()["data"]}
    assert currencies["KWD"]["exponent"] == 3
    assert currencies["JPY"]["exponent"] == 0
    assert "XAU" not in currencies
    methods = (await client.get("/v1/payment-methods")).json()["data"]
    assert {"code": "card", "name": "Credit or debit card"} in methods


async def test_a_providers_message_needs_a_signature_and_no_key(
    client: httpx.AsyncClient, books: Books
) -> None:
    payment = await take(client, method={"type": "card", "token": "tok_late"})
    payment_id: UUID = decode_id("pay", str(payment["id"]))
    body = orjson.dumps(
        [
            {
                "id": "evt_1",
                "kind": "charge",
                "reference": attempt_reference(books.tenant_id, payment_id, 1),
                "status": "succeeded",
            }
        ]
    )
    del client.headers["authorization"]
    forged = await client.post("/providers/sandbox/webhooks", content=body)
    assert (forged.status_code, forged.json()["code"]) == (400, "invalid_webhook")
    nobody = await client.post("/providers/nobody/webhooks", content=body)
    assert (nobody.status_code, nobody.json()["code"]) == (404, "provider_not_found")
    good = await client.post("/providers/sandbox/webhooks", content=body, headers={"signature": "good"})
    assert (good.status_code, good.json()) == (200, {"received": 1})
    read = await client.get(f"/v1/payments/{payment['id']}", headers={"authorization": "Bearer tenant"})
    assert read.json()["status"] == "completed"
    await books.check()

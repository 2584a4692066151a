"""/v1/refunds behind the real gate."""

import httpx

from tests.payments.http.test_payments import key, take


async def test_refunds_are_made_replayed_read_and_listed(client: httpx.AsyncClient) -> None:
    payment = await take(client, who="ann", amount=1000)
    body = {"payment": payment["id"], "amount": 300, "reason": "broken", "metadata": {"case": "9"}}
    headers = key(who="ann")
    made = await client.post("/v1/refunds", json=body, headers=headers)
    assert made.status_code == 201
    refund = made.json()
    assert (refund["status"], refund["amount"], refund["reason"]) == ("completed", 300, "broken")
    assert (refund["payment"], refund["metadata"]) == (payment["id"], {"case": "9"})
    again = await client.post("/v1/refunds", json=body, headers=headers)
    assert again.json() == refund
    assert again.headers["idempotent-replayed"] == "true"
    other = await client.post("/v1/refunds", json=body | {"amount": 301}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")

    too_much = await client.post(
        "/v1/refunds", json={"payment": payment["id"], "amount": 701}, headers=key(who="ann")
    )
    assert (too_much.status_code, too_much.json()["code"]) == (422, "refund_exceeds_remaining")
    assert (too_much.json()["param"], too_much.json()["remaining"]) == ("amount", 700)

    for who, status in (("ann", 200), ("tenant", 200), ("bob", 404)):
        read = await client.get(f"/v1/refunds/{refund['id']}", headers=key(who=who))
        assert read.status_code == status
    await client.post("/v1/refunds", json={"payment": payment["id"]}, headers=key(who="ann"))
    listed = await client.get("/v1/refunds", params={"payment": str(payment["id"])}, headers=key(who="ann"))
    assert [one["amount"] for one in listed.json()["data"]] == [700, 300]
    assert (await client.get("/v1/refunds", headers=key(who="bob"))).json()["data"] == []
    assert (await client.get("/v1/refunds", params={"status": "failed"})).json()["data"] == []


async def test_bad_refunds_are_refused(client: httpx.AsyncClient) -> None:
    payment = await take(client)
    missing = await client.post("/v1/refunds", json={"payment": payment["id"]})
    assert (missing.status_code, missing.json()["code"]) == (400, "idempotency_key_missing")
    for body, param in (
        ({"payment": "pay_1"}, "payment"),
        ({"payment": payment["id"], "amount": 0}, "amount"),
        ({"payment": payment["id"], "amount": 1.1}, "amount"),
        ({"amount": 1}, "payment"),
        ({"payment": payment["id"], "note": "x"}, "note"),
        ({"payment": payment["id"], "reason": "4242424242424242"}, "reason"),
    ):
        answer = await client.post("/v1/refunds", json=body, headers=key())
        assert (answer.status_code, answer.json()["param"]) == (422, param)
    unknown = await client.post(
        "/v1/refunds", json={"payment": "pay_01h455vb4pex5vsknk084sn02q"}, headers=key()
    )
    assert (unknown.status_code, unknown.json()["param"]) == (404, "payment")

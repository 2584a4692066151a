"""/v1/payments behind the real gate."""

from uuid import uuid4

import httpx
import pytest

from florin.kernel.ids import encode_id
from florin.tenancy.customers.service import create_customer
from tests.payments.conftest import Books

BODY = {"amount": 1999, "currency": "USD", "method": {"type": "card", "token": "tok_success"}}


def key(name: str | None = None, who: str = "tenant") -> dict[str, str]:
    return {"idempotency-key": name or uuid4().hex, "authorization": f"Bearer {who}"}


async def take(client: httpx.AsyncClient, who: str = "tenant", **changes: object) -> dict[str, object]:
    answer = await client.post("/v1/payments", json=BODY | changes, headers=key(who=who))
    assert answer.status_code == 201, answer.text
    taken: dict[str, object] = answer.json()
    return taken


async def test_a_payment_is_taken_read_and_shown_in_full(client: httpx.AsyncClient) -> None:
    taken = await take(client, description="Order 6735", metadata={"order": "6735"})
    assert taken | {"id": "", "created_at": "", "updated_at": "", "provider_reference": ""} == {
        "id": "",
        "object": "payment",
        "status": "completed",
        "amount": 1999,
        "currency": "USD",
        "amount_authorized": 1999,
        "amount_captured": 1999,
        "amount_refunded": 0,
        "amount_refundable": 1999,
        "capture_method": "automatic",
        "method": {"type": "card", "token": "tok_success"},
        "partner": None,
        "customer": None,
        "provider": "sandbox",
        "provider_reference": "",
        "description": "Order 6735",
        "statement_descriptor": None,
        "return_url": None,
        "redirect_url": None,
        "metadata": {"order": "6735"},
        "decline_code": None,
        "message": None,
        "created_at": "",
        "updated_at": "",
        "authorized_at": taken["authorized_at"],
        "completed_at": taken["completed_at"],
        "failed_at": None,
        "cancelled_at": None,
    }
    assert str(taken["id"]).startswith("pay_")
    assert str(taken["created_at"]).endswith("Z")
    read = await client.get(f"/v1/payments/{taken['id']}")
    assert read.status_code == 200
    assert read.json() == taken


async def test_a_declined_payment_is_answered_with_201_and_so_is_its_replay(
    client: httpx.AsyncClient,
) -> None:
    body, headers = BODY | {"method": {"type": "card", "token": "tok_declined"}}, key()
    first = await client.post("/v1/payments", json=body, headers=headers)
    again = await client.post("/v1/payments", json=body, headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json()["status"] == "failed"
    assert first.json()["decline_code"] == "card_declined"
    assert first.json()["message"] == "The card was declined."
    assert again.json() == first.json()
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"


async def test_keys_are_required_and_tell_bodies_apart(client: httpx.AsyncClient) -> None:
    missing = await client.post("/v1/payments", json=BODY)
    assert (missing.status_code, missing.json()["code"]) == (400, "idempotency_key_missing")
    headers = key()
    await client.post("/v1/payments", json=BODY, headers=headers)
    other = await client.post("/v1/payments", json=BODY | {"amount": 1}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def test_a_key_used_for_one_payment_means_nothing_for_another(client: httpx.AsyncClient) -> None:
    one, two = [await take(client, capture_method="manual") for _ in range(2)]
    headers = key()
    for payment in (one, two):
        answer = await client.post(f"/v1/payments/{payment['id']}/capture", headers=headers)
        assert answer.status_code == 200
        assert answer.json()["id"] == payment["id"]
        assert "idempotent-replayed" not in answer.headers


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"amount": 0}, "invalid_request", "amount"),
        ({"amount": -5}, "invalid_request", "amount"),
        ({"amount": 1.5}, "invalid_request", "amount"),
        ({"amount": "10"}, "invalid_request", "amount"),
        ({"amount": 10**15 + 1}, "invalid_request", "amount"),
        ({"amount": 2**63}, "invalid_request", "amount"),
        ({"currency": "usd"}, "invalid_request", "currency"),
        ({"currency": "ABC"}, "currency_not_supported", "currency"),
        ({"currency": "XAU"}, "currency_not_supported", "currency"),
        ({"method": {"type": "card"}}, "invalid_request", "method.token"),
        ({"method": {"type": "upi"}}, "invalid_request", "method.vpa"),
        ({"method": {"type": "upi", "vpa": "nobody"}}, "invalid_request", "method.vpa"),
        ({"method": {"type": "card", "token": "t", "vpa": "ab@cd"}}, "invalid_request", "method.vpa"),
        ({"method": {"type": "cash"}}, "invalid_request", "method.type"),
        ({"metadata": {"n": 1}}, "invalid_request", "metadata.n"),
        ({"metadata": {str(n): "" for n in range(51)}}, "invalid_request", "metadata"),
        ({"description": "\x00"}, "invalid_request", "description"),
        ({"return_url": "javascript:alert(1)"}, "invalid_request", "return_url"),
        ({"customer": "pay_01h455vb4pex5vsknk084sn02q"}, "invalid_request", "customer"),
        ({"colour": "red"}, "invalid_request", "colour"),
        ({"confirm": "yes"}, "invalid_request", "confirm"),
        ({"description": "4242 4242 4242 4242"}, "card_number_refused", "description"),
        ({"card_number": "4242424242424242"}, "card_number_refused", "card_number"),
    ],
)
async def test_bad_input_names_the_field_and_writes_nothing(
    client: httpx.AsyncClient, books: Books, change: dict[str, object], code: str, param: str
) -> None:
    answer = await client.post("/v1/payments", json=BODY | change, headers=key())
    assert (answer.status_code, answer.json()["code"]) == (422, code), answer.text
    assert answer.json()["param"] == param
    assert "4242" not in answer.text
    assert await books.fetch("SELECT 1 FROM payments.payments WHERE tenant_id = %s") == []
    assert await books.fetch("SELECT 1 FROM kernel.idempotency_keys WHERE tenant_id = %s") == []


async def test_the_largest_amount_is_no_card_number(client: httpx.AsyncClient) -> None:
    assert (await take(client, amount=4242424242424))["amount"] == 4242424242424
    assert (await take(client, amount=10**15))["status"] == "completed"


async def test_a_upi_address_is_masked(client: httpx.AsyncClient) -> None:
    taken = await take(client, method={"type": "upi", "vpa": "success@sandbox"})
    assert taken["method"] == {"type": "upi", "vpa": "su***@sandbox"}


async def test_a_customer_must_be_ones_own(client: httpx.AsyncClient, books: Books) -> None:
    customer = await create_customer(
        books.payments.tenancy,
        books.tenant_id,
        reference="ada",
        partner_id=None,
        business_unit_id=None,
        name=None,
        email=None,
        metadata={},
    )
    shown = encode_id("cus", customer.id)
    assert (await take(client, customer=shown))["customer"] == shown
    listed = await client.get("/v1/payments", params={"customer": shown})
    assert len(listed.json()["data"]) == 1
    for who, name in (("ann", shown), ("tenant", "cus_01h455vb4pex5vsknk084sn02q")):
        answer = await client.post("/v1/payments", json=BODY | {"customer": name}, headers=key(who=who))
        assert (answer.status_code, answer.json()["code"]) == (404, "customer_not_found")
        assert answer.json()["param"] == "customer"


async def test_a_payments_whole_way_over_http(client: httpx.AsyncClient, books: Books) -> None:
    pending = await take(client, confirm=False, capture_method="manual", amount=1000)
    assert pending["status"] == "pending"
    path = f"/v1/payments/{pending['id']}"
    authorized = await client.post(f"{path}/confirm", headers=key())
    assert (authorized.status_code, authorized.json()["status"]) == (200, "authorized")
    part = await client.post(f"{path}/capture", json={"amount": 400}, headers=key())
    assert part.json()["amount_captured"] == 400
    too_much = await client.post(f"{path}/capture", json={"amount": 601}, headers=key())
    assert (too_much.status_code, too_much.json()["code"]) == (422, "capture_exceeds_remaining")
    assert too_much.json()["remaining"] == 600
    rest = await client.post(f"{path}/capture", headers=key())
    assert rest.json()["status"] == "completed"
    refund = await client.post("/v1/refunds", json={"payment": pending["id"], "amount": 250}, headers=key())
    assert refund.status_code == 201
    late = await client.post(f"{path}/cancel", headers=key())
    assert (late.status_code, late.json()["code"]) == (409, "payment_not_cancellable")
    history = await client.get(f"{path}/events")
    assert [event["type"] for event in history.json()["data"]] == [
        "payment.created",
        "payment.processing",
        "payment.authorized",
        "payment.partially_captured",
        "payment.completed",
        "refund.created",
        "refund.completed",
        "payment.partially_refunded",
    ]
    assert history.json()["data"][-1]["data"]["object"] == (await client.get(path)).json()
    await books.check()


async def test_lists_filter_and_page(client: httpx.AsyncClient) -> None:
    ids = [(await take(client, metadata={"n": str(n)}, amount=n + 1))["id"] for n in range(5)]
    euros = await take(client, currency="EUR")
    declined = await take(client, method={"type": "card", "token": "tok_declined"})

    async def found(**query: object) -> list[str]:
        answer = await client.get("/v1/payments", params=query)  # type: ignore[arg-type]
        assert answer.status_code == 200, answer.text
        return [payment["id"] for payment in answer.json()["data"]]

    assert await found() == [declined["id"], euros["id"], *reversed(ids)]
    assert await found(currency="EUR") == [euros["id"]]
    assert await found(status="failed") == [declined["id"]]
    assert await found(metadata_key="n", metadata_value="3") == [ids[3]]
    assert await found(metadata_key="n") == list(reversed(ids))
    assert await found(created_from=euros["created_at"]) == [declined["id"], euros["id"]]
    assert await found(created_to=euros["created_at"], limit=1) == [ids[4]]
    assert await found(customer="cus_01h455vb4pex5vsknk084sn02q") == []

    pages, after = [], None
    while True:
        params = {"limit": 3} | ({"starting_after": after} if after else {})
        page = (await client.get("/v1/payments", params=params)).json()
        pages.append([payment["id"] for payment in page["data"]])
        if not page["has_more"]:
            break
        after = pages[-1][-1]
    assert [len(one) for one in pages] == [3, 3, 1]
    assert [payment_id for one in pages for payment_id in one] == await found()


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
        ({"status": "lost"}, "status"),
        ({"starting_after": "re_01h455vb4pex5vsknk084sn02q"}, "starting_after"),
        ({"created_from": "yesterday"}, "created_from"),
        ({"currency": "dollars"}, "currency"),
    ],
)
async def test_bad_filters_are_named(client: httpx.AsyncClient, query: dict[str, str], param: str) -> None:
    answer = await client.get("/v1/payments", params=query)
    assert answer.status_code == 422
    assert param in answer.json()["param"]


async def test_partners_see_and_touch_only_what_is_theirs(client: httpx.AsyncClient) -> None:
    anns = await take(client, who="ann")
    tenants = await take(client)
    assert str(anns["partner"]).startswith("ptnr_")
    path = f"/v1/payments/{anns['id']}"

    for who, allowed in (("ann", True), ("tenant", True), ("bob", False)):
        headers = {"authorization": f"Bearer {who}"}
        for sub in ("", "/events"):
            answer = await client.get(path + sub, headers=headers)
            assert answer.status_code == (200 if allowed else 404)
        listed = (await client.get("/v1/payments", headers=headers)).json()["data"]
        assert (anns["id"] in [payment["id"] for payment in listed]) == allowed
        events = (await client.get("/v1/events", headers=headers)).json()["data"]
        assert bool([e for e in events if e["data"]["object"]["id"] == anns["id"]]) == allowed
    for sub in ("confirm", "capture", "cancel"):
        answer = await client.post(f"{path}/{sub}", headers=key(who="bob"))
        assert (answer.status_code, answer.json()["code"]) == (404, "payment_not_found")
    answer = await client.post("/v1/refunds", json={"payment": anns["id"]}, headers=key(who="bob"))
    assert (answer.status_code, answer.json()["code"]) == (404, "payment_not_found")
    assert (await client.get(f"/v1/payments/{tenants['id']}", headers=key(who="ann"))).status_code == 404


async def test_one_key_of_two_partners_makes_two_payments(client: httpx.AsyncClient) -> None:
    made = [
        (await client.post("/v1/payments", json=BODY, headers=key("same", who))).json()["id"]
        for who in ("ann", "bob", "tenant")
    ]
    assert len(set(made)) == 3


async def test_a_reading_key_may_not_write(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/payments", json=BODY, headers=key(who="reader"))
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert (await client.get("/v1/payments", headers=key(who="reader"))).status_code == 200


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"x"', b"\xff", b'{"amount": NaN}'])
async def test_a_body_that_is_no_payment_is_refused(client: httpx.AsyncClient, body: bytes) -> None:
    answer = await client.post(
        "/v1/payments", content=body, headers=key() | {"content-type": "application/json"}
    )
    assert answer.status_code in (400, 422)


@pytest.mark.parametrize("name", ["nonsense", "pay_1", "re_01h455vb4pex5vsknk084sn02q"])
async def test_an_id_of_another_kind_is_refused(client: httpx.AsyncClient, name: str) -> None:
    for answer in (
        await client.get(f"/v1/payments/{name}"),
        await client.post(f"/v1/payments/{name}/capture", headers=key()),
    ):
        assert (answer.status_code, answer.json()["param"]) == (422, "payment_id")

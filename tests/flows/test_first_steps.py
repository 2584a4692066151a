"""What a newcomer does: start, take a payment, refund it, look at the books, receive the webhook."""

import stat
import time
from typing import Any

import httpx

from tests.flows.conftest import Florin

PAYMENT = {"amount": 4200, "currency": "USD", "method": {"type": "card", "token": "tok_success"}}


def _eventually(look: Any, timeout_s: float = 20) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (found := look()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert found, "did not happen in time"
    return found


def test_the_key_is_private_and_can_be_sourced(florin: Florin) -> None:
    path = florin.data_dir / "demo.env"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert florin.key.startswith("fl_test_")


def test_a_payment_is_taken_refunded_booked_and_told(florin: Florin) -> None:
    with florin.client() as client:
        taken = client.post("/v1/payments", json=PAYMENT, headers={"idempotency-key": "first"})
        assert taken.status_code == 201, taken.text
        payment = taken.json()
        assert payment["status"] == "completed"
        again = client.post("/v1/payments", json=PAYMENT, headers={"idempotency-key": "first"})
        assert again.json() == payment
        assert again.headers["idempotent-replayed"] == "true"

        refund = client.post(
            "/v1/refunds",
            json={"payment": payment["id"], "amount": 2100},
            headers={"idempotency-key": "first-refund"},
        )
        assert refund.status_code == 201, refund.text
        assert refund.json()["status"] == "completed"
        assert client.get(f"/v1/payments/{payment['id']}").json()["status"] == "partially_refunded"

        receivable, payable = (
            client.get("/v1/accounts", params={"code_prefix": prefix}).json()["data"][0]
            for prefix in ("provider:sandbox", "partner:")
        )
        assert receivable["balance"] == payable["balance"] == 2100
        entries = client.get(f"/v1/accounts/{payable['id']}/entries").json()["data"]
        assert [entry["balance_after"] for entry in entries] == [2100, 4200]
        trial = client.get("/v1/trial-balance").json()
        assert all(line["difference"] == 0 for line in trial["data"])

        events = [
            event["type"] for event in client.get(f"/v1/payments/{payment['id']}/events").json()["data"]
        ]
        assert {"payment.created", "payment.completed"} <= set(events)

    def told() -> bool:
        seen = {webhook["type"] for webhook in httpx.get(f"{florin.receiver}/webhooks").json()["data"]}
        return {"payment.completed", "refund.completed"} <= seen

    assert _eventually(told)


def test_the_page_the_document_and_the_metrics_answer_without_a_key(florin: Florin) -> None:
    page = httpx.get(f"{florin.base}/")
    assert page.status_code == 200
    assert "PostgreSQL" in page.text
    assert httpx.get(f"{florin.base}/docs").status_code == 200
    assert httpx.get(f"{florin.base}/openapi.json").json()["openapi"].startswith("3.1")
    assert httpx.get(f"{florin.base}/healthz").json() == {"status": "ok"}
    metrics = httpx.get(f"{florin.base}/metrics").text
    assert "florin_http_requests_total" in metrics
    assert "fl_test_" not in page.text + metrics


def test_a_second_start_finds_its_data_again(florin: Florin) -> None:
    from tests.flows.conftest import start_florin

    with florin.client() as client:
        before = client.get("/v1/payments").json()["data"]
    key = florin.key
    assert florin.stop() == 0
    again = start_florin(florin.data_dir)
    try:
        assert again.key == key
        with again.client() as client:
            assert client.get("/v1/payments").json()["data"] == before
    finally:
        assert again.stop() == 0

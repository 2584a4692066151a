"""API6:2023, unrestricted access to sensitive business flows: nobody does them as often as he likes."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import uuid4

import pytest

from tests.flows.world import Operation, Tenant
from tests.owasp.house import OPERATIONS, House

PAYMENT = {"amount": 1000, "currency": "USD", "method": {"type": "card", "token": "tok_success"}}
MOVES_MONEY = [one for one in OPERATIONS if one.keyed]


def test_a_key_that_is_used_too_often_has_to_wait_whatever_it_asks_for(house: House) -> None:
    limits = {"per_minute": 3, "per_hour": 3, "per_day": 3}
    made = house.ours.made("/v1/api-keys", {"name": "few", "scopes": ["*"], "limits": limits})
    few = replace(house.ours, key=made["secret"])
    for _ in range(3):
        assert few.request("POST", "/v1/payments", json=PAYMENT).status_code == 201
    for method, path in (("POST", "/v1/payments"), ("POST", "/v1/refunds"), ("GET", "/v1/payments")):
        answer = few.request(method, path, json=PAYMENT if method == "POST" else None)
        assert (answer.status_code, answer.json()["code"]) == (429, "too_many_requests")
        assert int(answer.headers["retry-after"]) >= 1


def at_once(who: Tenant, path: str, bodies: list[dict[str, object]], key: str | None = None) -> list[int]:
    """The statuses of requests that are sent together."""

    def one(body: dict[str, object]) -> int:
        headers = {"idempotency-key": key or uuid4().hex}
        return who.request("POST", path, json=body, headers=headers).status_code

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(one, bodies))


def test_a_payment_is_refunded_once_however_many_ask_at_once(house: House) -> None:
    payment = house.ours.made("/v1/payments", PAYMENT)["id"]
    statuses = at_once(house.ours, "/v1/refunds", [{"payment": payment, "amount": 600}] * 8)
    assert sorted(statuses) == [201] + [422] * 7
    shown = house.ours.request("GET", f"/v1/payments/{payment}").json()
    assert shown["amount_refunded"] == 600


def test_one_key_is_one_payment_however_many_ask_at_once(house: House) -> None:
    key = uuid4().hex
    statuses = at_once(house.ours, "/v1/payments", [{**PAYMENT, "metadata": {"run": key}}] * 8, key)
    assert set(statuses) <= {201, 409}
    listed = house.ours.request("GET", "/v1/payments", params={"limit": 100}).json()["data"]
    assert len([one for one in listed if one["metadata"].get("run") == key]) == 1


@pytest.mark.parametrize("operation", MOVES_MONEY, ids=[one.name for one in MOVES_MONEY])
def test_what_moves_money_needs_a_key_of_its_own(house: House, operation: Operation) -> None:
    url = "http://florin" + house.ours.path(operation)
    own = {"authorization": f"Bearer {house.ours.key}"}
    answer = house.client.request(operation.method, url, json=house.ours.body(operation), headers=own)
    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_missing")

"""API10:2023, unsafe consumption of APIs: a provider's word counts if it is signed, fresh and makes sense."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import orjson
import pytest

from florin.kernel.clock import now
from florin.kernel.settings import Settings
from florin.providers.sandbox.keys import SandboxKeys, sandbox_keys
from florin.providers.sandbox.signature import sign
from tests.owasp.house import House

PATH = "http://florin/providers/sandbox/webhooks"


@pytest.fixture(scope="module")
def keys(house: House) -> SandboxKeys:
    return sandbox_keys(house.rooms[Settings])


def event(**others: Any) -> dict[str, Any]:
    made = {
        "id": f"evt_{uuid4().hex}",
        "kind": "charge",
        "data": {"reference": "att_nobodys_1_1", "status": "succeeded"},
    }
    return made | others


def post(house: House, body: bytes, headers: dict[str, str]) -> httpx.Response:
    return house.client.post(PATH, content=body, headers=headers)


def test_what_is_not_signed_or_signed_by_another_changes_nothing(house: House, keys: SandboxKeys) -> None:
    before, body = house.digest(), orjson.dumps(event())
    right = sign(keys.webhook, body, now())
    wrong: list[tuple[bytes, dict[str, str]]] = [
        (body, {}),
        (body, {**right, "sandbox-signature": ""}),
        (body, {**right, "sandbox-signature": "v1=" + "0" * 64}),
        (body, {**right, "sandbox-signature": right["sandbox-signature"][3:]}),
        (body + b" ", right),
        (body, sign(b"another key" * 3, body, now())),
        (body, sign(keys.webhook, body, now() - timedelta(minutes=6))),
        (body, sign(keys.webhook, body, now() + timedelta(minutes=6))),
        (body, {**right, "sandbox-timestamp": "9" * 400}),
        (body, {**right, "sandbox-timestamp": "-1"}),
        (body, {**right, "authorization": f"Bearer {house.ours.key}", "sandbox-signature": "x"}),
    ]
    for content, headers in wrong:
        answer = post(house, content, headers)
        assert 400 <= answer.status_code < 500, (headers, answer.text)
        assert keys.webhook.hex() not in answer.text
    assert house.digest() == before


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"id": 1}',
        orjson.dumps({"id": "x", "kind": "charge", "data": {"reference": "x" * 100_000}}),
        orjson.dumps({"id": {"$gt": ""}, "kind": ["charge"], "data": "succeeded"}),
    ],
)
def test_what_is_signed_and_makes_no_sense_is_refused(house: House, keys: SandboxKeys, body: bytes) -> None:
    before = house.digest()
    answer = post(house, body, sign(keys.webhook, body, now()))
    assert 400 <= answer.status_code < 500, answer.text
    assert house.digest() == before


def test_what_is_signed_and_huge_is_not_read(house: House, keys: SandboxKeys) -> None:
    body = b" " * 1_200_000
    assert post(house, body, sign(keys.webhook, body, now())).status_code == 413


@pytest.mark.parametrize(
    "reference",
    [
        "att_nobodys_1_1",
        "",
        "att_01h455vb4pex5vsknk084sn02q_999999999_1",
        "att_01h455vb4pex5vsknk084sn02q_-1_1",
        "' OR 1=1",
        "../../x",
    ],
)
def test_news_about_what_is_not_ours_changes_nothing(house: House, keys: SandboxKeys, reference: str) -> None:
    before = house.digest()
    body = orjson.dumps(event(data={"reference": reference, "status": "succeeded"}))
    answer = post(house, body, sign(keys.webhook, body, now()))
    assert answer.json() == {"received": 0}
    assert house.digest() == before


def test_the_same_news_twice_is_news_once(house: House, keys: SandboxKeys) -> None:
    payment = {"amount": 4200, "currency": "USD", "method": {"type": "card", "token": "tok_3ds"}}
    made = house.ours.made("/v1/payments", payment)
    assert made["status"] == "requires_action"
    reference = made["redirect_url"].split("/redirect/")[1].partition("?")[0]
    body = orjson.dumps(event(data={"reference": reference, "status": "succeeded"}))
    headers = sign(keys.webhook, body, now())
    assert post(house, body, headers).json() == {"received": 1}
    shown = house.ours.request("GET", f"/v1/payments/{made['id']}").json()
    assert (shown["status"], shown["amount_captured"]) == ("completed", 4200)
    after = house.digest()
    contrary = orjson.dumps(event(data={"reference": reference, "status": "failed"}))
    for content in (body, body, contrary):
        assert post(house, content, sign(keys.webhook, content, now())).status_code == 200
    assert house.ours.request("GET", f"/v1/payments/{made['id']}").json() == shown
    assert house.digest()["ledger.entries"] == after["ledger.entries"]


def test_what_a_provider_says_beside_the_outcome_cannot_keep_it_from_us(
    house: House, keys: SandboxKeys
) -> None:
    payment = {"amount": 4200, "currency": "USD", "method": {"type": "card", "token": "tok_3ds"}}
    made = house.ours.made("/v1/payments", payment)
    reference = made["redirect_url"].split("/redirect/")[1].partition("?")[0]
    said = {"message": "no\0thing" * 50_000, "decline_code": "x" * 5_000, "provider_reference": "\0"}
    body = orjson.dumps(event(data={"reference": reference, "status": "failed", **said}))
    assert post(house, body, sign(keys.webhook, body, now())).json() == {"received": 1}
    shown = house.ours.request("GET", f"/v1/payments/{made['id']}")
    assert shown.json()["status"] == "failed"
    assert len(shown.content) < 10_000

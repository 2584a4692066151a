import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from florin.providers.provider import OutcomeUnknown
from florin.providers.sandbox.rules import Timings
from florin.providers.sandbox.server import MAX_BODY_BYTES, sandbox_app
from florin.providers.sandbox.wire import charge_json
from tests.providers.sandbox.conftest import (
    KEYS,
    TIMINGS,
    QuickSandbox,
    make_charge,
    over_http,
    serving,
    stats,
)


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """Speaks to a sandbox as its platform does."""
    async with (
        serving(QuickSandbox(sandbox_app(keys=KEYS, timings=TIMINGS))) as url,
        httpx.AsyncClient(
            base_url=url, headers={"authorization": f"Bearer {KEYS.api_key}"}, trust_env=False
        ) as made,
    ):
        yield made


async def post_charge(client: httpx.AsyncClient, reference: str, **changes: Any) -> httpx.Response:
    body = charge_json(make_charge()) | changes
    return await client.post("/charges", json=body, headers={"idempotency-key": reference})


async def test_the_stats_prove_that_nothing_was_charged_twice(client: httpx.AsyncClient) -> None:
    for _ in range(3):
        assert (await post_charge(client, "att_a", amount_minor=500)).status_code == 200
    await post_charge(client, "att_b", amount_minor=30, method={"type": "card", "token": "tok_declined"})
    told = (await client.get("/stats")).json()
    assert told["charges"] == 2
    assert told["charge_requests"] == 4
    assert told["charges_by_status"] == {"succeeded": 1, "failed": 1}
    assert told["taken_minor"] == {"USD": 500}
    assert [(line["reference"], line["requests"]) for line in told["newest"]] == [("att_b", 1), ("att_a", 3)]


async def test_a_time_out_before_the_charge_is_not_in_the_stats_and_one_after_it_is() -> None:
    async with over_http() as form:
        for token in ("tok_timeout_before", "tok_timeout_after"):
            with pytest.raises(OutcomeUnknown, match="ReadTimeout"):
                await form.provider.charge(make_charge(token, reference=f"att_{token}"))
        told = await stats(form.url)
    assert [line["reference"] for line in told["newest"]] == ["att_tok_timeout_after"]
    assert told["taken_minor"] == {"USD": 1000}


async def test_a_reference_used_for_another_charge_is_409(client: httpx.AsyncClient) -> None:
    await post_charge(client, "att_a", amount_minor=500)
    answer = await post_charge(client, "att_a", amount_minor=501)
    assert (answer.status_code, answer.json()["code"]) == (409, "reference_reused")


@pytest.mark.parametrize("headers", [{"authorization": ""}, {"authorization": "Bearer wrong"}])
@pytest.mark.parametrize("path", ["/stats", "/charges/att_a", "/openapi.json", "/operations/re_a"])
async def test_without_the_key_nothing_is_told(
    client: httpx.AsyncClient, headers: dict[str, str], path: str
) -> None:
    answer = await client.get(path, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"amount_minor": 0}, "amount_minor"),
        ({"amount_minor": -1}, "amount_minor"),
        ({"amount_minor": 1.5}, "amount_minor"),
        ({"amount_minor": "10"}, "amount_minor"),
        ({"amount_minor": 10**30}, "amount_minor"),
        ({"currency": "usd"}, "currency"),
        ({"method": {"type": "card", "pan": "x"}}, "method.pan"),
        ({"return_url": "javascript:alert(1)"}, "return_url"),
        ({"created_at": "2026-01-01T00:00:00"}, "created_at"),
        ({"surprise": 1}, "surprise"),
    ],
)
async def test_a_bad_charge_is_refused_by_field_and_not_echoed(
    client: httpx.AsyncClient, changes: dict[str, Any], field: str
) -> None:
    answer = await post_charge(client, "att_a", **changes)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "invalid_request")
    assert f"body.{field}: " in problem["message"]
    assert "javascript" not in problem["message"]
    assert (await client.get("/stats")).json()["charges"] == 0


@pytest.mark.parametrize("reference", ["", "a b", "x" * 256, "a/b"])
async def test_a_reference_that_fits_no_path_is_refused(client: httpx.AsyncClient, reference: str) -> None:
    assert (await post_charge(client, reference)).status_code == 422


async def test_a_charge_without_a_reference_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/charges", json=charge_json(make_charge()))
    assert answer.status_code == 422
    assert "Idempotency-Key" in answer.json()["message"]


async def test_a_body_too_large_or_of_unknown_size_is_refused(client: httpx.AsyncClient) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"{}"

    assert (await client.post("/charges", content=b" " * (MAX_BODY_BYTES + 1))).status_code == 413
    assert (await client.post("/charges", content=pieces())).status_code == 411


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 422, "invalid_request"),
        (b"{", 422, "invalid_request"),
        (b"[]", 422, "invalid_request"),
        (b"\xff", 400, "bad_request"),
    ],
)
async def test_json_that_is_none_is_refused(
    client: httpx.AsyncClient, body: bytes, status: int, code: str
) -> None:
    headers = {"idempotency-key": "att_a", "content-type": "application/json"}
    answer = await client.post("/charges", content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_what_was_never_heard_of_says_so_by_code(client: httpx.AsyncClient) -> None:
    assert (await client.get("/charges/att_none")).json()["code"] == "unknown_charge"
    assert (await client.get("/operations/re_none")).json()["code"] == "unknown_operation"
    cancel = await client.post("/charges/att_none/cancel", headers={"idempotency-key": "can_1"})
    assert (cancel.status_code, cancel.json()["code"]) == (404, "unknown_charge")


async def test_the_redirect_leads_to_the_public_url_when_there_is_one() -> None:
    app = sandbox_app(keys=KEYS, public_url="https://bank.test/sandbox/")
    async with serving(QuickSandbox(app)) as url, httpx.AsyncClient(base_url=url, trust_env=False) as client:
        client.headers["authorization"] = f"Bearer {KEYS.api_key}"
        answer = await post_charge(client, "att_a", method={"type": "card", "token": "tok_3ds"})
    assert answer.json()["redirect_url"] == "https://bank.test/sandbox/redirect/att_a"


async def test_a_server_that_stops_lets_go_of_what_it_left_unanswered() -> None:
    loop = asyncio.get_running_loop()
    app = sandbox_app(keys=KEYS, timings=Timings(unanswered_s=60))
    async with httpx.AsyncClient(trust_env=False) as client:
        client.headers["authorization"] = f"Bearer {KEYS.api_key}"
        async with serving(QuickSandbox(app)) as url:
            client.base_url = httpx.URL(url)
            method = {"type": "card", "token": "tok_timeout_after"}
            call = asyncio.create_task(post_charge(client, "att_a", method=method))
            while (await client.get("/charges/att_a")).status_code == 404:  # noqa: ASYNC110, no event to wait on
                await asyncio.sleep(0.01)
            started = loop.time()
        assert loop.time() - started < 3
        assert (await call).status_code == 504

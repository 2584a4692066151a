import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from time import monotonic

import pytest

from florin.cli.replay.client import Api, _retry_after_s
from florin.cli.replay.errors import Interrupted, KeyRefused, UnknownAnswer, Unreachable
from tests.cli.replay.fake_florin import KEY, FakeFlorin

PAYMENT = {"amount": 500, "currency": "GBP"}


@pytest.fixture
async def api(florin: FakeFlorin) -> AsyncIterator[Api]:
    async with Api(
        florin.url, KEY, concurrency=4, stop=asyncio.Event(), attempts=4, backoff_s=0.001
    ) as opened:
        yield opened


async def test_an_answer_tells_new_from_replayed(api: Api) -> None:
    first = await api.post("/v1/payments", PAYMENT, "k")
    again = await api.post("/v1/payments", PAYMENT, "k")
    assert (first.ok, first.replayed, again.replayed) == (True, False, True)
    assert first.body["id"] == again.body["id"]
    assert first.latency_s > 0


async def test_a_refusal_is_an_answer_with_its_code(api: Api) -> None:
    await api.post("/v1/payments", PAYMENT, "k")
    answer = await api.post("/v1/payments", PAYMENT | {"amount": 1}, "k")
    assert (answer.ok, answer.status, answer.code) == (False, 422, "idempotency_key_reused")


async def test_503_is_retried_with_the_same_key(florin: FakeFlorin, api: Api) -> None:
    florin.faults.extend([503, 503, 503])
    answer = await api.post("/v1/payments", PAYMENT, "k")
    assert (answer.ok, answer.replayed, answer.retried) == (True, False, True)
    assert florin.effects["/v1/payments"] == 1


async def test_a_cut_connection_after_the_effect_has_it_once(florin: FakeFlorin, api: Api) -> None:
    florin.faults.append("cut")
    answer = await api.post("/v1/payments", PAYMENT, "k")
    assert (answer.ok, answer.replayed, answer.retried) == (True, True, True)
    assert florin.effects["/v1/payments"] == 1


async def test_after_all_attempts_the_api_is_unreachable(florin: FakeFlorin, api: Api) -> None:
    florin.faults.extend([503] * 4)
    with pytest.raises(Unreachable, match=r"4 attempts: HTTP 503 unavailable"):
        await api.post("/v1/payments", PAYMENT, "k")


async def test_429_holds_every_call_back_as_long_as_it_says(florin: FakeFlorin, api: Api) -> None:
    florin.retry_after = "1"
    florin.faults.append(429)
    started = monotonic()
    first = asyncio.create_task(api.post("/v1/payments", PAYMENT, "a"))
    while florin.faults:  # noqa: ASYNC110 - the fake is in another thread
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    second = await api.post("/v1/payments", PAYMENT, "b")
    assert monotonic() - started >= 1
    assert second.ok
    assert (await first).ok
    assert not (await first).retried  # 429 did nothing, so there is no doubt about its effect


async def test_429_for_longer_than_anyone_waits_is_an_error(florin: FakeFlorin, api: Api) -> None:
    florin.retry_after = "4000"
    florin.faults.append(429)
    with pytest.raises(KeyRefused, match="rate limit is used up for the next 4000 s"):
        await api.post("/v1/payments", PAYMENT, "k")


async def test_stop_ends_a_wait(florin: FakeFlorin, api: Api) -> None:
    florin.retry_after = "100"
    florin.faults.append(429)
    call = asyncio.create_task(api.post("/v1/payments", PAYMENT, "k"))
    while florin.faults:  # noqa: ASYNC110 - the fake is in another thread
        await asyncio.sleep(0.01)
    api.stop.set()
    with pytest.raises(Interrupted):
        await call


async def test_every_walks_all_pages_once(florin: FakeFlorin, api: Api) -> None:
    for number in range(205):
        florin.account(f"berka:{number}", "liability", "CZK")
    florin.account("other:1", "liability", "CZK")
    codes = [item["code"] async for item in api.every("/v1/accounts", {"code_prefix": "berka:"})]
    assert len(codes) == len(set(codes)) == 205


async def test_an_api_that_is_not_florin_is_named(florin: FakeFlorin, api: Api) -> None:
    with pytest.raises(UnknownAnswer, match="GET /v1/nothing answered http_404"):
        await api.get("/v1/nothing")


async def test_a_bad_key_is_refused_once_and_for_all(florin: FakeFlorin) -> None:
    async with Api(florin.url, "fl_test_wrong", concurrency=1, stop=asyncio.Event()) as api:
        with pytest.raises(KeyRefused, match="The unauthenticated detail"):
            await api.post("/v1/payments", PAYMENT, "k")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1", "nonsense", "ftp://127.0.0.1", "http://", "http://127.0.0.1:99999"]
)
async def test_a_probe_of_nothing_says_so_at_once(url: str) -> None:
    async with Api(url, KEY, concurrency=1, stop=asyncio.Event()) as api:
        with pytest.raises(Unreachable):
            await api.probe("/v1/trial-balance")


def test_retry_after_is_seconds_or_a_date() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert _retry_after_s("7") == 7
    assert 28 < _retry_after_s(soon) <= 30
    assert _retry_after_s("") == _retry_after_s("soon") == 0
    assert _retry_after_s("Wed, 21 Oct 2015 07:28:00 GMT") == 0

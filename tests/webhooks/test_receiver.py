import httpx
import orjson
import pytest

from florin.kernel.clock import now
from florin.webhooks.receiver import Receiver
from florin.webhooks.signing import headers, new_secret


async def post(receiver: Receiver, secret: str, event: dict[str, object], path: str = "/") -> httpx.Response:
    body = orjson.dumps(event).decode()
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=receiver.app), base_url="http://r"
    ) as client:
        return await client.post(path, content=body, headers=headers("evt_1", now(), body, [secret]))


async def get(receiver: Receiver, path: str) -> httpx.Response:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=receiver.app), base_url="http://r"
    ) as client:
        return await client.get(path)


async def test_a_webhook_that_verifies_is_remembered_and_shown() -> None:
    secret = new_secret()
    receiver = Receiver([secret])
    assert (await post(receiver, secret, {"type": "a.b", "note": "<script>"})).status_code == 204
    shown = (await get(receiver, "/webhooks")).json()
    assert shown["data"][0]["event"] == {"type": "a.b", "note": "<script>"}
    page = (await get(receiver, "/")).text
    assert "a.b" in page and "&lt;script&gt;" in page and "<script>" not in page


async def test_another_secret_or_no_signature_is_refused() -> None:
    receiver = Receiver([new_secret()])
    assert (await post(receiver, new_secret(), {"type": "a.b"})).status_code == 401
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=receiver.app), base_url="http://r"
    ) as client:
        assert (await client.post("/", content=b"{}")).status_code == 401
    assert (receiver.verified, receiver.refused, len(receiver.received)) == (0, 2, 0)


async def test_it_remembers_no_more_than_it_was_told() -> None:
    secret = new_secret()
    receiver = Receiver([secret], remember=3)
    for n in range(5):
        await post(receiver, secret, {"type": "a.b", "n": n})
    assert [one["event"]["n"] for one in receiver.received] == [2, 3, 4]


async def test_it_fails_as_told_and_then_no_more() -> None:
    secret = new_secret()
    receiver = Receiver([secret])
    told = await post(receiver, secret, {"statuses": [500, 429], "retry_after": "7"}, "/fail")
    assert told.json() == {"next": [500, 429]}
    answers = [await post(receiver, secret, {"type": "a.b"}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [500, 429, 204]
    assert answers[1].headers["retry-after"] == "7"


@pytest.mark.parametrize("wish", [{}, {"statuses": 500}, {"statuses": [99]}, {"statuses": ["x"]}])
async def test_a_wish_that_cannot_be_met_is_refused(wish: dict[str, object]) -> None:
    assert (await post(Receiver([]), new_secret(), wish, "/fail")).status_code == 422

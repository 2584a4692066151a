"""The API of endpoints and deliveries, through the gate."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.responses import Response

from florin.kernel.clock import now, rfc3339
from florin.kernel.errors import Refusal
from florin.kernel.http.call import Principal, Rooms
from florin.kernel.http.gate import Gate, Headers
from florin.kernel.http.problem import MEDIA_TYPE, from_validation, render
from florin.kernel.ids import encode_id, new_id
from florin.kernel.outbound import Confinement
from florin.webhooks.http import router
from florin.webhooks.service import Webhooks
from tests.webhooks.conftest import World

PUBLIC = "https://shop.example/hooks"


@dataclass
class Keys:
    """Whoever calls says who they are."""

    tenant_id: int
    scopes: frozenset[str] = frozenset({"webhooks:*"})

    async def authenticate(self, headers: Mapping[bytes, bytes], address: str | None) -> Principal:
        partner = headers.get(b"x-partner")
        partner_id = None if partner is None else UUID(partner.decode())
        return Principal(self.tenant_id, partner_id, uuid4(), self.scopes, live=False)

    async def admit_stranger(self, address: str | None) -> Headers:
        return []

    async def admit(self, principal: Principal) -> Headers:
        assert principal.tenant_id == self.tenant_id
        return []


def application(webhooks: Webhooks, keys: Keys) -> Gate:
    app = FastAPI()
    app.include_router(router)

    async def refused(request: Request, error: Exception) -> Response:
        if isinstance(error, RequestValidationError):
            error = from_validation(error.errors(), drop=1)
        assert isinstance(error, Refusal)
        body = render(error, request.scope["florin.request_id"])
        return Response(body, int(error.status), media_type=MEDIA_TYPE)

    app.add_exception_handler(Refusal, refused)
    app.add_exception_handler(RequestValidationError, refused)
    rooms = Rooms()
    rooms.add(webhooks)
    return Gate(app, routes=app.routes, rooms=rooms, authenticator=keys, limiter=keys, max_body_bytes=100_000)


@pytest.fixture
async def api(webhooks: Webhooks, tenant_id: int) -> AsyncIterator[httpx.AsyncClient]:
    """A tenant's client whose webhooks are confined to the public internet."""
    confined = Webhooks(webhooks.database, webhooks.notifier, webhooks.keys, Confinement())
    transport = httpx.ASGITransport(app=application(confined, Keys(tenant_id)))
    async with httpx.AsyncClient(transport=transport, base_url="http://florin/v1") as client:
        yield client


@pytest.fixture
async def open_api(world: World) -> AsyncIterator[httpx.AsyncClient]:
    """The client of a tenant whose receiver is on loopback."""
    transport = httpx.ASGITransport(app=application(world.webhooks, Keys(world.tenant_id)))
    async with httpx.AsyncClient(transport=transport, base_url="http://florin/v1") as client:
        yield client


async def make(api: httpx.AsyncClient, partner: UUID | None = None, **body: Any) -> dict[str, Any]:
    """A new endpoint, as the API shows it."""
    headers = {} if partner is None else {"x-partner": str(partner)}
    answer = await api.post(
        "/webhook-endpoints", json={"url": PUBLIC, "events": ["*"], **body}, headers=headers
    )
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def test_the_secret_is_shown_at_creation_and_never_again(api: httpx.AsyncClient) -> None:
    made = await make(api, events=["payment.*", "payment.*"], description="shop", max_in_flight=8)
    assert made.pop("secret").startswith("whsec_")
    assert made["events"] == ["payment.*"]
    assert (made["status"], made["description"], made["max_in_flight"]) == ("enabled", "shop", 8)
    shown = await api.get(f"/webhook-endpoints/{made['id']}")
    assert shown.json() == made
    listed = await api.get("/webhook-endpoints")
    assert listed.json() == {"data": [made], "has_more": False}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"events": ["*"]}, "url"),
        ({"url": PUBLIC}, "events"),
        ({"url": PUBLIC, "events": []}, "events"),
        ({"url": PUBLIC, "events": ["*"] * 101}, "events"),
        ({"url": PUBLIC, "events": ["Payment.*"]}, "events"),
        ({"url": PUBLIC, "events": [7]}, "events[0]"),
        ({"url": PUBLIC, "events": "*"}, "events"),
        ({"url": 7, "events": ["*"]}, "url"),
        ({"url": "http://shop.example/", "events": ["*"]}, "url"),
        ({"url": "https://127.0.0.1/", "events": ["*"]}, "url"),
        ({"url": "https://shop.example:25/", "events": ["*"]}, "url"),
        ({"url": "https://x.example/" + "x" * 2000, "events": ["*"]}, "url"),
        ({"url": PUBLIC + "\x00", "events": ["*"]}, "url"),
        ({"url": PUBLIC, "events": ["*"], "description": "a\x00b"}, "description"),
        ({"url": PUBLIC, "events": ["*"], "description": "x" * 501}, "description"),
        ({"url": PUBLIC, "events": ["*"], "max_in_flight": 0}, "max_in_flight"),
        ({"url": PUBLIC, "events": ["*"], "max_in_flight": 51}, "max_in_flight"),
        ({"url": PUBLIC, "events": ["*"], "max_in_flight": 2.0}, "max_in_flight"),
        ({"url": PUBLIC, "events": ["*"], "include_partners": 1}, "include_partners"),
        ({"url": PUBLIC, "events": ["*"], "secret": "mine"}, "secret"),
    ],
)
async def test_a_bad_endpoint_is_refused_by_field_and_nothing_is_written(
    api: httpx.AsyncClient, body: dict[str, Any], param: str
) -> None:
    answer = await api.post("/webhook-endpoints", json=body)
    assert (answer.status_code, answer.json()["param"]) == (422, param), answer.text
    assert (await api.get("/webhook-endpoints")).json()["data"] == []


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"url": None}, "url"),
        ({"events": None}, "events"),
        ({"status": None}, "status"),
        ({"status": "broken"}, "status"),
        ({"max_in_flight": None}, "max_in_flight"),
        ({"url": "http://10.0.0.1/"}, "url"),
        ({"partner_id": None}, "partner_id"),
    ],
)
async def test_a_bad_change_is_refused_by_field_and_changes_nothing(
    api: httpx.AsyncClient, body: dict[str, Any], param: str
) -> None:
    made = await make(api)
    answer = await api.patch(f"/webhook-endpoints/{made['id']}", json=body)
    assert (answer.status_code, answer.json()["param"]) == (422, param), answer.text
    shown = (await api.get(f"/webhook-endpoints/{made['id']}")).json()
    assert shown["updated_at"] == made["updated_at"]


async def test_what_is_given_changes_and_the_rest_stays(api: httpx.AsyncClient) -> None:
    made = await make(api, description="shop")
    path = f"/webhook-endpoints/{made['id']}"
    changed = (await api.patch(path, json={"events": ["refund.*"], "description": None})).json()
    assert (changed["events"], changed["description"], changed["url"]) == (["refund.*"], None, PUBLIC)
    assert changed["updated_at"] > made["updated_at"]


async def test_deleting_disables_and_enabling_starts_afresh(api: httpx.AsyncClient) -> None:
    path = f"/webhook-endpoints/{(await make(api))['id']}"
    for _ in range(2):
        deleted = await api.delete(path)
        assert deleted.json()["status"] == "disabled"
        assert deleted.json()["disabled_reason"] == "requested"
    refused = await api.post(path + "/test")
    assert (refused.status_code, refused.json()["code"]) == (409, "webhook_endpoint_disabled")
    enabled = (await api.patch(path, json={"status": "enabled"})).json()
    assert (enabled["status"], enabled["disabled_reason"], enabled["disabled_at"]) == ("enabled", None, None)


async def test_partners_see_and_change_only_their_own(api: httpx.AsyncClient) -> None:
    mine, theirs = uuid4(), uuid4()
    endpoint = await make(api, mine)
    await make(api)
    path = f"/webhook-endpoints/{endpoint['id']}"
    foreign = {"x-partner": str(theirs)}
    for answer in (
        await api.get(path, headers=foreign),
        await api.patch(path, json={"description": "x"}, headers=foreign),
        await api.delete(path, headers=foreign),
        await api.post(path + "/test", headers=foreign),
        await api.post(path + "/rotate-secret", json={}, headers=foreign),
        await api.get(path + "/deliveries", headers=foreign),
        await api.post(path + "/replay", json={"since": rfc3339(now())}, headers=foreign),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "webhook_endpoint_not_found")
    assert (await api.get("/webhook-endpoints", headers=foreign)).json()["data"] == []
    own = (await api.get("/webhook-endpoints", headers={"x-partner": str(mine)})).json()["data"]
    assert [one["id"] for one in own] == [endpoint["id"]]
    assert len((await api.get("/webhook-endpoints")).json()["data"]) == 2
    wish = {"url": PUBLIC, "events": ["*"], "include_partners": True}
    refused = await api.post("/webhook-endpoints", json=wish, headers=foreign)
    assert (refused.status_code, refused.json()["param"]) == (422, "include_partners")


async def test_pages_end(api: httpx.AsyncClient) -> None:
    made = [(await make(api))["id"] for _ in range(5)]
    seen: list[str] = []
    while True:
        after = {"starting_after": seen[-1]} if seen else {}
        answer = (await api.get("/webhook-endpoints", params={"limit": 2, **after})).json()
        seen += [one["id"] for one in answer["data"]]
        if not answer["has_more"]:
            break
    assert seen == made[::-1]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=x", "starting_after=we_1", "starting_after=x"]
)
async def test_bad_pages_are_refused(api: httpx.AsyncClient, query: str) -> None:
    answer = await api.get(f"/webhook-endpoints?{query}")
    assert (answer.status_code, answer.json()["param"]) == (422, query.partition("=")[0])


async def test_unknown_and_malformed_ids(api: httpx.AsyncClient) -> None:
    for path in (
        "/webhook-endpoints/" + encode_id("we", new_id()),
        "/webhook-deliveries/" + encode_id("whd", new_id()),
    ):
        assert (await api.get(path)).status_code == 404
    for path in ("/webhook-endpoints/we_x", "/webhook-endpoints/" + encode_id("pay", new_id())):
        assert (await api.get(path)).status_code == 422


async def test_a_fifty_first_endpoint_is_refused(api: httpx.AsyncClient) -> None:
    for _ in range(50):
        await make(api)
    answer = await api.post("/webhook-endpoints", json={"url": PUBLIC, "events": ["*"]})
    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_webhook_endpoints")


async def test_an_eleventh_secret_is_refused(api: httpx.AsyncClient) -> None:
    path = f"/webhook-endpoints/{(await make(api))['id']}/rotate-secret"
    for _ in range(9):
        assert (await api.post(path, json={"overlap_hours": 1})).json()["secret"].startswith("whsec_")
    refused = await api.post(path, json={"overlap_hours": 1})
    assert (refused.status_code, refused.json()["code"]) == (409, "too_many_webhook_secrets")
    assert (await api.post(path, json={"overlap_hours": 0})).status_code == 200  # the former ones end at once
    for hours in (-1, 169, 1.5, "1"):
        answer = await api.post(path, json={"overlap_hours": hours})
        assert (answer.status_code, answer.json()["param"]) == (422, "overlap_hours")


async def test_scopes_are_asked_for(webhooks: Webhooks, tenant_id: int) -> None:
    app = application(webhooks, Keys(tenant_id, frozenset({"webhooks:read"})))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://florin/v1") as api:
        assert (await api.get("/webhook-endpoints")).status_code == 200
        refused = await api.post("/webhook-endpoints", json={"url": PUBLIC, "events": ["*"]})
        assert (refused.status_code, refused.json()["scope"]) == (403, "webhooks:write")


async def test_a_test_event_reaches_its_endpoint_alone(world: World, open_api: httpx.AsyncClient) -> None:
    endpoint = await world.endpoint("payment.*")
    await world.endpoint("*")
    sent = await open_api.post(f"/webhook-endpoints/{encode_id('we', endpoint.id)}/test")
    assert sent.status_code == 202
    async with world.delivering():
        await world.settled()
    assert [one["type"] for one in world.receiver.received] == ["webhook.test"]
    shown = (await open_api.get(f"/webhook-deliveries/{sent.json()['id']}")).json()
    assert (shown["status"], shown["event_type"], shown["attempt_count"]) == ("delivered", "webhook.test", 1)
    (attempt,) = shown["attempts"]
    assert (attempt["status_code"], attempt["error"], attempt["url"]) == (204, None, world.url)
    assert attempt["duration_ms"] >= 0
    assert attempt["started_at"] <= shown["finished_at"]


async def test_deliveries_are_listed_by_status_and_page(world: World, open_api: httpx.AsyncClient) -> None:
    endpoint = await world.endpoint()
    world.receiver.answer_next(*[500] * 10)
    about = uuid4()
    events = [encode_id("evt", await world.happen(about=about)) for _ in range(4)]
    async with world.delivering():
        await world.settled()
    path = f"/webhook-endpoints/{encode_id('we', endpoint.id)}/deliveries"
    first = (await open_api.get(path, params={"limit": 3})).json()
    rest = (await open_api.get(path, params={"starting_after": first["data"][-1]["id"]})).json()
    assert [one["event_id"] for one in first["data"] + rest["data"]] == events[::-1]
    assert (first["has_more"], rest["has_more"]) == (True, False)
    failed = (await open_api.get(path, params={"status": "failed"})).json()["data"]
    assert [one["event_id"] for one in failed] == events[:1]
    assert (await open_api.get(path, params={"status": "lost"})).status_code == 422


async def test_a_retry_puts_an_ended_delivery_in_line_again(
    world: World, open_api: httpx.AsyncClient
) -> None:
    endpoint = await world.endpoint()
    await world.happen()
    async with world.delivering():
        await world.settled()
    listed = await open_api.get(f"/webhook-endpoints/{encode_id('we', endpoint.id)}/deliveries")
    path = f"/webhook-deliveries/{listed.json()['data'][0]['id']}"
    again = await open_api.post(path + "/retry")
    assert (again.status_code, again.json()["status"], again.json()["attempt_count"]) == (202, "pending", 0)
    foreign = await open_api.post(path + "/retry", headers={"x-partner": str(uuid4())})
    assert foreign.status_code == 404
    async with world.delivering():
        await world.settled()
    assert len({one["id"] for one in world.receiver.received}) == 1
    assert len((await open_api.get(path)).json()["attempts"]) == world.receiver.verified == 2


async def test_a_delivery_behind_another_cannot_be_hurried(world: World, open_api: httpx.AsyncClient) -> None:
    endpoint = await world.endpoint()
    about = uuid4()
    for _ in range(2):
        await world.happen(about=about)
    async with world.webhooks.database.tenant(world.tenant_id) as connection:
        await connection.execute("SELECT webhooks.fan_out(%s, now(), 10)", (world.tenant_id,))
    listed = await open_api.get(f"/webhook-endpoints/{encode_id('we', endpoint.id)}/deliveries")
    behind, first = listed.json()["data"]
    assert behind["next_attempt_at"] is None and first["next_attempt_at"] is not None
    refused = await open_api.post(f"/webhook-deliveries/{behind['id']}/retry")
    assert (refused.status_code, refused.json()["code"]) == (409, "webhook_delivery_waits")
    assert (await open_api.post(f"/webhook-deliveries/{first['id']}/retry")).status_code == 202


async def test_a_replay_sends_what_was_missed_in_order(world: World, open_api: httpx.AsyncClient) -> None:
    began = rfc3339(now() - timedelta(seconds=1))
    endpoint = await world.endpoint("thing.*")
    path = f"/webhook-endpoints/{encode_id('we', endpoint.id)}"
    about = uuid4()
    before = await world.happen(about=about)
    async with world.delivering():
        await world.settled()
    await open_api.delete(path)
    missed = [await world.happen(about=about) for _ in range(3)]
    await world.happen("other.made")
    async with world.delivering():
        await world.settled()
    assert world.receiver.verified == 1
    refused = await open_api.post(path + "/replay", json={"since": began})
    assert (refused.status_code, refused.json()["code"]) == (409, "webhook_endpoint_disabled")
    await open_api.patch(path, json={"status": "enabled"})
    done = await open_api.post(path + "/replay", json={"since": began})
    assert (done.status_code, done.json()) == (202, {"queued": 3, "next_since": None})
    async with world.delivering():
        await world.settled()
    assert [one["id"] for one in world.receiver.received][1:] == [encode_id("evt", one) for one in missed]
    everything = await open_api.post(path + "/replay", json={"since": began, "include_delivered": True})
    assert everything.json()["queued"] == 4
    async with world.delivering():
        await world.settled()
    assert [one["id"] for one in world.receiver.received][4:] == [
        encode_id("evt", one) for one in (before, *missed)
    ]


@pytest.mark.parametrize(
    "since",
    ["2026-11-20", "soon", None, "2020-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "2026-11-20T00:00:00"],
)
async def test_a_replay_needs_an_instant_of_the_last_30_days(api: httpx.AsyncClient, since: Any) -> None:
    path = f"/webhook-endpoints/{(await make(api))['id']}/replay"
    answer = await api.post(path, json={"since": since})
    assert (answer.status_code, answer.json()["param"]) == (422, "since")

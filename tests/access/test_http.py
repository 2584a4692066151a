"""/v1/api-keys and the gate in front of everything."""

from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from florin.access import http as access_http
from florin.access.model import generate
from florin.access.service import Access, create_key
from florin.kernel.ids import encode_id, new_id
from florin.kernel.permissions import PERMISSIONS
from florin.tenancy.http import business_units, config, customers, partners, tenant, usage
from florin.tenancy.model import Partner, Tenant
from florin.tenancy.service import Tenancy
from tests.tenancy.conftest import Api, application
from tests.tenancy.http.test_endpoints import made, problem

Twins = tuple[Tenant, Tenant]


async def test_a_secret_is_shown_once_and_works(api: Api, client: httpx.AsyncClient) -> None:
    key = await made(api, "api-keys", {"name": "shop", "scopes": ["tenancy:read"]})
    assert key["secret"].startswith(key["prefix"])
    assert key["live"] is True
    assert key["limits"] == {"per_minute": 1_000, "per_hour": 10_000, "per_day": 100_000}
    assert (await Api(client, key["secret"])("GET", "tenant")).status_code == 200
    for path in (f"api-keys/{key['id']}", "api-keys"):
        assert key["secret"] not in (await api("GET", path)).text
    shown = (await api("GET", f"api-keys/{key['id']}")).json()
    assert {**shown, "secret": key["secret"]} == key


async def test_a_key_does_what_its_scopes_say_and_no_more(api: Api, client: httpx.AsyncClient) -> None:
    key = await made(api, "api-keys", {"name": "reader", "scopes": ["tenancy:read"]})
    reader = Api(client, key["secret"])
    assert (await reader("GET", "partners")).status_code == 200
    body = {"name": "P", "email": "p@shop.example"}
    assert (await problem(reader, "POST", "partners", body))[:2] == (403, "forbidden")
    assert (await problem(reader, "GET", "api-keys"))[:2] == (403, "forbidden")


async def test_a_revoked_key_is_refused_and_a_rotated_one_has_a_successor(
    api: Api, client: httpx.AsyncClient
) -> None:
    old = await made(api, "api-keys", {"name": "k", "scopes": ["keys:read"], "limits": {"per_day": None}})
    new = await made(api, f"api-keys/{old['id']}/rotate", {"overlap_hours": 1})
    assert (new["rotated_from"], new["scopes"], new["limits"]) == (old["id"], old["scopes"], old["limits"])
    for key in (old, new):
        assert (await Api(client, key["secret"])("GET", "api-keys")).status_code == 200
    assert (await problem(api, "POST", f"api-keys/{old['id']}/rotate"))[:2] == (
        409,
        "api_key_already_rotated",
    )
    revoked = (await api("POST", f"api-keys/{new['id']}/revoke")).json()
    assert revoked["revoked_at"] is not None
    assert (await problem(Api(client, new["secret"]), "GET", "api-keys"))[:2] == (401, "unauthenticated")
    assert (await problem(api, "POST", f"api-keys/{new['id']}/rotate", {}))[:2] == (409, "api_key_ended")


async def test_without_a_key_the_answer_names_the_scheme(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/tenant")
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"name": "k", "scopes": ["payments:destroy"]}, 422, "scopes"),
        ({"name": "k", "scopes": []}, 422, "scopes"),
        ({"name": "k", "scopes": ["*"], "live": True}, 422, "live"),
        ({"name": "", "scopes": ["*"]}, 422, "name"),
        ({"name": "k", "scopes": ["*"], "limits": {"per_minute": 0}}, 422, "limits.per_minute"),
        ({"name": "k", "scopes": ["*"], "limits": {"per_minute": 1.5}}, 422, "limits.per_minute"),
        ({"name": "k", "scopes": ["*"], "limits": {"per_week": 1}}, 422, "limits.per_week"),
        ({"name": "k", "scopes": ["*"], "expires_at": "2020-01-01T00:00:00Z"}, 422, "expires_at"),
        ({"name": "k", "scopes": ["*"], "expires_at": "9999-12-31T23:59:59-14:00"}, 422, "expires_at"),
        ({"name": "k", "scopes": ["*"], "partner_id": encode_id("ptnr", new_id())}, 422, "partner_id"),
        ({"name": "k", "scopes": ["*"], "allowed_addresses": ["10.0.0.1/8"]}, 422, "allowed_addresses[0]"),
        ({"name": "k", "scopes": ["*"], "allowed_addresses": ["shop"]}, 422, "allowed_addresses[0]"),
        ({"name": "k", "scopes": ["*"], "allowed_addresses": ["::1"] * 51}, 422, "allowed_addresses"),
        ({"name": "k", "scopes": ["platform:read"]}, 403, "scopes"),
    ],
)
async def test_a_wrong_key_is_refused_by_field(
    api: Api, body: dict[str, Any], status: int, field: str
) -> None:
    assert (await problem(api, "POST", "api-keys", body))[::2] == (status, field)


async def test_a_weaker_key_makes_none_that_is_stronger(api: Api, client: httpx.AsyncClient) -> None:
    key = await made(api, "api-keys", {"name": "minter", "scopes": ["keys:write", "keys:read"]})
    minter = Api(client, key["secret"])
    for scopes in (["*"], ["keys:write", "ledger:write"]):
        answer = await problem(minter, "POST", "api-keys", {"name": "k", "scopes": scopes})
        assert answer == (403, "beyond_own_scopes", "scopes")
    strong = (await api("GET", "api-keys")).json()["data"][-1]
    assert strong["scopes"] == ["*"]
    answer = await problem(minter, "POST", f"api-keys/{strong['id']}/rotate")
    assert answer[:2] == (403, "beyond_own_scopes")
    await made(minter, "api-keys", {"name": "k", "scopes": ["keys:read"]})


async def test_a_partners_key_makes_and_sees_keys_of_its_own_only(
    api: Api, partner_api: Api, other_api: Api, partner: Partner
) -> None:
    own_id = encode_id("ptnr", partner.id)
    tenants = (await api("GET", "api-keys")).json()["data"]
    strangers = [key["id"] for key in tenants if key["partner_id"] is None]
    key = await made(partner_api, "api-keys", {"name": "second", "scopes": ["payments:read"]})
    assert key["partner_id"] == own_id
    listed = (await partner_api("GET", "api-keys")).json()["data"]
    assert {k["partner_id"] for k in listed} == {own_id}
    for path in (f"api-keys/{strangers[0]}", f"api-keys/{strangers[0]}/revoke"):
        method = "POST" if path.endswith("revoke") else "GET"
        assert (await problem(partner_api, method, path))[:2] == (404, "api_key_not_found")
        assert (await problem(other_api, method, path))[:2] == (404, "api_key_not_found")
    other = encode_id("ptnr", new_id())
    body = {"name": "k", "scopes": ["payments:read"], "partner_id": other}
    assert (await problem(partner_api, "POST", "api-keys", body))[::2] == (403, "partner_id")
    assert (await partner_api("GET", "api-keys", partner_id=other)).json()["data"] == []
    freer = {"name": "k", "scopes": ["payments:read"], "limits": {"per_minute": None}}
    assert (await problem(partner_api, "POST", "api-keys", freer))[:2] == (403, "limits_not_yours")


async def test_answers_carry_the_rate_limit_and_refusals_say_when_to_come_again(
    access: Access, client: httpx.AsyncClient, twins: Twins
) -> None:
    limited = await create_key(
        access,
        twins[0].tenant_id,
        name="k",
        scopes=["*"],
        limits={"per_minute": None, "per_hour": None, "per_day": 2},
    )
    api = Api(client, limited.secret)
    answers = [await api("GET", "tenant") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [answer.headers["ratelimit-remaining"] for answer in answers] == ["1", "0", "0"]
    assert {answer.headers["ratelimit-policy"] for answer in answers} == {'"day";q=2;w=86400'}
    assert 1 <= int(answers[2].headers["retry-after"]) <= 86_400
    assert answers[2].json()["code"] == "too_many_requests"


async def test_a_key_that_is_bound_to_addresses_gives_nobody_more_room(
    api: Api, client: httpx.AsyncClient
) -> None:
    bound = await made(
        api, "api-keys", {"name": "b", "scopes": ["keys:write"], "allowed_addresses": ["127.0.0.0/8"]}
    )
    free = await made(api, "api-keys", {"name": "f", "scopes": ["keys:write"]})
    its = Api(client, bound["secret"])
    new = {"name": "k", "scopes": ["keys:write"]}
    for wide in ([], ["126.0.0.0/7"], ["127.0.0.1", "::1"]):
        for method, path, body in (
            ("POST", "api-keys", {**new, "allowed_addresses": wide}),
            ("PATCH", f"api-keys/{bound['id']}", {"allowed_addresses": wide}),
        ):
            assert (await problem(its, method, path, body))[:2] == (403, "beyond_own_addresses")
    assert (await problem(its, "POST", f"api-keys/{free['id']}/rotate"))[:2] == (403, "beyond_own_addresses")
    assert (await its("POST", "api-keys", {**new, "allowed_addresses": ["127.0.0.1"]})).status_code == 201
    assert (await its("POST", f"api-keys/{bound['id']}/rotate")).status_code == 201


async def test_a_key_is_changed_field_by_field(api: Api, client: httpx.AsyncClient) -> None:
    key = await made(api, "api-keys", {"name": "k", "scopes": ["tenancy:read"], "limits": {"per_day": 9}})
    path = f"api-keys/{key['id']}"
    body = {"name": "new", "limits": {"per_day": None}, "allowed_addresses": ["::ffff:127.0.0.0/104", "::1"]}
    changed = (await api("PATCH", path, body)).json()
    assert changed["name"] == "new"
    assert changed["scopes"] == ["tenancy:read"]
    assert changed["limits"] == {"per_minute": 1_000, "per_hour": 10_000, "per_day": None}
    assert changed["allowed_addresses"] == ["127.0.0.0/8", "::1"]
    assert (await Api(client, key["secret"])("GET", "tenant")).status_code == 200
    await api("PATCH", path, {"allowed_addresses": ["192.0.2.7"]})
    assert (await problem(Api(client, key["secret"]), "GET", "tenant"))[:2] == (403, "address_not_allowed")
    emptied = (await api("PATCH", path, {"allowed_addresses": None})).json()
    assert emptied["allowed_addresses"] == []
    assert (await Api(client, key["secret"])("GET", "tenant")).status_code == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": None}, "name"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["payments:destroy"]}, "scopes"),
        ({"limits": None}, "limits"),
        ({"limits": {"per_day": 0}}, "limits.per_day"),
        ({"allowed_addresses": ["10.0.0.0/33"]}, "allowed_addresses[0]"),
        ({"expires_at": "2030-01-01T00:00:00Z"}, "expires_at"),
        ({"partner_id": None}, "partner_id"),
    ],
)
async def test_a_wrong_change_is_refused_by_field(api: Api, body: dict[str, Any], field: str) -> None:
    key = await made(api, "api-keys", {"name": "k", "scopes": ["*"]})
    path = f"api-keys/{key['id']}"
    assert (await problem(api, "PATCH", path, body))[::2] == (422, field)
    shown = (await api("GET", path)).json()
    assert {**shown, "secret": key["secret"]} == key


async def test_a_partner_changes_and_revokes_its_own_keys_within_its_limits(
    api: Api, partner_api: Api, other_api: Api
) -> None:
    own = await made(partner_api, "api-keys", {"name": "k", "scopes": ["payments:read"]})
    tenants = await made(api, "api-keys", {"name": "k", "scopes": ["payments:read"]})
    changed = (await partner_api("PATCH", f"api-keys/{own['id']}", {"name": "new"})).json()
    assert (changed["name"], changed["partner_id"]) == ("new", own["partner_id"])
    freer = {"limits": {"per_minute": None}}
    assert (await problem(partner_api, "PATCH", f"api-keys/{own['id']}", freer))[:2] == (
        403,
        "limits_not_yours",
    )
    for stranger, path in ((partner_api, tenants["id"]), (other_api, own["id"])):
        answer = await problem(stranger, "PATCH", f"api-keys/{path}", {"name": "mine"})
        assert answer[:2] == (404, "api_key_not_found")
    revoked = (await partner_api("POST", f"api-keys/{own['id']}/revoke", {"reason": "left"})).json()
    assert (revoked["status"], revoked["revoked_reason"]) == ("revoked", "left")
    assert revoked["revoked_by"].startswith("key_")
    assert (await problem(api, "PATCH", f"api-keys/{own['id']}", {"name": "x"}))[:2] == (409, "api_key_ended")


async def test_lists_are_filtered_by_status_and_partner(api: Api, partner_api: Api, partner: Partner) -> None:
    gone = await made(partner_api, "api-keys", {"name": "k", "scopes": ["payments:read"]})
    await api("POST", f"api-keys/{gone['id']}/revoke")
    own_id = encode_id("ptnr", partner.id)
    found = (await api("GET", "api-keys", status="revoked", partner_id=own_id)).json()["data"]
    assert [key["id"] for key in found] == [gone["id"]]
    found = (await api("GET", "api-keys", status="active", partner_id=own_id)).json()["data"]
    assert gone["id"] not in [key["id"] for key in found]
    assert {key["status"] for key in found} == {"active"}
    assert (await problem(api, "GET", "api-keys", status="lost"))[::2] == (422, "status")


async def test_an_address_that_guesses_is_told_when_to_come_again_and_callers_from_there_are_served(
    access: Access, tenancy: Tenancy, twins: Twins
) -> None:
    made = await create_key(access, twins[0].tenant_id, name="k", scopes=["*"])
    strict = Access(access.database, access.notifier)
    transport = httpx.ASGITransport(application(tenancy, strict), client=("203.0.113.77", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://florin") as client:
        api = Api(client, made.secret)
        assert (await api("GET", "tenant")).status_code == 200
        secrets = [generate(twins[0].tenant_id, live=True) for _ in range(61)]
        guesses = [await Api(client, secret)("GET", "tenant") for secret in secrets]
        assert {answer.status_code for answer in guesses[:60]} == {401}
        last = guesses[60]
        assert (last.status_code, last.json()["code"]) == (429, "too_many_requests")
        assert 1 <= int(last.headers["retry-after"]) <= 60
        assert (await api("GET", "tenant")).status_code == 200


def test_every_endpoint_asks_for_a_scope_that_exists() -> None:
    asked = {
        dependency.call.permission.scope  # type: ignore[union-attr]
        for room in (access_http, tenant, business_units, customers, partners, config, usage)
        for route in room.router.routes
        if isinstance(route, APIRoute)
        for dependency in route.dependant.dependencies
    }
    assert asked == {"keys:read", "keys:write", "tenancy:read", "tenancy:write"}
    assert asked <= PERMISSIONS

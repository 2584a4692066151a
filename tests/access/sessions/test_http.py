"""Sessions over HTTP: their users', and administrators'."""

import httpx
import pytest

from florin.access.service import create_key
from florin.access.sessions.service import refresh
from florin.kernel.db import Database
from florin.kernel.ids import encode_id, new_id
from florin.tenancy.model import BusinessUnitType, Partner, Tenant
from florin.tenancy.service import Tenancy, create_business_unit
from tests.access.tokens_world import Process, as_holder, new_user

Twins = tuple[Tenant, Tenant]


async def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def test_a_session_is_renewed_and_ended_with_its_refresh_token(
    client: httpx.AsyncClient, here: Process, twins: Twins, database: Database
) -> None:
    pair = await here.sign_in(twins[0].tenant_id, await new_user(database, twins[0].tenant_id, ["viewer"]))
    answer = await client.post("/v1/auth/refresh", json={"refresh_token": pair.refresh_token})
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    tokens = answer.json()
    assert (tokens["token_type"], tokens["expires_in"]) == ("Bearer", 900)
    assert tokens["session_id"] == encode_id("ses", pair.session_id)
    holder = as_holder(tokens["access_token"])
    assert (await client.get("/v1/tenant", headers=holder)).status_code == 200
    for _ in range(2):
        gone = await client.post("/v1/auth/sign-out", json={"refresh_token": tokens["refresh_token"]})
        assert (gone.status_code, gone.content) == (204, b"")
    assert await refusal(await client.get("/v1/tenant", headers=holder)) == (401, "unauthenticated")
    again = await client.post("/v1/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
    assert await refusal(again) == (401, "refresh_refused")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"refresh_token": ""}, 422),
        ({"refresh_token": "x" * 201}, 422),
        ({"refresh_token": 1}, 422),
        ({"refresh_token": "x", "more": 1}, 422),
        ({"refresh_token": "x"}, 401),
    ],
)
async def test_a_body_that_holds_no_refresh_token_is_refused(
    client: httpx.AsyncClient, body: object, status: int
) -> None:
    answer = await client.post("/v1/auth/refresh", json=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_user_sees_and_ends_his_own_sessions_only(
    client: httpx.AsyncClient, here: Process, twins: Twins, database: Database
) -> None:
    tenant_id = twins[0].tenant_id
    me, somebody = [await new_user(database, tenant_id, ["viewer"]) for _ in range(2)]
    pairs = [await here.sign_in(tenant_id, me) for _ in range(4)]
    theirs = await here.sign_in(tenant_id, somebody)
    holder = as_holder(pairs[0].access_token)
    first = (await client.get("/v1/me/sessions?limit=3", headers=holder)).json()
    rest = await client.get(
        "/v1/me/sessions", params={"starting_after": first["data"][-1]["id"]}, headers=holder
    )
    shown = first["data"] + rest.json()["data"]
    assert (first["has_more"], rest.json()["has_more"]) == (True, False)
    assert [one["id"] for one in shown] == [encode_id("ses", pair.session_id) for pair in reversed(pairs)]
    assert [one["current"] for one in shown] == [False, False, False, True]
    assert {(one["user_id"], one["address"]) for one in shown} == {(encode_id("user", me), "198.51.100.7")}
    other = encode_id("ses", theirs.session_id)
    assert await refusal(await client.post(f"/v1/me/sessions/{other}/end", headers=holder)) == (
        404,
        "session_not_found",
    )
    last = encode_id("ses", pairs[3].session_id)
    assert (await client.post(f"/v1/me/sessions/{last}/end", headers=holder)).status_code == 204
    assert (await client.post("/v1/me/sessions/end-others", headers=holder)).json() == {"ended": 2}
    assert len((await client.get("/v1/me/sessions", headers=holder)).json()["data"]) == 1
    await refresh(here.sessions, theirs.refresh_token)


async def test_a_key_has_no_sessions_of_its_own(
    client: httpx.AsyncClient, here: Process, twins: Twins
) -> None:
    key = await create_key(here.access, twins[0].tenant_id, name="k", scopes=["*"])
    for method, path in (("GET", "me/sessions"), ("POST", "me/sessions/end-others")):
        answer = await client.request(method, f"/v1/{path}", headers=as_holder(key.secret))
        assert await refusal(answer) == (403, "users_only")


async def test_an_administrator_ends_a_users_sessions(
    client: httpx.AsyncClient, here: Process, twins: Twins, database: Database
) -> None:
    tenant_id = twins[0].tenant_id
    user_id = await new_user(database, tenant_id, ["viewer"])
    admin = await here.sign_in(tenant_id, await new_user(database, tenant_id, ["tenant_admin"]))
    holder = as_holder(admin.access_token)
    pairs = [await here.sign_in(tenant_id, user_id) for _ in range(3)]
    base = f"/v1/users/{encode_id('user', user_id)}/sessions"
    shown = (await client.get(base, headers=holder)).json()["data"]
    assert [one["id"] for one in shown] == [encode_id("ses", pair.session_id) for pair in reversed(pairs)]
    assert not any(one["current"] for one in shown)
    assert (await client.post(f"{base}/{shown[0]['id']}/end", headers=holder)).status_code == 204
    assert await refusal(await client.post(f"{base}/{shown[0]['id']}/end", headers=holder)) == (
        404,
        "session_not_found",
    )
    mine = encode_id("ses", admin.session_id)
    assert await refusal(await client.post(f"{base}/{mine}/end", headers=holder)) == (
        404,
        "session_not_found",
    )
    assert (await client.post(f"{base}/end", headers=holder)).json() == {"ended": 2}
    answer = await client.get("/v1/tenant", headers=as_holder(pairs[0].access_token))
    assert await refusal(answer) == (401, "unauthenticated")
    nobody = f"/v1/users/{encode_id('user', new_id())}/sessions"
    assert await refusal(await client.get(nobody, headers=holder)) == (404, "user_not_found")


async def test_nobody_ends_sessions_of_a_user_who_may_do_more(
    client: httpx.AsyncClient, here: Process, twins: Twins, database: Database
) -> None:
    tenant_id = twins[0].tenant_id
    stronger = await new_user(database, tenant_id, ["tenant_admin"])
    weaker = await new_user(database, tenant_id, ["business_unit_admin"])
    pair, holder = await here.sign_in(tenant_id, stronger), await here.sign_in(tenant_id, weaker)
    base = f"/v1/users/{encode_id('user', stronger)}/sessions"
    for path in (f"{base}/end", f"{base}/{encode_id('ses', pair.session_id)}/end"):
        answer = await client.post(path, headers=as_holder(holder.access_token))
        assert await refusal(answer) == (403, "beyond_own_permissions")
    still = await client.get("/v1/tenant", headers=as_holder(pair.access_token))
    assert still.status_code == 200


async def test_a_viewer_a_partner_and_another_tenant_do_not_reach_a_users_sessions(
    client: httpx.AsyncClient, here: Process, twins: Twins, database: Database, partner: Partner
) -> None:
    tenant_id = twins[0].tenant_id
    user_id = await new_user(database, tenant_id, ["viewer"])
    pair = await here.sign_in(tenant_id, user_id)
    base = f"/v1/users/{encode_id('user', user_id)}/sessions"
    session = f"{base}/{encode_id('ses', pair.session_id)}/end"
    of_partner = await create_key(here.access, tenant_id, name="p", scopes=["*"], partner_id=partner.id)
    stranger = await create_key(here.access, twins[1].tenant_id, name="s", scopes=["*"])
    for token, expected in (
        (pair.access_token, (403, "forbidden")),
        (of_partner.secret, (404, "user_not_found")),
        (stranger.secret, (404, "user_not_found")),
    ):
        for method, path in (("GET", base), ("POST", f"{base}/end"), ("POST", session)):
            assert await refusal(await client.request(method, path, headers=as_holder(token))) == expected
    assert (await client.get("/v1/tenant", headers=as_holder(pair.access_token))).status_code == 200


async def test_a_units_administrator_reaches_users_all_of_whose_roles_lie_in_his_units(
    client: httpx.AsyncClient, here: Process, twins: Twins, database: Database, tenancy: Tenancy
) -> None:
    tenant_id = twins[0].tenant_id
    above = await create_business_unit(
        tenancy, tenant_id, name="South", type=BusinessUnitType.RETAIL, parent_id=None
    )
    below, other = [
        await create_business_unit(
            tenancy, tenant_id, name=name, type=BusinessUnitType.RETAIL, parent_id=parent
        )
        for name, parent in (("Cape", above.id), ("North", None))
    ]
    admin = await new_user(database, tenant_id, ["business_unit_admin"], unit_id=above.id)
    holder = as_holder((await here.sign_in(tenant_id, admin)).access_token)
    within = await new_user(database, tenant_id, ["retailer"], unit_id=below.id)
    beyond = [
        await new_user(database, tenant_id, ["retailer"], unit_id=other.id),
        await new_user(database, tenant_id, ["retailer"]),
        await new_user(database, tenant_id),
    ]
    path = "/v1/users/{}/sessions"
    answer = await client.get(path.format(encode_id("user", within)), headers=holder)
    assert answer.status_code == 200, answer.text
    for user_id in beyond:
        answer = await client.get(path.format(encode_id("user", user_id)), headers=holder)
        assert await refusal(answer) == (404, "user_not_found")

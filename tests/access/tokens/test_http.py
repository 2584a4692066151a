"""The OAuth endpoints as libraries see them."""

from base64 import b64encode
from typing import Any

import httpx
import jwt as pyjwt
import pytest

from florin.access.model import KeyKind, NewKey
from florin.access.service import create_key
from florin.access.signing.jwt import AUDIENCE
from florin.access.signing.service import rotate
from florin.kernel.ids import encode_id
from florin.tenancy.model import Tenant
from tests.access.tokens_world import Process, as_holder

Twins = tuple[Tenant, Tenant]


@pytest.fixture
async def made(here: Process, twins: Twins) -> NewKey:
    return await create_key(
        here.access, twins[0].tenant_id, name="erp", scopes=["tenancy:read", "keys:read"], kind=KeyKind.CLIENT
    )


def form(made: NewKey, **others: str) -> dict[str, str]:
    return {
        "grant_type": "client_credentials",
        "client_id": encode_id("key", made.key.id),
        "client_secret": made.secret,
        **others,
    }


async def token_of(client: httpx.AsyncClient, made: NewKey, **others: str) -> dict[str, Any]:
    answer = await client.post("/v1/oauth/token", data=form(made, **others))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_client_gets_a_token_and_calls_with_it(client: httpx.AsyncClient, made: NewKey) -> None:
    answer = await client.post("/v1/oauth/token", data=form(made))
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["pragma"] == "no-cache"
    given = answer.json()
    assert (given["token_type"], given["expires_in"]) == ("Bearer", 900)
    assert given["scope"] == "keys:read tenancy:read"
    tenant = await client.get("/v1/tenant", headers=as_holder(given["access_token"]))
    assert tenant.status_code == 200
    refused = await client.post(
        "/v1/partners", headers=as_holder(given["access_token"]), json={"name": "P", "email": "p@p.example"}
    )
    assert refused.json()["code"] == "forbidden"


async def test_basic_authentication_is_as_good_and_the_scope_can_be_narrowed(
    client: httpx.AsyncClient, made: NewKey
) -> None:
    answer = await client.post(
        "/v1/oauth/token",
        data={"grant_type": "client_credentials", "scope": "tenancy:read"},
        auth=(encode_id("key", made.key.id), made.secret),
    )
    assert answer.json()["scope"] == "tenancy:read"
    keys = await client.get("/v1/api-keys", headers=as_holder(answer.json()["access_token"]))
    assert keys.status_code == 403


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"client_secret": "fl_cs_live_1_" + "a" * 43}, 401, "invalid_client"),
        ({"client_id": "nobody"}, 401, "invalid_client"),
        ({"client_secret": ""}, 401, "invalid_client"),
        ({"grant_type": ""}, 400, "invalid_request"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"grant_type": "authorization_code"}, 400, "unsupported_grant_type"),
        ({"scope": "ledger:write"}, 400, "invalid_scope"),
        ({"scope": "*"}, 400, "invalid_scope"),
    ],
)
async def test_errors_are_those_of_the_standard(
    client: httpx.AsyncClient, made: NewKey, change: dict[str, str], status: int, error: str
) -> None:
    answer = await client.post("/v1/oauth/token", data=form(made, **change))
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert (answer.headers.get("www-authenticate") == 'Basic realm="Florin"') == (status == 401)
    assert made.secret not in answer.text


async def test_what_is_no_form_is_refused(client: httpx.AsyncClient, made: NewKey) -> None:
    assert (await client.post("/v1/oauth/token", json=form(made))).status_code == 415
    too_long = await client.post("/v1/oauth/token", data=form(made, scope="a" * 20_000))
    assert (too_long.status_code, too_long.json()["code"]) == (413, "body_too_large")
    twice = await client.post(
        "/v1/oauth/token",
        content="grant_type=client_credentials&grant_type=client_credentials",
        headers={"content-type": "application/x-www-form-urlencoded"},
    )
    assert twice.json()["error"] == "invalid_request"
    assert (await client.post("/v1/oauth/token?grant_type=x", data=form(made))).status_code == 422


async def test_a_clients_secret_does_not_open_the_api(client: httpx.AsyncClient, made: NewKey) -> None:
    answer = await client.get("/v1/tenant", headers=as_holder(made.secret))
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


async def test_a_token_can_be_introspected(client: httpx.AsyncClient, made: NewKey) -> None:
    token = (await token_of(client, made, scope="tenancy:read"))["access_token"]
    credentials = (encode_id("key", made.key.id), made.secret)
    answer = await client.post("/v1/oauth/introspect", data={"token": token}, auth=credentials)
    said = answer.json()
    assert (said["active"], said["scope"], said["client_id"]) == (True, "tenancy:read", credentials[0])
    assert said["exp"] - said["iat"] == 900
    for nothing in ("nonsense", made.secret, token[:-1]):
        answer = await client.post("/v1/oauth/introspect", data={"token": nothing}, auth=credentials)
        assert answer.json() == {"active": False}
    for data, auth, status in (({"hint": "x"}, credentials, 400), ({"token": token}, ("x", "y"), 401)):
        answer = await client.post("/v1/oauth/introspect", data=data, auth=auth)
        assert answer.status_code == status


async def test_what_is_published_verifies_tokens_and_may_be_kept(
    here: Process, client: httpx.AsyncClient, made: NewKey
) -> None:
    token = (await token_of(client, made))["access_token"]
    about = (await client.get("/.well-known/oauth-authorization-server")).json()
    assert about["issuer"] == "https://pay.bank.example"
    assert about["token_endpoint"] == "https://pay.bank.example/v1/oauth/token"
    answer = await client.get("/.well-known/jwks.json")
    assert answer.headers.get_list("cache-control") == ["public, max-age=3600"]
    assert len(answer.json()["keys"]) == 1
    keys = pyjwt.PyJWKSet.from_dict(answer.json())
    said = pyjwt.decode(
        token,
        keys[pyjwt.get_unverified_header(token)["kid"]],
        algorithms=["EdDSA"],
        audience=AUDIENCE,
        issuer=about["issuer"],
    )
    assert said["client_id"] == said["sub"] == encode_id("key", made.key.id)
    await rotate(here.keys, by="test")
    shown = (await client.get("/.well-known/jwks.json")).json()["keys"]
    assert len(shown) == 2
    assert all("d" not in key for key in shown), "private halves are nobody's to see"


async def test_clients_are_made_and_listed_as_keys_are(
    client: httpx.AsyncClient, here: Process, twins: Twins
) -> None:
    admin = await create_key(here.access, twins[0].tenant_id, name="all", scopes=["*"])
    body = {"name": "erp", "scopes": ["payments:read"], "kind": "client"}
    answer = await client.post("/v1/api-keys", json=body, headers=as_holder(admin.secret))
    assert answer.status_code == 201
    assert (answer.json()["kind"], answer.json()["secret"][:11]) == ("client", "fl_cs_live_")
    assert answer.json()["secret"].startswith(answer.json()["prefix"])
    listed = (await client.get("/v1/api-keys", headers=as_holder(admin.secret))).json()["data"]
    assert [key["kind"] for key in listed] == ["client", "bearer"]
    wrong = await client.post("/v1/api-keys", json={**body, "kind": "x"}, headers=as_holder(admin.secret))
    assert (wrong.status_code, wrong.json()["param"]) == (422, "kind")


async def test_basic_credentials_are_decoded_as_the_standard_says(
    client: httpx.AsyncClient, made: NewKey
) -> None:
    text = f"{encode_id('key', made.key.id)}:{made.secret}".replace("_", "%5F")
    header = {"authorization": f"Basic {b64encode(text.encode()).decode()}"}
    data = {"grant_type": "client_credentials"}
    assert (await client.post("/v1/oauth/token", data=data, headers=header)).status_code == 200

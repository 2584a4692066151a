"""/v1/roles."""

import pytest

from florin.access.people.model import Grant
from tests.access.people.conftest import MakeUser, SignIn

DESK = {"code": "desk", "name": "Desk", "permissions": ["refunds:write", "refunds:read"]}


async def test_a_role_is_made_listed_changed_and_deleted(user: MakeUser, sign_in: SignIn) -> None:
    api = await sign_in(await user(Grant("tenant_admin")))
    made = await api("POST", "roles", DESK)
    assert made.status_code == 201, made.text
    assert made.json()["id"].startswith("role_")
    assert made.json()["permissions"] == ["refunds:read", "refunds:write"]
    first = (await api("GET", "roles", limit="3")).json()
    assert first["has_more"]
    rest = (await api("GET", "roles", limit="100", starting_after=first["data"][-1]["code"])).json()
    codes = [one["code"] for one in first["data"] + rest["data"]]
    assert codes == sorted(codes)
    assert {"desk", "viewer", "tenant_admin"} <= set(codes)
    changed = await api("PATCH", "roles/desk", {"description": "x", "permissions": ["payments:*"]})
    assert (await api("GET", "roles/desk")).json() == changed.json()
    assert (await api("POST", "roles", DESK)).status_code == 409
    assert (await api("DELETE", "roles/desk")).status_code == 204
    assert (await api("GET", "roles/desk")).status_code == 404


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"code": "Desk!"}, "code"),
        ({"code": "d"}, "code"),
        ({"name": ""}, "name"),
        ({"permissions": ["payments:delete"]}, "permissions"),
        ({"permissions": ["platform:write"]}, "permissions"),
        ({"permissions": "payments:read"}, "permissions"),
        ({"platform": True}, "platform"),
    ],
)
async def test_bad_input_names_the_field(
    user: MakeUser, sign_in: SignIn, change: dict[str, object], param: str
) -> None:
    api = await sign_in(await user(Grant("tenant_admin")))
    refused = await api("POST", "roles", {**DESK, **change})
    assert (refused.status_code, refused.json()["param"]) == (422, param), refused.text


async def test_built_in_roles_stay_as_they_are(user: MakeUser, sign_in: SignIn) -> None:
    api = await sign_in(await user(Grant("tenant_admin")))
    for method, body in (("PATCH", {"name": "x"}), ("DELETE", None)):
        refused = await api(method, "roles/viewer", body)
        assert (refused.status_code, refused.json()["code"]) == (409, "role_built_in")
    assert (await api("PATCH", "roles/nothing", {"name": "x"})).status_code == 404
    assert (await api("GET", "roles/platform_admin")).status_code == 404

"""/v1/assignments."""

from florin.access.people.model import Grant
from florin.kernel.ids import encode_id, new_id
from tests.access.people.conftest import MakeUnit, MakeUser, SignIn


async def test_a_role_is_given_read_and_ended(user: MakeUser, sign_in: SignIn, unit: MakeUnit) -> None:
    api = await sign_in(await user(Grant("tenant_admin")))
    ann, south = encode_id("user", (await user()).id), encode_id("bu", await unit())
    body = {"user_id": ann, "role": "viewer", "business_unit_id": south, "expires_at": "2199-01-01T00:00:00Z"}
    assert (await api("POST", "assignments", body)).json()["param"] == "expires_at"
    body["expires_at"] = "2099-01-01T00:00:00Z"
    made = await api("POST", "assignments", body)
    assert made.status_code == 201, made.text
    path = f"assignments/{made.json()['id']}"
    assert (await api("GET", path)).json() == made.json()
    for filters in ({"user_id": ann}, {"role": "viewer"}, {"business_unit_id": south}):
        assert (await api("GET", "assignments", **filters)).json()["data"] == [made.json()]
    assert (await api("POST", "assignments", body)).status_code == 409
    ended = await api("POST", f"{path}/end")
    assert ended.json()["ended_by"].startswith("user_")
    assert (await api("POST", f"{path}/end")).json() == ended.json()
    assert (await api("GET", "assignments", user_id=ann)).json()["data"] == []
    assert (await api("GET", "assignments", user_id=ann, ended="true")).json()["data"] == [ended.json()]
    assert (await api("GET", f"assignments/{encode_id('asg', new_id())}")).status_code == 404


async def test_nobody_raises_himself_or_others_above_himself(user: MakeUser, sign_in: SignIn) -> None:
    helper = await user(Grant("business_unit_admin"))
    api = await sign_in(helper)
    himself = await api("POST", "assignments", {"user_id": encode_id("user", helper.id), "role": "customer"})
    assert (himself.status_code, himself.json()["code"]) == (403, "own_assignments")
    ann = encode_id("user", (await user()).id)
    above = await api("POST", "assignments", {"user_id": ann, "role": "tenant_admin"})
    assert (above.status_code, above.json()["code"]) == (403, "beyond_own_permissions")
    assert (await api("POST", "assignments", {"user_id": ann, "role": "retailer"})).status_code == 201

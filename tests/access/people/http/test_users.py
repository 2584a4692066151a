"""/v1/users as administrators, partners and outsiders see it."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from florin.access.people.model import Grant
from florin.access.people.room import People
from florin.kernel.ids import encode_id, new_id
from florin.tenancy.model import Partner, Tenant
from tests.access.people.conftest import LetIn, MakeUnit, MakeUser, SignIn, principal_of

ANN = {"user_name": "Ann.Smith", "name": "Ann Smith", "email": "Ann@Shop.example", "phone": "011 555 0100"}


async def test_a_user_is_made_read_found_changed_and_deleted(user: MakeUser, sign_in: SignIn) -> None:
    api = await sign_in(await user(Grant("tenant_admin")))
    made = await api("POST", "users", {**ANN, "assignments": [{"role": "operator"}]})
    assert made.status_code == 201, made.text
    ann = made.json()
    assert (ann["status"], ann["email"], ann["phone"]) == ("INVITED", "ann@shop.example", "+27115550100")
    assert ann["created_by"].startswith("user_")
    path = f"users/{ann['id']}"
    assert (await api("GET", path)).json() == ann
    found = await api("POST", "users/search", {"email": "ANN@shop.example"})
    assert found.json() == {"data": [ann], "has_more": False}
    changed = await api("PATCH", path, {"name": None, "phone": "+27 11 555 0101"})
    assert (changed.json()["name"], changed.json()["phone"]) == (None, "+27115550101")
    [held] = (await api("GET", "assignments", user_id=ann["id"])).json()["data"]
    assert held["role"] == "operator"
    assert (await api("DELETE", path)).status_code == 204
    assert (await api("GET", path)).json()["status"] == "DELETED"
    assert (await api("DELETE", path)).status_code == 409
    listed = (await api("GET", "users")).json()["data"]
    assert ann["id"] not in [one["id"] for one in listed]
    assert (await api("GET", "users", status="DELETED")).json()["data"][0]["id"] == ann["id"]


async def test_what_is_personal_is_masked_for_whoever_may_not_read_it(
    user: MakeUser, sign_in: SignIn, unit: MakeUnit
) -> None:
    south = await unit()
    ann = await user(Grant("retailer", south), **ANN)
    path = f"users/{encode_id('user', ann.id)}"
    auditor = await (await sign_in(await user(Grant("auditor"))))("GET", path)
    assert (
        auditor.json() | {"masked": True, "name": "A*** S***", "email": "a***@shop.example"} == auditor.json()
    )
    assert auditor.json()["phone"] == "+***0100"
    for role, place in (("compliance_officer", None), ("business_unit_admin", south)):
        seen = (await (await sign_in(await user(Grant(role, place))))("GET", path)).json()
        assert (seen["masked"], seen["email"]) == (False, "ann@shop.example")


async def test_bad_input_names_the_field_and_nothing_is_written(user: MakeUser, sign_in: SignIn) -> None:
    api = await sign_in(await user(Grant("tenant_admin")))
    for body, param in (
        ({"email": "nowhere"}, "email"),
        ({"phone": "12"}, "phone"),
        ({"user_name": "a b"}, "user_name"),
        ({"name": "Ann"}, "user_name"),
        ({}, "user_name"),
        ({"user_name": "ann.s", "assignments": [{"role": "Nobody!"}]}, "assignments[0].role"),
        ({"user_name": "ann.s", "assignments": [{"role": "nobody"}]}, "assignments[0].role"),
        ({"user_name": "ann.s", "partner_id": encode_id("ptnr", new_id())}, "partner_id"),
        ({"user_name": "ann.s", "status": "ACTIVE"}, "status"),
        ({"user_name": "ann.s", "password_hash": "x"}, "password_hash"),
        ({"user_name": "ann.s", "tenant_id": 1}, "tenant_id"),
    ):
        answer = await api("POST", "users", body)
        assert (answer.status_code, answer.json()["param"]) == (422, param), answer.text
    assert len((await api("GET", "users")).json()["data"]) == 1
    for wrong in ({}, {"email": "a@shop.example", "phone": "+27115550100"}, {"email": None}, {"name": "x"}):
        assert (await api("POST", "users/search", wrong)).status_code == 422
    assert (await api("GET", "users", role="nobody")).status_code == 404
    assert (await api("GET", "users", limit="101")).status_code == 422


async def test_a_second_user_of_an_address_is_a_conflict_that_names_the_field(
    user: MakeUser, sign_in: SignIn
) -> None:
    api = await sign_in(await user(Grant("tenant_admin")))
    await user(email="ann@shop.example")
    other = await user()
    again = await api("POST", "users", {"email": "Ann@shop.example"})
    moved = await api("PATCH", f"users/{encode_id('user', other.id)}", {"email": "ann@shop.example"})
    for answer in (again, moved):
        assert (answer.status_code, answer.json()["code"], answer.json()["param"]) == (
            409,
            "user_exists",
            "email",
        )


async def test_an_administrator_of_a_unit_makes_and_manages_users_there_only(
    user: MakeUser, sign_in: SignIn, unit: MakeUnit
) -> None:
    south, north = await unit(), await unit()
    api = await sign_in(await user(Grant("business_unit_admin", south)))
    bu = {"south": encode_id("bu", south), "north": encode_id("bu", north)}

    async def make(**given: object) -> int:
        return (await api("POST", "users", {"user_name": f"u{new_id().hex[:12]}", **given})).status_code

    assert await make() == 403
    assert await make(assignments=[{"role": "retailer"}]) == 403
    assert await make(assignments=[{"role": "retailer", "business_unit_id": bu["north"]}]) == 422
    assert await make(assignments=[{"role": "tenant_admin", "business_unit_id": bu["south"]}]) == 403
    assert await make(assignments=[{"role": "retailer", "business_unit_id": bu["south"]}]) == 201
    stranger = await user(Grant("retailer", north), email="ann@shop.example")
    path = f"users/{encode_id('user', stranger.id)}"
    for method, part, body in (
        ("GET", "", None),
        ("PATCH", "", {"name": "x"}),
        ("DELETE", "", None),
        ("POST", "/suspend", None),
        ("POST", "/reactivate", None),
    ):
        assert (await api(method, path + part, body)).status_code == 404
    assert (await api("POST", "users/search", {"email": "ann@shop.example"})).json()["data"] == []
    assert len((await api("GET", "users")).json()["data"]) == 2
    assert (await api("GET", "users", business_unit_id=bu["north"])).json()["data"] == []
    assert (await api("GET", "roles")).status_code == 200
    assert (await api("POST", "roles", {"code": "mine", "name": "x", "permissions": []})).status_code == 403


async def test_a_partner_sees_and_makes_its_own_users_only(
    user: MakeUser, sign_in: SignIn, shop: Partner
) -> None:
    api = await sign_in(await user(Grant("tenant_admin"), partner_id=shop.id))
    foreign = await user()
    made = await api("POST", "users", {"user_name": "clerk"})
    assert made.json()["partner_id"] == encode_id("ptnr", shop.id)
    other = {"user_name": "other", "partner_id": encode_id("ptnr", new_id())}
    assert (await api("POST", "users", other)).status_code == 403
    assert (await api("GET", f"users/{encode_id('user', foreign.id)}")).status_code == 404
    assert len((await api("GET", "users")).json()["data"]) == 2
    assert (await api("GET", "users", partner_id=other["partner_id"])).json()["data"] == []
    assert (await api("POST", "roles", {"code": "mine", "name": "x", "permissions": []})).status_code == 403


async def test_another_tenant_finds_nobody_here(
    people: People,
    user: MakeUser,
    tenant_id: int,
    let_in: LetIn,
    new_tenant: Callable[[], Awaitable[tuple[Tenant, Tenant]]],
) -> None:
    ann = await user(Grant("tenant_admin"), email="ann@shop.example")
    here = await principal_of(people, tenant_id, ann.id)
    api = let_in(replace(here, tenant_id=(await new_tenant())[0].tenant_id))
    assert (await api("GET", f"users/{encode_id('user', ann.id)}")).status_code == 404
    assert (await api("POST", "users/search", {"email": "ann@shop.example"})).json()["data"] == []
    assert (await api("GET", "users")).json()["data"] == []
    assert (await api("GET", "assignments")).json()["data"] == []
    given = await api("POST", "assignments", {"user_id": encode_id("user", ann.id), "role": "viewer"})
    assert given.status_code in (403, 422)


async def test_who_may_read_users_may_not_change_them(user: MakeUser, sign_in: SignIn) -> None:
    api = await sign_in(await user(Grant("auditor")))
    path = f"users/{encode_id('user', (await user()).id)}"
    assert (await api("GET", path)).status_code == 200
    for method, part, body in (
        ("PATCH", "", {"name": "x"}),
        ("DELETE", "", None),
        ("POST", "/suspend", None),
    ):
        refused = await api(method, path + part, body)
        assert (refused.status_code, refused.json()["scope"]) == (403, "users:write")

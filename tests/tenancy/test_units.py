"""Customers, business units and settings, as somebody sees them who may in some business units only."""

from florin.access.people.model import Grant
from florin.kernel.ids import encode_id
from tests.access.people.conftest import (
    As,
    MakeUnit,
    MakeUser,
    SignIn,
    let_in,
    people,
    shop,
    sign_in,
    tenant_id,
    unit,
    user,
)

__all__ = ["let_in", "people", "shop", "sign_in", "tenant_id", "unit", "user"]


async def made(api: As, path: str, body: dict[str, object]) -> str:
    answer = await api("POST", path, body)
    assert answer.status_code == 201, answer.text
    found: str = answer.json()["id"]
    return found


async def test_customers_of_other_units_and_of_none_are_not_there(
    user: MakeUser, sign_in: SignIn, unit: MakeUnit
) -> None:
    south, north = await unit(), await unit()
    below = await unit(south)
    boss = await sign_in(await user(Grant("tenant_admin")))
    api = await sign_in(await user(Grant("business_unit_admin", south)))
    at = {name: encode_id("bu", one) for name, one in (("south", south), ("below", below), ("north", north))}
    mine = [
        await made(boss, "customers", {"reference": name, "business_unit_id": at[name]})
        for name in ("south", "below")
    ]
    foreign = [
        await made(boss, "customers", {"reference": "north", "business_unit_id": at["north"]}),
        await made(boss, "customers", {"reference": "nowhere"}),
    ]
    assert [one["id"] for one in (await api("GET", "customers")).json()["data"]] == mine[::-1]
    assert (await api("GET", "customers", reference="north")).json()["data"] == []
    for one in foreign:
        assert (await api("GET", f"customers/{one}")).status_code == 404
        assert (await api("PATCH", f"customers/{one}", {"name": "x"})).status_code == 404
    for one in mine:
        assert (await api("PATCH", f"customers/{one}", {"name": "x"})).status_code == 200
    assert (await api("POST", "customers", {"reference": "new"})).status_code == 403
    for place, status in (("north", 422), ("below", 201)):
        body = {"reference": "new", "business_unit_id": at[place]}
        assert (await api("POST", "customers", body)).status_code == status
    path = f"customers/{mine[0]}"
    assert (await api("PATCH", path, {"business_unit_id": None})).status_code == 403
    assert (await api("PATCH", path, {"business_unit_id": at["north"]})).status_code == 422
    assert (await api("PATCH", path, {"business_unit_id": at["below"]})).status_code == 200


async def test_units_are_seen_made_and_moved_within_ones_own(
    user: MakeUser, sign_in: SignIn, unit: MakeUnit
) -> None:
    south, north = await unit(), await unit()
    below = await unit(south)
    api = await sign_in(await user(Grant("business_unit_admin", south)))
    at = {name: encode_id("bu", one) for name, one in (("south", south), ("below", below), ("north", north))}
    listed = (await api("GET", "business-units")).json()["data"]
    assert [one["id"] for one in listed] == [at["below"], at["south"]]
    assert (await api("GET", f"business-units/{at['north']}")).status_code == 404
    assert (await api("PATCH", f"business-units/{at['north']}", {"name": "x"})).status_code == 404
    assert (await api("PATCH", f"business-units/{at['below']}", {"name": "x"})).status_code == 200
    new = {"name": "x", "type": "RETAIL"}
    assert (await api("POST", "business-units", new)).status_code == 403
    assert (await api("POST", "business-units", {**new, "parent_id": at["north"]})).status_code == 422
    assert (await api("POST", "business-units", {**new, "parent_id": at["below"]})).status_code == 201
    path = f"business-units/{at['below']}"
    assert (await api("PATCH", path, {"parent_id": None})).status_code == 403
    assert (await api("PATCH", path, {"parent_id": at["north"]})).status_code == 422


async def test_nobody_moves_a_unit_to_where_he_would_be_allowed_more_in_it(
    user: MakeUser, sign_in: SignIn, unit: MakeUnit
) -> None:
    strong, weak = await unit(), await unit()
    boss = await sign_in(await user(Grant("tenant_admin")))
    body = {"code": "mover", "name": "x", "permissions": ["tenancy:read", "tenancy:write"]}
    assert (await boss("POST", "roles", body)).status_code == 201
    api = await sign_in(await user(Grant("business_unit_admin", strong), Grant("mover", weak)))
    path = f"business-units/{encode_id('bu', weak)}"
    refused = await api("PATCH", path, {"parent_id": encode_id("bu", strong)})
    assert (refused.status_code, refused.json()["param"]) == (403, "parent_id")
    assert "personal:read" in refused.json()["detail"]
    other = f"business-units/{encode_id('bu', strong)}"
    assert (await api("PATCH", other, {"parent_id": encode_id("bu", weak)})).status_code == 200


async def test_settings_are_read_and_written_for_ones_own_units(
    user: MakeUser, sign_in: SignIn, unit: MakeUnit
) -> None:
    south, north = encode_id("bu", first := await unit()), encode_id("bu", await unit())
    boss = await sign_in(await user(Grant("tenant_admin")))
    api = await sign_in(await user(Grant("business_unit_admin", first)))
    value = {"type": "BOOLEAN", "value": True}
    assert (await boss("PUT", "config/fraud.enabled", value)).status_code == 200
    assert (await api("GET", "config", business_unit_id=south)).json()["data"][0]["value"] is True
    assert (await api("GET", "config")).status_code == 403
    assert (await api("GET", "config/fraud.enabled")).status_code == 403
    assert (await api("GET", "config/fraud.enabled", business_unit_id=north)).status_code == 422
    assert (await api("PUT", "config/fraud.enabled", value)).status_code == 403
    for place, status in ((north, 422), (south, 200)):
        body = {"type": "BOOLEAN", "value": False, "business_unit_id": place}
        assert (await api("PUT", "config/fraud.enabled", body)).status_code == status


async def test_what_knows_no_units_asks_for_the_whole_tenant(
    user: MakeUser, sign_in: SignIn, unit: MakeUnit
) -> None:
    api = await sign_in(await user(Grant("tenant_admin", await unit())))
    for path in ("tenant", "usage", "partners"):
        refused = await api("GET", path)
        assert (refused.status_code, "whole tenant" in refused.json()["detail"]) == (403, True)

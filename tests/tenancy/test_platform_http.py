"""/v1/platform/tenants: for the live twin of PLATFORM and nobody else."""

from dataclasses import replace

import pytest

from florin.access.people.model import Grant
from florin.access.people.room import People
from florin.access.people.users import create_user
from florin.kernel.http.call import Principal
from florin.tenancy.platform import ensure_platform, get_twins
from florin.tenancy.service import Tenancy
from tests.access.people.conftest import (
    OPERATOR,
    As,
    LetIn,
    a_name,
    let_in,
    people,
    principal_of,
)

__all__ = ["let_in", "people"]

ACME = {
    "code": "ACME",
    "name": "Acme Bank",
    "type": "BANK",
    "contact_email": "ops@acme.example",
    "country": "ZA",
    "timezone": "Africa/Johannesburg",
    "currency": "ZAR",
}


@pytest.fixture
async def admin(people: People, tenancy: Tenancy) -> Principal:
    """An administrator of the platform."""
    twins, _ = await ensure_platform(tenancy, "ops@house.example")
    assert twins.live is not None
    made = await create_user(
        people,
        twins.live.tenant_id,
        {"user_name": a_name()},
        by=OPERATOR,
        grants=[Grant("platform_admin")],
    )
    return await principal_of(people, twins.live.tenant_id, made.id)


@pytest.fixture
def api(admin: Principal, let_in: LetIn) -> As:
    return let_in(admin)


async def test_tenants_are_made_listed_suspended_and_let_work_again(api: As, tenancy: Tenancy) -> None:
    made = await api("POST", "platform/tenants", ACME)
    assert made.status_code == 201, made.text
    assert made.json()["live"]["tenant_id"] != made.json()["test"]["tenant_id"]
    assert (await api("POST", "platform/tenants", ACME)).status_code == 409
    first = (await api("GET", "platform/tenants", limit="1")).json()
    assert (first["data"], first["has_more"]) == ([made.json()], True)
    rest = (await api("GET", "platform/tenants", starting_after="ACME")).json()
    assert [one["code"] for one in rest["data"]] == ["PLATFORM"]
    path = "platform/tenants/ACME"
    assert (await api("GET", path)).json() == made.json()
    live = await api("PUT", f"{path}/status", {"status": "SUSPENDED", "live": True})
    assert (live.json()["live"]["status"], live.json()["test"]["status"]) == ("SUSPENDED", "ACTIVE")
    both = await api("PUT", f"{path}/status", {"status": "ACTIVE"})
    assert both.json()["live"]["status"] == "ACTIVE"
    assert (await get_twins(tenancy, "ACME")).live is not None
    assert (await api("GET", "platform/tenants/NOBODY")).status_code == 404
    assert (await api("PUT", "platform/tenants/NOBODY/status", {"status": "ACTIVE"})).status_code == 404
    own = await api("PUT", "platform/tenants/PLATFORM/status", {"status": "SUSPENDED"})
    assert own.json()["code"] == "platform_stays_active"


async def test_bad_input_names_the_field(api: As) -> None:
    for change, param in (
        ({"code": "acme"}, "code"),
        ({"country": "Za"}, "country"),
        ({"currency": "XXX"}, "currency"),
        ({"timezone": "Mars"}, "timezone"),
        ({"tenant_id": 1}, "tenant_id"),
    ):
        refused = await api("POST", "platform/tenants", {**ACME, "code": "NEW", **change})
        assert (refused.status_code, refused.json()["param"]) == (422, param), refused.text


async def test_nobody_else_is_the_platform_whatever_he_is_allowed(admin: Principal, let_in: LetIn) -> None:
    everything = frozenset({"*", "platform:*"})
    stranger = replace(admin, scopes=everything, platform=False)
    partner = replace(admin, scopes=everything, partner_id=admin.id)
    helper = replace(admin, scopes=frozenset({"*"}))
    in_a_unit = replace(admin, scopes=frozenset(), unit_scopes={admin.id: everything})
    for principal, code in (
        (stranger, "platform_only"),
        (partner, "tenants_only"),
        (helper, "forbidden"),
        (in_a_unit, "forbidden"),
    ):
        api = let_in(principal)
        for method, path, body in (
            ("GET", "platform/tenants", None),
            ("GET", "platform/tenants/ACME", None),
            ("POST", "platform/tenants", ACME),
            ("PUT", "platform/tenants/ACME/status", {"status": "SUSPENDED"}),
        ):
            refused = await api(method, path, body)
            assert (refused.status_code, refused.json()["code"]) == (403, code)


async def test_the_test_twin_of_the_platform_is_not_the_platform(people: People, tenancy: Tenancy) -> None:
    twins, made = await ensure_platform(tenancy, "ops@house.example")
    assert not made
    assert twins.test is not None
    found = await create_user(people, twins.test.tenant_id, {"user_name": a_name()}, by=OPERATOR)
    assert not (await principal_of(people, twins.test.tenant_id, found.id)).platform

"""The endpoints of tenancy, through the gate: what they answer, to whom, and what they refuse."""

from datetime import timedelta
from typing import Any

import pytest

from florin.kernel.clock import now
from florin.kernel.ids import encode_id, new_id
from florin.tenancy.model import Partner, Tenant
from florin.tenancy.service import Tenancy
from florin.tenancy.usage import UsageMeter
from tests.tenancy.conftest import Api

Twins = tuple[Tenant, Tenant]


async def made(api: Api, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = await api("POST", path, body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def problem(api: Api, method: str, path: str, body: object = None, **query: str) -> tuple[Any, ...]:
    """Status, code and field of a refusal."""
    answer = await api(method, path, body, **query)
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    document = answer.json()
    assert document["status"] == answer.status_code
    return answer.status_code, document["code"], document.get("param")


async def test_a_tenant_reads_and_changes_its_own_details(api: Api, twins: Twins) -> None:
    shown = (await api("GET", "tenant")).json()
    assert (shown["code"], shown["live"], shown["status"]) == (twins[0].code, True, "ACTIVE")
    assert "tenant_id" not in shown
    changed = (await api("PATCH", "tenant", {"city": "Durban", "timezone": "Africa/Windhoek"})).json()
    assert changed == {
        **shown,
        "city": "Durban",
        "timezone": "Africa/Windhoek",
        "updated_at": changed["updated_at"],
    }


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"status": "ACTIVE"}, "status"),
        ({"name": None}, "name"),
        ({"name": ""}, "name"),
        ({"name": "a\0b"}, "name"),
        ({"country": "ZAF"}, "country"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"timezone": "Africa/../../etc/passwd"}, "timezone"),
        ({"currency": "ZZZ"}, "currency"),
        ({"contact_email": "nobody"}, "contact_email"),
    ],
)
async def test_a_wrong_detail_is_refused_by_name(api: Api, body: dict[str, Any], field: str) -> None:
    status, _, param = await problem(api, "PATCH", "tenant", body)
    assert (status, param) == (422, field)


async def test_business_units_are_made_moved_listed_and_read(api: Api) -> None:
    top = await made(api, "business-units", {"name": "Top", "type": "RETAIL"})
    below = await made(api, "business-units", {"name": "Below", "type": "TREASURY", "parent_id": top["id"]})
    assert (top["level"], below["level"], below["parent_id"]) == (1, 2, top["id"])
    listed = (await api("GET", "business-units", parent_id=top["id"])).json()
    assert listed == {"data": [below], "has_more": False}
    moved = (await api("PATCH", f"business-units/{below['id']}", {"parent_id": None})).json()
    assert (moved["level"], moved["parent_id"]) == (1, None)
    assert (await api("GET", f"business-units/{below['id']}")).json() == moved
    answer = await problem(api, "PATCH", f"business-units/{top['id']}", {"parent_id": top["id"]})
    assert answer == (422, "parent_below_unit", "parent_id")


async def test_partners_are_made_changed_and_deleted(api: Api) -> None:
    body = {"name": "Shop", "email": "a@shop.example", "metadata": {"k": "v"}, "limit_per_minute": 50}
    shop = await made(api, "partners", body)
    assert shop.items() >= body.items()
    assert await problem(api, "POST", "partners", body) == (409, "email_taken", "email")
    changed = (await api("PATCH", f"partners/{shop['id']}", {"limit_per_minute": None})).json()
    assert (changed["limit_per_minute"], changed["name"]) == (None, "Shop")
    deleted = await api("DELETE", f"partners/{shop['id']}")
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert await problem(api, "GET", f"partners/{shop['id']}") == (404, "partner_not_found", None)


async def test_lists_come_in_pages(api: Api) -> None:
    ids = [
        (await made(api, "partners", {"name": "P", "email": f"p{n}@shop.example"}))["id"] for n in range(5)
    ]
    seen: list[str] = []
    query: dict[str, str] = {"limit": "2"}
    while True:
        answer = (await api("GET", "partners", **query)).json()
        seen += [partner["id"] for partner in answer["data"]]
        if not answer["has_more"]:
            break
        query["starting_after"] = seen[-1]
    assert seen == ids[::-1]
    assert (await problem(api, "GET", "partners", limit="101"))[::2] == (422, "limit")
    assert (await problem(api, "GET", "partners", starting_after="cus_x"))[::2] == (422, "starting_after")


async def test_a_partners_key_keeps_to_its_own(
    api: Api, partner_api: Api, other_api: Api, partner: Partner
) -> None:
    own_id = encode_id("ptnr", partner.id)
    other = await made(api, "partners", {"name": "Other", "email": "other@shop.example"})
    listed = (await partner_api("GET", "partners")).json()
    assert [p["id"] for p in listed["data"]] == [own_id]
    assert (await partner_api("GET", f"partners/{own_id}")).status_code == 200
    assert (await problem(partner_api, "GET", f"partners/{other['id']}"))[0] == 404
    for method, path, body in (
        ("GET", "tenant", None),
        ("PATCH", "tenant", {"name": "Mine"}),
        ("POST", "business-units", {"name": "U", "type": "RETAIL"}),
        ("GET", "business-units", None),
        ("POST", "partners", {"name": "P", "email": "p@shop.example"}),
        ("PATCH", f"partners/{own_id}", {"limit_per_minute": 1_000_000}),
        ("DELETE", f"partners/{own_id}", None),
        ("GET", "config", None),
        ("PUT", "config/k", {"type": "BOOLEAN", "value": True}),
        ("GET", "usage", None),
    ):
        assert (await problem(partner_api, method, path, body))[:2] == (403, "tenants_only"), path
    assert (await problem(other_api, "GET", f"partners/{own_id}"))[0] == 404


async def test_customers_belong_to_whoever_made_them(api: Api, partner_api: Api, other_api: Api) -> None:
    body = {"reference": "C-1", "name": "Ada", "email": "ada@example.org", "metadata": {"tier": "1"}}
    theirs = await made(partner_api, "customers", body)
    ours = await made(api, "customers", body)
    assert theirs.items() >= body.items()
    assert (ours["partner_id"], theirs["partner_id"] is None) == (None, False)
    assert await problem(partner_api, "POST", "customers", body) == (409, "reference_taken", "reference")
    path = f"customers/{ours['id']}"
    for stranger in (partner_api, other_api):
        assert (await problem(stranger, "GET", path))[0] == 404
        assert (await problem(stranger, "PATCH", path, {"name": "Eve"}))[0] == 404
    assert {c["id"] for c in (await api("GET", "customers")).json()["data"]} == {ours["id"], theirs["id"]}
    found = (await partner_api("GET", "customers", reference="C-1")).json()["data"]
    assert [c["id"] for c in found] == [theirs["id"]]
    forgotten = (await api("PATCH", path, {"name": None, "email": None})).json()
    assert (forgotten["name"], forgotten["email"]) == (None, None)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "reference"),
        ({"reference": "C", "surname": "x"}, "surname"),
        ({"reference": 5}, "reference"),
        ({"reference": "C", "metadata": {"k": 1}}, "metadata.k"),
        ({"reference": "C", "metadata": {str(n): "" for n in range(51)}}, "metadata"),
        ({"reference": "C", "business_unit_id": encode_id("bu", new_id())}, "business_unit_id"),
        ({"reference": "C", "business_unit_id": "pay_1"}, "business_unit_id"),
    ],
)
async def test_a_wrong_customer_is_refused_by_field(api: Api, body: dict[str, Any], field: str) -> None:
    assert (await problem(api, "POST", "customers", body))[::2] == (422, field)
    assert (await api("GET", "customers")).json()["data"] == []


async def test_settings_are_put_and_read_as_of_an_instant(api: Api) -> None:
    begins = now() + timedelta(days=1)
    put = (await api("PUT", "config/fee.rate", {"type": "NUMBER", "value": "0.0250"})).json()
    assert (put["value"], put["encrypted"]) == ("0.0250", False)
    assert put["created_by"].startswith("key_")
    await api("PUT", "config/fee.rate", {"type": "NUMBER", "value": 3, "effective_from": begins.isoformat()})
    assert (await api("GET", "config/fee.rate")).json()["value"] == "0.0250"
    later = (await api("GET", "config/fee.rate", at=(begins + timedelta(days=1)).isoformat())).json()
    assert later["value"] == "3"
    assert [s["key"] for s in (await api("GET", "config")).json()["data"]] == ["fee.rate"]
    assert (await problem(api, "GET", "config/none"))[:2] == (404, "setting_not_found")
    assert (await problem(api, "PUT", "config/Bad-Key", {"type": "STRING", "value": "x"}))[::2] == (
        422,
        "key",
    )
    assert await problem(api, "PUT", "config/k", {"type": "NUMBER", "value": 0.5}) == (
        422,
        "invalid_request",
        "value",
    )


async def test_an_encrypted_setting_is_never_shown(api: Api) -> None:
    body = {"type": "STRING", "value": "hunter2hunter2", "encrypted": True}
    answers = [
        await api("PUT", "config/psp.secret", body),
        await api("GET", "config/psp.secret"),
        await api("GET", "config"),
    ]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert all("hunter2" not in answer.text for answer in answers)
    assert (answers[1].json()["encrypted"], answers[1].json()["value"]) == (True, None)


async def test_usage_is_read_by_days(api: Api, tenancy: Tenancy, twins: Twins) -> None:
    meter = UsageMeter(tenancy.database)
    meter.count_call(twins[0].tenant_id)
    await meter.flush()
    today = now().date().isoformat()
    expected = {"data": [{"day": today, "metric": "API_CALLS", "value": 1}]}
    assert (await api("GET", "usage")).json() == expected
    assert (await api("GET", "usage", first=today, last=today, metric="API_CALLS")).json() == expected
    assert (await api("GET", "usage", metric="PAYMENTS")).json() == {"data": []}
    for query in (
        {"first": "2020-01-01"},
        {"first": today, "last": "2020-01-01"},
        {"first": "0001-01-01", "last": "9999-12-31"},
        {"first": "soon"},
    ):
        assert (await problem(api, "GET", "usage", **query))[::2] == (422, "first")
    assert (await api("GET", "usage", last="0001-01-01")).json() == {"data": []}


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b'{"name": ', 400),
        (b"\xff\xfe", 400),
        (b'{"name": "\\ud800", "email": "p@shop.example"}', 400),
        (b'{"name": NaN, "email": "p@shop.example"}', 400),
        (b'{"name": "\x80"}', 400),
        (b"[]", 422),
    ],
)
async def test_bodies_that_are_no_json_objects_are_refused(api: Api, content: bytes, status: int) -> None:
    answer = await api.send("POST", "partners", content)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"

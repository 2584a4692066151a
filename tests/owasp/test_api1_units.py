"""API1:2023 within a tenant: whoever may in a business unit only reaches what is in it and nothing beside."""

import time
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from florin.access.people.model import Grant
from florin.kernel.http.call import Permission
from florin.kernel.ids import decode_id
from florin.kernel.permissions import PERMISSIONS
from tests.flows.world import Operation, Tenant
from tests.owasp.house import OPERATIONS, House, path_ids, permission, send


def by_unit(operation: Operation) -> bool:
    asked = permission(operation)
    return isinstance(asked, Permission) and asked.by_unit


BY_UNIT = [one for one in OPERATIONS if by_unit(one)]
WITH_ID = [one for one in BY_UNIT if path_ids(one)]
SEARCHES = {"searchUsers", "searchCustomers"}
LISTS = {
    "listBusinessUnits": "bu",
    "listCustomers": "cus",
    "listUsers": "user",
    "listAssignments": "asg",
}
MAKES = {"createBusinessUnit", "createCustomer", "createUser", "createAssignment", "setSetting"}
OF_NO_UNIT = {"listRoles", "getRole", "listSettings", "getSetting"}
"""What roles and settings there are; of settings, those of units have a test below."""


def named(cases: list[Operation]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("operation", cases, ids=[one.name for one in cases])


def below(house: House) -> Tenant:
    """The unit's administrator, with one of everything in a new unit below his."""
    own = house.unit.ids["bu"]
    unit = {"name": "Below", "type": "RETAIL", "parent_id": own}
    ids = {"bu": house.ours.made("/v1/business-units", unit)["id"]}
    someone = house.resident(Grant("viewer", decode_id("bu", ids["bu"])))
    ids |= {"user": someone.name, "ses": someone.session}
    customer = {"reference": uuid4().hex, "business_unit_id": ids["bu"], "email": someone.email}
    ids["cus"] = house.ours.made("/v1/customers", customer)["id"]
    shown = house.ours.made(f"/v1/assignments?user_id={someone.name}", method="GET")
    ids["asg"] = shown["data"][0]["id"]
    names = house.unit.names | {"email": someone.email}
    there = replace(house.unit, ids=ids, names=names)
    until = time.monotonic() + 5
    while there.request("GET", f"/v1/business-units/{ids['bu']}").status_code != 200:
        assert time.monotonic() < until, "the process does not hear of the new unit"
        time.sleep(0.01)
    return there


def made_in(name: str, unit: str | None, user: str) -> dict[str, Any]:
    """The body that makes something in a unit; None: in the whole tenant."""
    place = {"business_unit_id": unit}
    bodies: dict[str, dict[str, Any]] = {
        "createBusinessUnit": {"name": "Lower", "type": "RETAIL", "parent_id": unit},
        "createCustomer": {"reference": uuid4().hex, **place},
        "createUser": {
            "user_name": f"u{uuid4().hex[:20]}",
            "assignments": [{"role": "viewer", **place}],
        },
        "createAssignment": {"user_id": user, "role": "operator", **place},
        "setSetting": {"type": "BOOLEAN", "value": True, **place},
    }
    return bodies[name]


def test_every_endpoint_that_knows_units_is_tried_here() -> None:
    without_id = {one.name for one in BY_UNIT} - {one.name for one in WITH_ID}
    assert without_id == SEARCHES | set(LISTS) | MAKES | OF_NO_UNIT


@named(WITH_ID)
def test_what_is_in_the_unit_or_below_it_can_be_had_and_what_is_beside_it_never_was(
    house: House, operation: Operation
) -> None:
    there = below(house)
    body = operation.example
    answer = send(there, operation, there.path(operation), body)
    assert answer.status_code < 300 or answer.json()["code"] == "user_state", answer.text
    beside = send(there, operation, house.ours.path(operation), body)
    assert beside.status_code == 404, beside.text


@named([one for one in WITH_ID if len(path_ids(one)) > 1])
def test_what_is_beside_the_unit_is_not_reached_by_way_of_what_is_in_it(
    house: House, operation: Operation
) -> None:
    there = below(house)
    for name, prefix in path_ids(operation).items():
        mixed = there.path(operation, **{name: house.ours.ids[prefix]})
        assert send(there, operation, mixed).status_code == 404, mixed


@named([one for one in BY_UNIT if one.name in LISTS])
def test_lists_show_what_is_in_the_unit(house: House, operation: Operation) -> None:
    there = below(house)
    shown = there.made(f"{operation.path}?limit=100", method="GET")["data"]
    assert there.ids[LISTS[operation.name]] in {one["id"] for one in shown}


@named([one for one in BY_UNIT if one.name in SEARCHES])
def test_searches_find_who_is_in_the_unit_and_nobody_beside_it(house: House, operation: Operation) -> None:
    there, outside = below(house), f"{uuid4().hex}@shop.example"
    house.ours.made("/v1/customers", {"reference": uuid4().hex, "email": outside})
    house.ours.made("/v1/users", {"user_name": f"u{uuid4().hex[:20]}", "email": outside})
    found = there.made(operation.path, {"email": there.names["email"]})["data"]
    assert [one["id"] for one in found] == [there.ids["user" if "Users" in operation.name else "cus"]]
    assert there.made(operation.path, {"email": outside})["data"] == []


@named([one for one in BY_UNIT if one.name in MAKES])
def test_things_are_made_in_the_unit_and_nowhere_else(house: House, operation: Operation) -> None:
    there, path = below(house), house.ours.path(operation)
    before = house.digest()
    for unit in (None, house.ours.ids["bu"], house.theirs.ids["bu"]):
        body = made_in(operation.name, unit, there.ids["user"])
        answer = there.request(operation.method, path, json=body)
        assert answer.status_code in (403, 404, 422), (unit, answer.text)
    assert house.digest() == before
    body = made_in(operation.name, there.ids["bu"], there.ids["user"])
    answer = there.request(operation.method, path, json=body)
    assert answer.status_code in (200, 201), answer.text


def test_settings_of_units_beside_are_not_shown(house: House) -> None:
    for path in ("/v1/config", "/v1/config/fraud.enabled"):
        own = house.unit.request("GET", path, params={"business_unit_id": house.unit.ids["bu"]})
        assert own.status_code == 200
        for beside in (house.ours.ids["bu"], house.theirs.ids["bu"]):
            answer = house.unit.request("GET", path, params={"business_unit_id": beside})
            assert answer.status_code in (403, 404, 422), answer.text


def test_things_are_not_moved_out_of_the_unit(house: House) -> None:
    there = below(house)
    for path, field in (
        (f"/v1/business-units/{there.ids['bu']}", "parent_id"),
        (f"/v1/customers/{there.ids['cus']}", "business_unit_id"),
    ):
        before = house.digest()
        for beside in (None, house.ours.ids["bu"], house.theirs.ids["bu"]):
            answer = there.request("PATCH", path, json={field: beside})
            assert answer.status_code in (403, 404, 422), (path, beside, answer.text)
        assert house.digest() == before


@named([one for one in BY_UNIT if one.name not in OF_NO_UNIT])
def test_every_permission_in_another_unit_finds_nothing(house: House, operation: Operation) -> None:
    there = below(house)
    elsewhere = decode_id("bu", house.ours.ids["bu"])
    who = house.user(unit_scopes={elsewhere: frozenset(PERMISSIONS)})
    if path_ids(operation):
        answer = send(who, operation, there.path(operation), operation.example)
        assert answer.status_code == 404, answer.text
    elif operation.name in LISTS:
        shown = who.made(f"{operation.path}?limit=100", method="GET")["data"]
        assert there.ids[LISTS[operation.name]] not in {one["id"] for one in shown}
    elif operation.name in SEARCHES:
        assert who.made(operation.path, {"email": there.names["email"]})["data"] == []
    else:
        body = made_in(operation.name, there.ids["bu"], there.ids["user"])
        answer = who.request(operation.method, there.path(operation), json=body)
        assert answer.status_code in (403, 404, 422), answer.text

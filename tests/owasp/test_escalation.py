"""API5:2023, the way up: whoever manages people and keys gains nothing that he was never given."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from florin.access.people.model import Grant
from florin.kernel.ids import decode_id
from florin.kernel.permissions import PERMISSIONS, beyond
from tests.flows.world import Operation, Tenant
from tests.owasp.house import OPERATIONS, House
from tests.owasp.residents import Resident

Json = dict[str, Any]
Step = tuple[str, str, Json | None]
ROLES = ("tenant_admin", "platform_admin", "everything", "compliance_officer", "finance", "auditor")
PEOPLE = ("/v1/users", "/v1/roles", "/v1/assignments", "/v1/api-keys", "/v1/business-units")


def held(house: House, who: Resident) -> Json:
    """What he may do, as he is told."""
    me = house.as_user(who).made("/v1/me", method="GET")
    return {name: me[name] for name in ("permissions", "unit_permissions")}


def given_by(house: House, name: str) -> Iterator[tuple[str, list[str]]]:
    """Roles and keys that somebody, `user_...` or `key_...`, has made or given, and what they allow."""
    with psycopg.connect(house.root, autocommit=True) as root:
        roles = root.execute(
            "SELECT coalesce(b.code, r.code), coalesce(b.permissions, r.permissions)"
            " FROM access.assignments a LEFT JOIN reference.roles b ON b.code = a.built_in"
            " LEFT JOIN access.roles r ON r.tenant_id = a.tenant_id AND r.id = a.role_id"
            " WHERE a.assigned_by = %s AND a.ended_at IS NULL",
            (name,),
        ).fetchall()
        keys = root.execute(
            "SELECT name, scopes FROM access.api_keys WHERE created_by = %s", (name,)
        ).fetchall()
        own = root.execute(
            "SELECT code, permissions FROM access.roles WHERE created_by = %s", (name,)
        ).fetchall()
    yield from [*roles, *keys, *own]


def assignments_of(house: House, who: Resident) -> list[Json]:
    found: list[Json] = house.ours.made(f"/v1/assignments?user_id={who.name}", method="GET")["data"]
    return found


def steps(house: House, me: Resident, subject: str, unit: str, strongest: Resident) -> Iterator[Step]:
    """What somebody tries who wants more: for himself, for whoever he can act as, by whatever is at hand."""
    stronger = strongest.name
    for role in ROLES:
        for place in (None, unit, house.ours.ids["bu"]):
            for user in (me.name, subject, stronger):
                grant = {"user_id": user, "role": role, "business_unit_id": place}
                yield "POST", "/v1/assignments", grant
            new = {"user_name": f"u{uuid4().hex[:20]}"}
            yield "POST", "/v1/users", {**new, "assignments": [{"role": role, "business_unit_id": place}]}
        yield "PATCH", f"/v1/roles/{role}", {"permissions": ["*"]}
    for place in (None, unit):
        grant = {"user_id": me.name, "role": "business_unit_admin", "business_unit_id": place}
        yield "POST", "/v1/assignments", grant
    yield "POST", "/v1/users", {"user_name": f"u{uuid4().hex[:20]}"}
    for permissions in (["*"], ["users:*"], ["keys:write"], ["platform:write"], sorted(PERMISSIONS)):
        more = {"code": f"r{uuid4().hex[:20]}", "name": "More", "permissions": permissions}
        yield "POST", "/v1/roles", more
        yield "PATCH", "/v1/roles/viewer", {"permissions": permissions}
        yield "POST", "/v1/api-keys", {"name": "more", "scopes": permissions}
    for change in ({"permissions": ["*"]}, {"status": "ACTIVE"}, {"partner_id": None}):
        yield "PATCH", f"/v1/users/{me.name}", change
    for email in (f"{uuid4().hex}@evil.example", strongest.email):
        yield "PATCH", f"/v1/users/{stronger}", {"email": email}
    for action in ("suspend", "unlock", "reset-second-factor", "sessions/end", "erase"):
        yield "POST", f"/v1/users/{stronger}/{action}", None
    yield "DELETE", f"/v1/users/{stronger}", None
    yield "POST", f"/v1/users/{stronger}/sessions/{strongest.session}/end", None
    key = house.ours.ids["key"]
    looser: tuple[Json, ...] = (
        {"scopes": ["*"]},
        {"allowed_addresses": []},
        {"limits": {"per_minute": None}},
    )
    for loosened in looser:
        yield "PATCH", f"/v1/api-keys/{key}", loosened
    yield "POST", f"/v1/api-keys/{key}/rotate", {"overlap_hours": 1}
    yield "PATCH", f"/v1/business-units/{house.ours.ids['bu']}", {"parent_id": unit}
    yield "PATCH", f"/v1/business-units/{unit}", {"parent_id": None}


def walk(house: House, who: Tenant, tried: Iterator[Step]) -> list[Step]:
    """Takes every step; those that were allowed."""
    allowed = []
    for method, path, body in tried:
        answer = who.request(method, path, json=body)
        assert answer.status_code < 500, (method, path, body, answer.text)
        if answer.status_code < 300:
            allowed.append((method, path, body))
    return allowed


def below(house: House, unit: str) -> Resident:
    return house.resident(Grant("operator", decode_id("bu", unit)))


def test_a_units_administrator_gains_nothing_by_anything_that_he_tries(house: House) -> None:
    unit = house.ours.made("/v1/business-units", {"name": "Ladder", "type": "RETAIL"})["id"]
    me = house.resident(Grant("business_unit_admin", decode_id("bu", unit)))
    subject = below(house, unit)
    before, roles = held(house, me), assignments_of(house, me)
    strongest = house.resident(Grant("tenant_admin"))
    his = held(house, strongest), assignments_of(house, strongest)
    assert (before["permissions"], list(before["unit_permissions"])) == ([], [unit])
    allowed = walk(house, house.as_user(me), steps(house, me, subject.name, unit, strongest))
    assert allowed == []
    assert held(house, me) == before
    assert assignments_of(house, me) == roles
    assert list(given_by(house, me.name)) == []
    assert (held(house, strongest), assignments_of(house, strongest)) == his


def test_what_he_may_give_is_what_he_has_and_where_he_has_it(house: House) -> None:
    unit = house.ours.made("/v1/business-units", {"name": "Giving", "type": "RETAIL"})["id"]
    me = house.resident(Grant("business_unit_admin", decode_id("bu", unit)))
    own, as_me = held(house, me)["unit_permissions"][unit], house.as_user(me)
    grant = {"role": "business_unit_admin", "business_unit_id": unit}
    body = {"user_name": f"u{uuid4().hex[:20]}", "assignments": [grant]}
    made = as_me.made("/v1/users", body)["id"]
    given = list(given_by(house, me.name))
    assert [name for name, _ in given] == ["business_unit_admin"]
    assert all(beyond(own, permissions) == [] for _, permissions in given)
    deputy = replace(me, id=decode_id("user", made), tokens=house.tokens_of(house.tenant_id, made))
    before = held(house, me)
    tried = steps(house, deputy, me.name, unit, house.resident(Grant("tenant_admin")))
    allowed = walk(house, house.as_user(deputy), tried)
    assert allowed == []
    assert held(house, me) == before


@pytest.mark.parametrize("scope", ["users:write", "roles:write", "keys:write"])
def test_a_key_that_manages_people_roles_or_keys_gives_no_more_than_it_may(house: House, scope: str) -> None:
    scopes = [scope, "users:read", "roles:read", "keys:read", "payments:read"]
    made = house.ours.made("/v1/api-keys", {"name": scope, "scopes": scopes})
    key = replace(house.ours, key=made["secret"])
    unit, subject = house.ours.ids["bu"], house.resident()
    strongest = house.resident(Grant("tenant_admin"))
    his = held(house, strongest), assignments_of(house, strongest)
    for _, path, body in walk(house, key, steps(house, subject, subject.name, unit, strongest)):
        assert not {"permissions", "role", "email"} & (body or {}).keys(), (path, body)
        assert strongest.name not in path, (path, body)
        assert not path.startswith("/v1/api-keys/"), "its scopes are not among those that it may give"
    assert all(beyond(scopes, permissions) == [] for _, permissions in given_by(house, made["id"]))
    assert (held(house, strongest), assignments_of(house, strongest)) == his


def test_every_endpoint_that_changes_people_roles_or_keys_is_a_step(house: House) -> None:
    me, unit = house.colleague, house.unit.ids["bu"]
    tried = {one[:2] for one in steps(house, me, me.name, unit, house.admin)}
    missing = {
        operation.name
        for operation in OPERATIONS
        if operation.method != "GET"
        and operation.path.startswith(PEOPLE)
        and not any(is_of(operation, *one) for one in tried)
    }
    assert missing == HARMLESS


def is_of(operation: Operation, method: str, path: str) -> bool:
    """Whether a request is one of this operation."""
    form = re.sub(r"\{\w+\}", "[^/]+", operation.path)
    return method == operation.method and re.fullmatch(form, path) is not None


HARMLESS = {
    *("searchUsers", "reactivateUser", "endAssignment", "revokeApiKey", "deleteRole"),
    "createBusinessUnit",
}
"""They find, let in again, take away, or make a place without people: they have tests of their own."""

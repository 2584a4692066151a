"""API3:2023, broken object property level authorization: nothing is taken or shown that is not documented."""

from typing import Any
from uuid import uuid4

import psycopg
import pytest

from tests.flows.world import DOCUMENT, Operation, resolve, with_value
from tests.owasp.documented import is_free, objects, schemas_at, undocumented
from tests.owasp.house import OPERATIONS, House

OWNED = {
    "id": "pay_01h455vb4pex5vsknk084sn02q",
    "tenant_id": 1,
    "tenant": 1,
    "partner_id": "ptnr_01h455vb4pex5vsknk084sn02q",
    "status": "ACTIVE",
    "live": True,
    "balance": 10**9,
    "amount_refunded": 0,
    "sequence": 1,
    "created_at": "2026-01-01T00:00:00Z",
    "updated_at": "2026-01-01T00:00:00Z",
    "created_by": "user_01h455vb4pex5vsknk084sn02q",
    "scopes": ["*"],
    "permissions": ["*"],
    "roles": ["platform_admin"],
    "is_admin": True,
    "platform": True,
    "digest": "00",
    "secret": "whsec_AAAA",
    "password": "correct horse battery staple",
    "password_hash": "$argon2id$",
    "verified": True,
    "email_verified_at": "2026-01-01T00:00:00Z",
    "phone_verified_at": "2026-01-01T00:00:00Z",
    "deleted_at": None,
    "person_id": "prs_01h455vb4pex5vsknk084sn02q",
    "assigned_by": "user_01h455vb4pex5vsknk084sn02q",
    "built_in": True,
    "second_factor": {"totp": False},
    "unit_permissions": {"bu_01h455vb4pex5vsknk084sn02q": ["*"]},
    "object": "payment",
    "__proto__": {},
    "$where": "1",
}
"""What attackers add to a body in the hope that it is taken."""

WITH_BODY = [one for one in OPERATIONS if one.schema is not None and one.example is not None]
GETS = [one for one in OPERATIONS if one.method == "GET"]


def named(cases: list[Operation]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("operation", cases, ids=[one.name for one in cases])


@named(WITH_BODY)
def test_fields_that_are_the_servers_are_refused_by_name_wherever_they_stand(
    house: House, operation: Operation
) -> None:
    assert operation.schema is not None
    who, before = house.able(operation), house.digest()
    body = who.body(operation)
    tried = 0
    for path, found in objects(body):
        known = [one for one in schemas_at(operation.schema, path) if one.get("type") == "object"]
        if any(is_free(one) for one in known):
            continue
        documented = {name for one in known for name in one.get("properties", ())}
        for name, value in OWNED.items():
            if name in documented:
                continue
            changed = with_value(body, path, {**found, name: value}) if path else {**found, name: value}
            answer = who.request(operation.method, who.path(operation), json=changed)
            assert answer.status_code == 422, (path, name, answer.text)
            problem = answer.json()
            params = {problem.get("param"), *(error["param"] for error in problem.get("errors", ()))}
            assert any(one and one.endswith(name) for one in params), (path, name, problem)
            tried += 1
    assert tried
    assert house.digest() == before


@named(GETS)
def test_an_answer_shows_what_is_documented_and_no_more(house: House, operation: Operation) -> None:
    told = DOCUMENT["paths"][operation.path]["get"]["responses"]
    for who in (house.able(operation), house.caller(house.partner)):
        answer = who.request("GET", who.path(operation))
        schema = resolve(told[str(answer.status_code)])["content"].get("application/json", {}).get("schema")
        if answer.is_success and schema is not None:
            assert list(undocumented(schema, answer.json())) == []


def test_no_schema_of_an_answer_has_room_for_anything() -> None:
    """A response that may hold any object could show any column."""
    loose = []
    for operation in OPERATIONS:
        for status, told in DOCUMENT["paths"][operation.path][operation.method.lower()]["responses"].items():
            schema = told.get("content", {}).get("application/json", {}).get("schema")
            if status.startswith("2") and schema is not None and resolve(schema).get("type") == "object":
                shown = resolve(schema)
                if "properties" not in shown and not isinstance(shown.get("additionalProperties"), dict):
                    loose.append(operation.name)
    assert loose == []


def test_a_user_is_made_as_nobody_in_particular_whatever_else_is_sent(house: House) -> None:
    made = house.ours.made("/v1/users", {"user_name": f"u{uuid4().hex[:20]}"})
    assert (made["status"], made["partner_id"]) == ("INVITED", None)
    assert (made["email_verified_at"], made["phone_verified_at"]) == (None, None)
    changes = {
        "status": "ACTIVE",
        "tenant_id": house.their_tenant_id,
        "partner_id": house.partner.ids["ptnr"],
        "email_verified_at": "2026-01-01T00:00:00Z",
        "password_hash": "$argon2id$v=19$m=1024,t=1,p=1$AAAA$AAAA",
        "permissions": ["*"],
    }
    for name, value in changes.items():
        answer = house.ours.request("PATCH", f"/v1/users/{made['id']}", json={"name": "Ann", name: value})
        assert (answer.status_code, answer.json()["param"]) == (422, name)
    shown = house.ours.request("GET", f"/v1/users/{made['id']}").json()
    assert shown == made


def test_another_address_has_to_be_verified_anew(house: House) -> None:
    who = house.resident()
    with psycopg.connect(house.root, autocommit=True) as root:
        root.execute(f"SET app.tenant_id = {house.tenant_id}".encode())
        root.execute("UPDATE access.users SET email_verified_at = now() WHERE id = %s", (who.id,))
    shown = house.ours.made(f"/v1/users/{who.name}", method="GET")
    assert shown["email_verified_at"] is not None
    changed = house.ours.made(f"/v1/users/{who.name}", {"email": f"{uuid4().hex}@evil.example"}, "PATCH")
    assert changed["email_verified_at"] is None


def test_what_a_partner_makes_is_that_partners(house: House) -> None:
    other, unit = house.other_partner.ids["ptnr"], house.ours.ids["bu"]
    for who in (house.partner, house.as_user(house.clerk, house.partner)):
        before = house.digest()
        attempts: tuple[tuple[str, dict[str, Any]], ...] = (
            ("/v1/users", {"user_name": f"u{uuid4().hex[:20]}", "partner_id": other}),
            ("/v1/customers", {"reference": uuid4().hex, "partner_id": other}),
            ("/v1/customers", {"reference": uuid4().hex, "business_unit_id": unit}),
            ("/v1/api-keys", {"name": "k", "scopes": ["events:read"], "partner_id": other}),
            ("/v1/api-keys", {"name": "k", "scopes": ["events:read"], "limits": {"per_minute": None}}),
            ("/v1/assignments", {"user_id": who.ids["user"], "role": "operator", "business_unit_id": unit}),
            ("/v1/assignments", {"user_id": house.other_partner.ids["user"], "role": "operator"}),
            ("/v1/roles", {"code": "mine", "name": "Mine", "permissions": ["payments:read"]}),
        )
        for path, body in attempts:
            answer = who.request("POST", path, json=body)
            assert answer.status_code in (403, 404, 422), (path, body, answer.text)
        assert house.digest() == before
        own = house.partner.ids["ptnr"]
        made = who.made("/v1/users", {"user_name": f"u{uuid4().hex[:20]}"})
        key = who.made("/v1/api-keys", {"name": "k", "scopes": ["events:read"]})
        assert (made["partner_id"], key["partner_id"]) == (own, own)


def test_no_answer_about_people_shows_what_proves_who_they_are(house: House) -> None:
    for path in (f"/v1/users/{house.admin.name}", f"/v1/users/{house.admin.name}/sessions", "/v1/me"):
        text = house.own.request("GET", path).text
        for secret in ("password_hash", "argon2", "digest", "sealed", "refresh_token", "totp_secret"):
            assert secret not in text, path

"""API3:2023, broken object property level authorization: nothing is taken or shown that is not documented."""

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

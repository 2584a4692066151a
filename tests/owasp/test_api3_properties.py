"""API3:2023, broken object property level authorization: nothing is taken or shown that is not documented."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.flows.world import DOCUMENT, Operation, resolve, with_value
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


def objects(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Every object within an example, and the way to it."""
    if isinstance(value, dict):
        yield path, value
        for name, item in value.items():
            yield from objects(item, (*path, name))
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from objects(item, (*path, position))


def is_free(schema: dict[str, Any]) -> bool:
    """Whether it is a map whose names are the client's, such as metadata."""
    return isinstance(schema.get("additionalProperties"), dict) or (
        schema.get("type") == "object" and "properties" not in schema
    )


def schemas_at(schema: dict[str, Any], path: tuple[str | int, ...]) -> Iterator[dict[str, Any]]:
    """The schemas of what stands there: one, or several alternatives."""
    schema = resolve(schema)
    for key in ("anyOf", "oneOf", "allOf"):
        for one in schema.get(key, ()):
            yield from schemas_at(one, path)
    if not path:
        yield schema
    elif isinstance(path[0], int):
        if "items" in schema:
            yield from schemas_at(schema["items"], path[1:])
    elif path[0] in schema.get("properties", {}):
        yield from schemas_at(schema["properties"][path[0]], path[1:])
    elif isinstance(schema.get("additionalProperties"), dict):
        yield from schemas_at(schema["additionalProperties"], path[1:])


@named(WITH_BODY)
def test_fields_that_are_the_servers_are_refused_by_name_wherever_they_stand(
    house: House, operation: Operation
) -> None:
    assert operation.schema is not None
    body, before = house.ours.body(operation), house.digest()
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
            answer = house.ours.request(operation.method, house.ours.path(operation), json=changed)
            assert answer.status_code == 422, (path, name, answer.text)
            problem = answer.json()
            params = {problem.get("param"), *(error["param"] for error in problem.get("errors", ()))}
            assert any(one and one.endswith(name) for one in params), (path, name, problem)
            tried += 1
    assert tried
    assert house.digest() == before


def undocumented(schema: dict[str, Any], value: Any, path: str = "") -> Iterator[str]:
    """What an answer shows and its schema does not know."""
    known = list(schemas_at(schema, ()))
    if isinstance(value, dict):
        if any(is_free(one) for one in known):
            return
        properties: dict[str, Any] = {}
        for one in known:
            properties |= one.get("properties", {})
        for name, item in value.items():
            if name not in properties:
                yield f"{path}.{name}"
            else:
                yield from undocumented(properties[name], item, f"{path}.{name}")
    elif isinstance(value, list):
        items = [one["items"] for one in known if "items" in one]
        for item in value:
            yield from undocumented({"anyOf": items}, item, f"{path}[]")


@named(GETS)
def test_an_answer_shows_what_is_documented_and_no_more(house: House, operation: Operation) -> None:
    told = DOCUMENT["paths"][operation.path]["get"]["responses"]
    for who in (house.ours, house.caller(house.partner)):
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

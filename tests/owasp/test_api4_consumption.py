"""API4:2023, unrestricted resource consumption: whatever a client sends or asks for has a bound."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from florin.kernel.http.body import MAX_DEPTH
from tests.flows.world import DOCUMENT, Operation, resolve
from tests.owasp.house import OPERATIONS, House

LISTS = [one for one in OPERATIONS if any(p["name"] == "limit" for p in one.parameters)]
WHOLE = {
    "listCurrencies": "ISO 4217",
    "listPaymentMethods": "what there is to pay with",
    "listSealKeys": "one for each time that they were changed",
}
"""Lists without pages, and what bounds them."""

BOUNDED_BY_FORM = ("date", "date-time", "uuid", "uri", "email")


def named(cases: list[Operation]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("operation", cases, ids=[one.name for one in cases])


def unbounded(schema: dict[str, Any], path: str, seen: tuple[str, ...] = ()) -> Iterator[str]:
    """Texts without a length and arrays without a number, in what a client may send."""
    if "$ref" in schema:
        if schema["$ref"] in seen:
            return
        seen = (*seen, schema["$ref"])
    schema = resolve(schema)
    if "properties" not in schema:  # or the alternatives only narrow what stands there
        for key in ("anyOf", "oneOf", "allOf"):
            for one in schema.get(key, ()):
                yield from unbounded(one, path, seen)
    kind = schema.get("type")
    if kind == "string" and not (
        {"maxLength", "enum", "const"} & schema.keys()
        or schema.get("format") in BOUNDED_BY_FORM
        or is_finite(schema.get("pattern", ".*"))
    ):
        yield path
    if kind == "array":
        if "maxItems" not in schema:
            yield f"{path}[]"
        yield from unbounded(schema.get("items", {}), f"{path}[]", seen)
    for name, one in schema.get("properties", {}).items():
        yield from unbounded(one, f"{path}.{name}", seen)
    if isinstance(schema.get("additionalProperties"), dict):
        if "maxProperties" not in schema:
            yield f"{path}{{}}"
        yield from unbounded(schema["additionalProperties"], f"{path}{{}}", seen)


def is_finite(pattern: str) -> bool:
    """Whether a regular expression matches texts up to a length only."""
    bare = re.sub(r"\\.", "x", pattern)
    bare = re.sub(r"\[[^\]]*\]", "x", bare)
    return not re.search(r"[*+]|\{\d+,\}", bare) and bare.startswith("^") and bare.endswith("$")


@named([one for one in OPERATIONS if one.schema is not None])
def test_every_text_and_every_array_of_a_body_has_a_bound(operation: Operation) -> None:
    assert operation.schema is not None
    assert list(unbounded(operation.schema, "body")) == []


@named(OPERATIONS)
def test_every_text_of_a_path_or_a_query_has_a_bound(operation: Operation) -> None:
    for parameter in operation.parameters:
        assert list(unbounded(parameter["schema"], parameter["name"])) == []


@named(LISTS)
def test_a_page_has_a_size_and_there_is_no_way_around_it(house: House, operation: Operation) -> None:
    who = house.able(operation)
    for limit in ("0", "-1", "1001", "1000000000", "101", "1e3", "100.5", "NaN", "*"):
        body = who.body(operation)
        answer = who.request(operation.method, who.path(operation), params={"limit": limit}, json=body)
        assert (answer.status_code, answer.json()["param"]) == (422, "limit")
    assert not {"offset", "page", "skip"} & {one["name"] for one in operation.parameters}, (
        "pages by number cost more the deeper they are"
    )


def test_whatever_shows_a_list_of_the_tenants_things_shows_it_in_pages(house: House) -> None:
    for operation in OPERATIONS:
        if operation.method != "GET":
            continue
        schema = DOCUMENT["paths"][operation.path]["get"]["responses"]["200"]
        shown = resolve(schema.get("content", {}).get("application/json", {}).get("schema", {}))
        if "has_more" in shown.get("properties", {}):
            assert operation in LISTS or operation.name in WHOLE, operation.name


def test_the_next_page_begins_after_an_id_and_shows_nothing_twice(house: House) -> None:
    first = house.ours.request("GET", "/v1/events", params={"limit": 2}).json()
    assert first["has_more"]
    last = first["data"][-1]["id"]
    second = house.ours.request("GET", "/v1/events", params={"limit": 2, "starting_after": last}).json()
    assert not {one["id"] for one in first["data"]} & {one["id"] for one in second["data"]}


@named([one for one in OPERATIONS if one.schema is not None])
def test_bombs_are_refused_before_they_go_off(house: House, operation: Operation) -> None:
    who = house.able(operation)
    path = who.path(operation)
    json_type = {"content-type": "application/json"}
    for content in (
        b"[" * 100_000,
        b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1),
        b'{"a": 1' + b"0" * 5_000 + b"}",
        b'{"a": 1e400}',
    ):
        answer = who.request(operation.method, path, content=content, headers=json_type)
        assert answer.status_code in (400, 422), (content[:20], answer.text)
    squeezed = {**json_type, "content-encoding": "gzip"}
    answer = who.request(operation.method, path, content=b"\x1f\x8b\x08\x00", headers=squeezed)
    assert answer.status_code == 400  # nothing is unpacked


def test_a_body_larger_than_allowed_is_not_read(house: House) -> None:
    answer = house.ours.request("POST", "/v1/payments", content=b" " * 1_100_000)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")

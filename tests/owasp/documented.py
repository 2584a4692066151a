"""What the document says of what is sent and shown, and whether an answer keeps to it."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import httpx

from tests.flows.world import DOCUMENT, resolve


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


@cache
def _paths() -> list[tuple[re.Pattern[str], dict[str, Any]]]:
    """Every path as a pattern, those without parameters first."""
    by_parameters = sorted(DOCUMENT["paths"].items(), key=lambda one: str(one[0]).count("{"))
    return [
        (re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path))), item) for path, item in by_parameters
    ]


def check_documented(answer: httpx.Response) -> None:
    """Fails the test whose request was answered with a status or a field that the document does not know."""
    request = answer.request
    item = next((one for form, one in _paths() if form.fullmatch(request.url.path)), {})
    told = item.get(request.method.lower())
    if told is None or not answer.is_success:
        return
    where = f"{request.method} {request.url.path} {answer.status_code}"
    assert str(answer.status_code) in told["responses"], where
    content = resolve(told["responses"][str(answer.status_code)]).get("content", {})
    schema = content.get("application/json", {}).get("schema")
    if schema is not None and answer.headers["content-type"] == "application/json":
        answer.read()
        assert list(undocumented(schema, answer.json())) == [], where

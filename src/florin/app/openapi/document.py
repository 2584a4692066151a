"""What FastAPI derives from the routes, made into a document that a client can be written from."""

import json
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from importlib import resources
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from florin import __version__
from florin.app.openapi.naming import TAGS, operation_id, sentence
from florin.app.openapi.problem_codes import refusals, title_of
from florin.app.openapi.problems import ALIKE, problem_examples
from florin.kernel.http.call import OpenToAll, Permission
from florin.kernel.http.gate import permission_of
from florin.kernel.http.problem import MEDIA_TYPE, problems
from florin.kernel.permissions import SELF

DESCRIPTION: Final = """
Florin takes payments through several providers, keeps the double-entry ledger, and tells you about
it by signed webhooks.

* **Keys**: `Authorization: Bearer fl_test_...`. Test keys see the test books and nothing else.
* **Amounts** are whole numbers of minor units (cents, paise, yen).
* **Idempotency**: a POST that moves money needs an `Idempotency-Key`. The same key and body answers
  the same again; the same key with another body is refused (422); still in flight is 409.
* **Errors** are problems (RFC 9457) with a stable `code`, the `param` at fault and the `request_id`.
* **Lists** come in pages: `limit`, `starting_after`, `has_more`.
* **Nothing is ignored**: a field or a query parameter that is not documented is refused (422).
"""

_JSON: Final = "application/json"

_HEADERS: Final[dict[str, Any]] = {
    "Request-Id": {
        "description": "This request's name in our log. Send `X-Request-Id` to choose it.",
        "schema": {"type": "string", "maxLength": 64},
        "example": "req_01h455vb4pex5vsknk084sn02q",
    },
    "Idempotent-Replayed": {
        "description": "The Idempotency-Key was used before; this is that request's answer.",
        "schema": {"type": "string", "const": "true"},
    },
    "Retry-After": {
        "description": "Seconds to wait before asking again.",
        "schema": {"type": "integer", "minimum": 0},
        "example": 1,
    },
    "WWW-Authenticate": {
        "description": "How to authenticate.",
        "schema": {"type": "string", "enum": ["Bearer", 'Basic realm="Florin"']},
    },
    "RateLimit-Limit": {
        "description": "Requests that the tightest window allows, of the key or user, its partner, its "
        "tenant or the address. Absent where nothing is limited, as are the other RateLimit headers.",
        "schema": {"type": "integer"},
        "example": 1000,
    },
    "RateLimit-Remaining": {
        "description": "Requests that are left in it.",
        "schema": {"type": "integer"},
        "example": 987,
    },
    "RateLimit-Reset": {
        "description": "Seconds until it ends.",
        "schema": {"type": "integer"},
        "example": 42,
    },
    "RateLimit-Policy": {
        "description": "All windows, as draft-ietf-httpapi-ratelimit-headers writes them.",
        "schema": {"type": "string"},
        "example": '"minute";q=1000;w=60',
    },
    "RateLimit": {
        "description": "The tightest window, as the same draft writes it.",
        "schema": {"type": "string"},
        "example": '"minute";r=987;t=42',
    },
}
_ALIKE_NAMES: Final = {status: type(refusal).__name__ for status, refusal in ALIKE.items()}
_RATE_LIMIT: Final = tuple(name for name in _HEADERS if name.startswith("RateLimit"))

_PARAMETERS: Final = {
    "starting_after": "The last item of the page before.",
    "status": "Only those with this status.",
    "type": "Only those of this type.",
    "kind": "Only those of this kind.",
    "metric": "Only this metric.",
    "currency": "Only those in this currency.",
    "customer": "Only those of this customer.",
    "payment": "Only those of this payment.",
    "account": "Only those that touch this account.",
    "partner_id": "Only those of this partner.",
    "parent_id": "Only those right below this unit.",
    "business_unit_id": "Only those of this unit.",
    "reference": "Only the one with this reference.",
    "key": "The setting's name.",
    "format": "How it is written.",
    "name": "The provider's name.",
}


def install_openapi(app: FastAPI) -> None:
    """Makes `app.openapi()` give the document; it is built once."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _build(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _build(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title="Florin",
        version=__version__,
        summary="A payments platform: payments, ledger, webhooks.",
        description=DESCRIPTION,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        tags=TAGS,
        routes=app.routes,
    )
    examples: dict[str, Any] = json.loads(resources.files(__package__).joinpath("examples.json").read_text())
    routes = {
        (method.lower(), route.path_format): route
        for route in app.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }
    for path, item in document["paths"].items():
        for method, operation in item.items():
            _finish(operation, method, path, routes[method, path])
            for content in _contents(operation):
                _exemplify(content, examples)
    components = document["components"]
    for unused in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(unused, None)
    components["headers"] = _HEADERS
    components["responses"] = _shared_responses()
    components["securitySchemes"] = {
        "key": {
            "type": "http",
            "scheme": "bearer",
            "description": "An API key, `fl_test_...` or `fl_live_...`, or an access token of a session or "
            "an OAuth client. The scope that an operation needs is named with it; `*` has them all, "
            "`payments:*` those of its family.",
        },
        "session": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "An access token of a session. What is a user's own needs no scope.",
        },
    }
    document["webhooks"] = {"event": _webhook(examples["EventView"])}
    document["x-problem-codes"] = [
        {"status": int(kind.status), "code": kind.code, "title": title_of(kind)} for kind in refusals()
    ]
    return document


def _finish(operation: dict[str, Any], method: str, path: str, route: APIRoute) -> None:
    operation["operationId"] = operation_id(method, path)
    if route.summary is None:
        operation["summary"] = sentence(route.name)
    if path.startswith("/v1/"):
        operation["security"] = _security(route)
        if method in ("post", "put", "patch"):
            operation["responses"]["415"] = {}
    for parameter in operation.get("parameters", ()):
        _describe(parameter)
    # The framework guesses that bad input is answered in its own way.
    for status, response in list(operation["responses"].items()):
        if "HTTPValidationError" in str(response):
            del operation["responses"][status]
    operation["responses"] = dict(sorted(operation["responses"].items()))
    keyed = any(one["name"] == "Idempotency-Key" for one in operation.get("parameters", ()))
    for status, response in operation["responses"].items():
        own = set(response.get("content", ())) == {_JSON}  # such as OAuth's errors, which are no problems
        if int(status) in ALIKE and "security" in operation and not own:
            operation["responses"][status] = {"$ref": f"#/components/responses/{_ALIKE_NAMES[int(status)]}"}
            continue
        if response["description"] == "Successful Response":
            response["description"] = HTTPStatus(int(status)).phrase
        content = response.get("content", {})
        if MEDIA_TYPE in content:
            response["content"] = _problem_content(problem_examples(operation, int(status)))
        response["headers"] = _header_references(
            _headers(int(status), secured="security" in operation, keyed=keyed)
        )


def _headers(status: int, *, secured: bool, keyed: bool) -> Iterator[str]:
    yield "Request-Id"
    if status in (409, 429, 503, 504):
        yield "Retry-After"
    if status == 401:  # noqa: PLR2004 - Unauthorized
        yield "WWW-Authenticate"
    elif secured:
        yield from _RATE_LIMIT
        if keyed and status != 400:  # noqa: PLR2004 - the key was not looked at
            yield "Idempotent-Replayed"


def _shared_responses() -> dict[str, Any]:
    """What operations under /v1 answer alike, for them to refer to."""
    return {
        name: {
            "description": problems(status)[status]["description"],
            "content": _problem_content(problem_examples({"operationId": name}, status)),
            "headers": _header_references(_headers(status, secured=True, keyed=False)),
        }
        for status, name in _ALIKE_NAMES.items()
    }


def _problem_content(examples: dict[str, Any]) -> dict[str, Any]:
    return {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": examples}}


def _header_references(names: Iterable[str]) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _security(route: APIRoute) -> list[dict[str, list[str]]]:
    """What a route asks for: a permission, a signed-in user, or nothing."""
    asked = permission_of(route)
    if isinstance(asked, OpenToAll):
        return []
    if not isinstance(asked, Permission):
        raise TypeError(f"{route.path} says nothing of what it asks for")
    return [{"session": []}] if asked.scope == SELF else [{"key": [asked.scope]}]


def _describe(parameter: dict[str, Any]) -> None:
    if "description" in parameter:
        return
    name: str = parameter["name"]
    schema = parameter["schema"]
    if parameter["in"] == "path" and name.endswith("_id"):
        parameter["description"] = f"The {name[:-3].replace('_', ' ')}'s id."
    else:
        parameter["description"] = schema.get("description") or _PARAMETERS[name]


def _contents(operation: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for holder in (operation.get("requestBody", {}), *operation["responses"].values()):
        content = holder.get("content", {})
        if _JSON in content:
            yield content[_JSON]


def _exemplify(content: dict[str, Any], examples: dict[str, Any]) -> None:
    schema = content["schema"]
    reference = schema.get("$ref") or next(
        (one["$ref"] for one in schema.get("anyOf", ()) if "$ref" in one), None
    )
    if reference is None or "example" in content:
        return
    name = reference.rpartition("/")[2]
    if name.startswith("Page_"):
        content["example"] = {"data": [examples[name[5:-1]]], "has_more": False}
    else:
        content["example"] = examples[name]


def _webhook(example: dict[str, Any]) -> dict[str, Any]:
    signed = {
        "webhook-id": "The delivery's id: the same for every attempt.",
        "webhook-timestamp": "Seconds since 1970, of this attempt.",
        "webhook-signature": "`v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`; several, with "
        "spaces between, while a secret rotates.",
    }
    return {
        "post": {
            "operationId": "receiveEvent",
            "summary": "An event, as we send it to your endpoints",
            "description": "Answer with 2xx within 15 seconds. Anything else is tried again; 410 disables "
            "the endpoint.",
            "tags": ["Webhooks"],
            "parameters": [
                {
                    "name": name,
                    "in": "header",
                    "required": True,
                    "description": text,
                    "schema": {"type": "string"},
                }
                for name, text in signed.items()
            ],
            "requestBody": {
                "required": True,
                "content": {
                    _JSON: {"schema": {"$ref": "#/components/schemas/EventView"}, "example": example}
                },
            },
            "responses": {"2XX": {"description": "Received"}},
        }
    }

"""The OpenAPI 3.1 document: what FastAPI derives, with errors and headers said as they really are."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from florin import __version__
from florin.kernel.http.problem import MEDIA_TYPE

DESCRIPTION = """
Florin takes payments through several providers, keeps the double-entry ledger, and tells you about
it by signed webhooks.

* **Keys**: `Authorization: Bearer fl_test_...`. Test keys see the test books and nothing else.
* **Amounts** are whole numbers of minor units (cents, paise, yen).
* **Idempotency**: a POST that moves money needs an `Idempotency-Key`. The same key and body answers
  the same again; the same key with another body is refused (422); still in flight is 409.
* **Errors** are problems (RFC 9457) with a stable `code`, the `param` at fault and the `request_id`.
* **Lists** come in pages: `limit`, `starting_after`, `has_more`.
"""

_RATE_LIMIT_HEADERS = {
    "RateLimit-Limit": {"schema": {"type": "integer"}, "description": "Requests in the tightest window"},
    "RateLimit-Remaining": {"schema": {"type": "integer"}, "description": "What is left of them"},
    "RateLimit-Reset": {"schema": {"type": "integer"}, "description": "Seconds until the window ends"},
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
        routes=app.routes,
    )
    schemas = document["components"]["schemas"]
    document["components"]["securitySchemes"] = {
        "key": {
            "type": "http",
            "scheme": "bearer",
            "description": "An API key, `fl_test_...` or `fl_live_...`",
        }
    }
    for path, item in document["paths"].items():
        for operation in item.values():
            if path.startswith("/v1/"):
                operation["security"] = [{"key": []}]
            _tell_problems(operation)
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    return document


def _tell_problems(operation: dict[str, Any]) -> None:
    for status, response in list(operation["responses"].items()):
        content = response.get("content", {})
        if "HTTPValidationError" in str(content):
            del operation["responses"][status]  # the framework's guess; ours are declared at the route
        elif MEDIA_TYPE in content:
            content[MEDIA_TYPE] = content.pop("application/json", content[MEDIA_TYPE])
        elif status.startswith("2") and "security" in operation:
            response["headers"] = {**response.get("headers", {}), **_RATE_LIMIT_HEADERS}

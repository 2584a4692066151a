"""Problems, RFC 9457: how every refusal reads on the wire."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from florin.kernel.errors import InvalidRequest, MalformedRequest, Refusal

MEDIA_TYPE = "application/problem+json"


class FieldError(BaseModel):
    """One field that breaks a rule."""

    param: str = Field(description="The field, as a path.", examples=["legs[1].amount"])
    rule: str = Field(description="The rule that it breaks.", examples=["greater_than_equal"])
    detail: str


class Problem(BaseModel):
    """An error, as RFC 9457 asks for it."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["urn:florin:problem:invalid_request"])
    title: str
    status: int
    code: str = Field(description="Stable, for programs.", examples=["invalid_request"])
    detail: str
    param: str | None = Field(None, description="The field at fault.")
    errors: list[FieldError] | None = None
    request_id: str


def render(refusal: Refusal, request_id: str) -> bytes:
    """The problem document of a refusal."""
    body: dict[str, Any] = {
        "type": f"urn:florin:problem:{refusal.code}",
        "title": refusal.title,
        "status": int(refusal.status),
        "code": refusal.code,
        "detail": refusal.detail,
    }
    if refusal.param is not None:
        body["param"] = refusal.param
    body |= refusal.extra
    body["request_id"] = request_id
    return orjson.dumps(body, default=str)


def path_of(location: Sequence[str | int]) -> str:
    """`legs[1].amount` of pydantic's `("legs", 1, "amount")`."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def from_validation(errors: Sequence[Mapping[str, Any]], *, drop: int = 0) -> Refusal:
    """The refusal for pydantic's errors: malformed JSON is 400, a broken rule 422 naming each field.

    What the client sent is not repeated: it may be a secret.
    """
    for error in errors:
        if error["type"] in ("json_invalid", "bytes_too_short"):
            return MalformedRequest(
                f"the body is not JSON: {error.get('ctx', {}).get('error', 'unreadable')}"
            )
    fields = [
        {
            "param": path_of(error["loc"][drop:]) or "body",
            "rule": error["type"],
            "detail": error["msg"].removeprefix("Value error, "),
        }
        for error in errors
    ]
    first = fields[0]
    return InvalidRequest(f"{first['param']}: {first['detail']}", param=first["param"], errors=fields)


def from_pydantic(error: ValidationError, name: str | None = None) -> Refusal:
    """The refusal for a body that pydantic would not take, or for the path parameter of that name."""
    errors = error.errors(include_url=False, include_context=True, include_input=False)
    if name is None:
        return from_validation(errors)
    return from_validation([{**one, "loc": (name, *one["loc"])} for one in errors])


def problems(*codes: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI responses for these statuses, all of the one Problem shape."""
    names = {
        400: "Malformed request, or a required header is missing",
        401: "No valid API key",
        403: "The key does not allow this",
        404: "Not found",
        409: "Conflict with the present state, or still in flight",
        413: "Body too large",
        415: "The body is not JSON, or does not say so",
        422: "A field breaks a rule, or the idempotency key was used with another body",
        429: "Rate limit used up",
        503: "The database is away, or every connection is taken; nothing was done",
        504: "It took too long; whether it was done is not known",
    }
    return {
        code: {"model": Problem, "description": names[code], "content": {MEDIA_TYPE: {}}}
        for code in sorted({400, 401, 403, 413, 422, 429, 503, 504, *codes})
    }

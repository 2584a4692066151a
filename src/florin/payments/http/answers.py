"""Answers of the cold endpoints: rendered once, by our own renderers."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson
from fastapi.responses import Response

from florin.kernel.http.call import Call
from florin.kernel.idempotency import Idempotency
from florin.payments.model import Answer

Render = Callable[[Mapping[str, Any]], dict[str, Any]]


def body_of(call: Call, answered: Answer, render: Render) -> dict[str, Any]:
    """The public shape of an answer; a replay says so in its headers."""
    if answered.replayed:
        call.mark_replayed()
    return render(answered.snapshot)


def bound_to(call: Call, resource_id: UUID) -> Idempotency:
    """The idempotency of a request about one resource: the key means nothing for another one.

    Raises:
        IdempotencyKeyMissing, InvalidRequest: no key, or one that is too long.
    """
    call.operation = f"{call.operation} {resource_id}"
    return call.idempotency()


def json(data: object, status: int = 200) -> Response:
    """JSON as it is."""
    return Response(orjson.dumps(data), status, media_type="application/json")


def json_page(rows: Sequence[Mapping[str, Any]], limit: int, render: Render) -> Response:
    """A page from `limit + 1` rows."""
    return json({"data": [render(row) for row in rows[:limit]], "has_more": len(rows) > limit})

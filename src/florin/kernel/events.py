"""Events as the public sees them.

`kernel.events` keeps the object as a snapshot of its row. Each feature registers how its objects are
rendered; responses, replays and events all go through that one renderer, so they never disagree.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from florin.kernel.clock import rfc3339
from florin.kernel.ids import encode_id

Snapshot = Mapping[str, Any]
Render = Callable[[Snapshot], dict[str, Any]]

_renderers: dict[str, Render] = {}


def register(object_type: str, render: Render) -> None:
    """Says how snapshots of this type are shown; the type is what stands before an event's first dot."""
    _renderers[object_type] = render


def public_event(row: Mapping[str, Any]) -> dict[str, Any]:
    """The event of a row of kernel.events (id, type, occurred_at, data) in the public shape.

    Raises:
        KeyError: no feature has registered this type of object.
    """
    kind: str = row["type"]
    return {
        "id": encode_id("evt", row["id"]),
        "object": "event",
        "type": kind,
        "created_at": rfc3339(row["occurred_at"]),
        "data": {"object": _renderers[kind.partition(".")[0]](row["data"])},
    }


def instant(text: str | None) -> str | None:
    """A timestamp from a snapshot (`2026-11-20T13:07:41.123456+00:00`) as the API writes it."""
    if text is None:
        return None
    if text.endswith("+00:00"):
        return text[:-6] + "Z"
    return rfc3339(datetime.fromisoformat(text))

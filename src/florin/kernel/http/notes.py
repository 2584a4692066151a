"""What is noted although nothing changes: that somebody was shown what is privileged to see.

The gate notes each answered use of an endpoint whose Permission is `privileged`; an endpoint that shows
personal data unmasked notes whose, with `note_read`. The note stands before the answer leaves: no note, no
answer.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl
from uuid import UUID

from starlette.types import Message, Scope, Send

from florin.kernel.db import CONNECTION_LOST
from florin.kernel.errors import Refusal, Unavailable
from florin.kernel.http.call import Call
from florin.kernel.provenance import Provenance

COLLECTION: Final = "collection"
"""The type of entity of a list or a report; its id is the path."""

HIDDEN: Final = "[hidden]"
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.:+-]{1,64}")
_PERSONAL: Final = re.compile(r"mail|phone|name|search|query|^q$|number|iban|card|reference|address")
_FIRST_REFUSAL: Final = 400


@dataclass(frozen=True, slots=True)
class ReadNote:
    """Who was shown what."""

    entity_type: str
    entity_id: str
    """As the API shows it, or the path of a collection."""

    details: Mapping[str, Any]
    by: Provenance


class Witness:
    """Writes notes into the audit log. `write(tenant_id, note)` returns once the note is committed."""

    def __init__(self, write: Callable[[int, ReadNote], Awaitable[None]]) -> None:
        self._write = write

    async def note(self, tenant_id: int, notes: Sequence[ReadNote]) -> None:
        """Returns once all stand.

        Raises:
            Unavailable: the database is away; some may stand.
        """
        await asyncio.gather(*(self._write(tenant_id, note) for note in notes))


async def note_read(call: Call, entity_type: str, ids: Collection[UUID], fields: Collection[str]) -> None:
    """Notes that these fields of these things are about to be shown. Call it before they are.

    Outside of a transaction: the note has one of its own. A page of things is one note that lists them.

    Args:
        entity_type: as the audit log names it: `customer`, `user`.
        ids: of the things; none: nothing is noted.
        fields: their names, never their values.

    Raises:
        Unavailable: the database is away. Show nothing.
    """
    if not ids:
        return
    details: dict[str, Any] = {"operation": call.operation, "fields": sorted(fields)}
    texts = [str(one) for one in ids]
    if len(texts) > 1:
        entity_type, entity_id, details = (
            COLLECTION,
            call.operation.partition(" ")[2],
            {**details, entity_type: texts},
        )
    else:
        [entity_id] = texts
    note = ReadNote(entity_type, entity_id, details, call.provenance())
    await call.rooms[Witness].note(call.tenant_id, [note])


def noting(
    call: Call, scope: Scope, send: Send, refuse: Callable[[Send, Refusal, str], Awaitable[None]]
) -> Send:
    """A `send` that notes a privileged use before the answer begins, and refuses where it cannot."""
    refused = False

    async def send_noted(message: Message) -> None:
        nonlocal refused
        if refused:
            return
        if (
            call.privileged
            and message["type"] == "http.response.start"
            and message["status"] < _FIRST_REFUSAL
        ):
            try:
                await call.rooms[Witness].note(call.tenant_id, [_use(call, scope)])
            except (Unavailable, *CONNECTION_LOST):
                refused = True
                await refuse(send, Unavailable(), call.request_id)
                return
        await send(message)

    return send_noted


def _use(call: Call, scope: Scope) -> ReadNote:
    """The note of this call: of the thing that its path names, else of the path."""
    details: dict[str, Any] = {"operation": call.operation}
    filters = filters_shown(scope["query_string"])
    if filters:
        details["filters"] = filters
    named = [(name, value) for name, value in scope.get("path_params", {}).items() if name.endswith("_id")]
    entity_type, entity_id = COLLECTION, scope["path"]
    if named:
        name, entity_id = named[-1]
        entity_type = name.removesuffix("_id")
    return ReadNote(entity_type, str(entity_id), details, call.provenance())


def filters_shown(query_string: bytes) -> dict[str, str]:
    """The filters of a request: their names, and their values where no person can be told by them."""
    return {
        name: value if _PLAIN.fullmatch(value) and not _PERSONAL.search(name) else HIDDEN
        for name, value in parse_qsl(query_string.decode("latin-1"))
    }

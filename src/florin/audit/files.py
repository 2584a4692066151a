"""The audit log as files: NDJSON and CSV, a part at a time."""

import csv
from collections.abc import Callable, Sequence
from enum import StrEnum
from io import StringIO
from typing import Any, Final

import orjson

from florin.audit.model import AuditEntry, ChainedEntry
from florin.audit.service import shown_id
from florin.kernel.cells import safe_cell
from florin.kernel.clock import rfc3339
from florin.kernel.ids import encode_id


class FileFormat(StrEnum):
    """How an export is written."""

    NDJSON = "ndjson"
    """A JSON document a line."""

    CSV = "csv"
    """RFC 4180, UTF-8, a header line. No cell begins like a formula."""


MEDIA_TYPES: Final = {FileFormat.NDJSON: "application/x-ndjson", FileFormat.CSV: "text/csv"}

_COLUMNS: Final = (
    *("seq", "id", "at", "actor", "action", "entity_type", "entity_id", "changed", "before", "after"),
    *("reason", "address", "user_agent", "request_id", "session_id", "previous", "digest"),
)


def shown(entry: AuditEntry) -> dict[str, Any]:
    """The entry as the API shows it, ready for JSON."""
    return {
        "id": encode_id("aud", entry.id),
        "seq": entry.seq,
        "at": rfc3339(entry.at),
        "actor": entry.actor,
        "action": entry.action,
        "entity_type": entry.entity_type,
        "entity_id": shown_id(entry),
        "changed": entry.changed,
        "before": entry.before,
        "after": entry.after,
        "reason": entry.reason,
        "address": entry.address,
        "user_agent": entry.user_agent,
        "request_id": entry.request_id,
        "session_id": entry.session_id,
    }


def beginning(format_: FileFormat) -> bytes:
    """What stands before the first entry."""
    return _csv([_COLUMNS]) if format_ is FileFormat.CSV else b""


def part(format_: FileFormat, entries: Sequence[ChainedEntry]) -> bytes:
    """These entries as they stand in the file."""
    return _WRITERS[format_](entries)


def _ndjson_part(entries: Sequence[ChainedEntry]) -> bytes:
    return b"".join(orjson.dumps(_chained(one), option=orjson.OPT_APPEND_NEWLINE) for one in entries)


def _csv_part(entries: Sequence[ChainedEntry]) -> bytes:
    return _csv([[_cell(_chained(one)[column]) for column in _COLUMNS] for one in entries])


def _chained(one: ChainedEntry) -> dict[str, Any]:
    return {**shown(one.entry), "previous": one.previous.hex(), "digest": one.digest.hex()}


def _cell(value: object) -> str:
    if value is None or isinstance(value, str):
        return safe_cell(value)
    if isinstance(value, list):
        return safe_cell(" ".join(value))
    return str(value) if isinstance(value, int) else orjson.dumps(value).decode()


def _csv(rows: Sequence[Sequence[str]]) -> bytes:
    buffer = StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue().encode()


_WRITERS: Final[dict[FileFormat, Callable[[Sequence[ChainedEntry]], bytes]]] = {
    FileFormat.NDJSON: _ndjson_part,
    FileFormat.CSV: _csv_part,
}

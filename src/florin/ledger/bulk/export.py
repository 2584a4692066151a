"""The books as files, streamed: CSV through COPY, Parquet through a cursor on the server."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from io import RawIOBase
from typing import Any, Final
from uuid import UUID

from florin.kernel.errors import InvalidRequest
from florin.ledger.bulk import store
from florin.ledger.bulk.errors import ParquetUnsupported
from florin.ledger.bulk.model import ExportKind, FileFormat
from florin.ledger.service import Ledger

_ROWS: Final = 20_000
_NUMBERS: Final = frozenset({"amount", "balance_after", "seq", "min_balance", "max_balance"})
_TIMES: Final = frozenset({"effective_at", "recorded_at"})
_IN_TIME: Final = (ExportKind.ENTRIES, ExportKind.TRANSFERS)


def check_filters(kind: ExportKind, since: datetime | None, until: datetime | None) -> None:
    """Raises InvalidRequest where a period is asked of what has no time."""
    if kind not in _IN_TIME and (since is not None or until is not None):
        raise InvalidRequest(
            f"{kind} are exported as they are now: they have no period",
            param="from" if since is not None else "to",
        )


def check_format(format_: FileFormat) -> None:
    """Raises ParquetUnsupported where its library is missing."""
    if format_ is FileFormat.PARQUET:
        _pyarrow()


async def export(
    ledger: Ledger,
    tenant_id: int,
    kind: ExportKind,
    format_: FileFormat,
    *,
    subtree: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> AsyncGenerator[bytes, None]:
    """The file, part by part, as it stood at one moment. Holds a connection until it ends or is closed.

    `subtree`: only accounts at or below this code, or what touches them; `since`, `until`: recorded then.

    Raises:
        InvalidRequest, ParquetUnsupported
    """
    check_filters(kind, since, until)
    check_format(format_)
    parameters: dict[str, Any] = {"tenant_id": tenant_id, "subtree": subtree}
    if kind in _IN_TIME:
        parameters |= {"since": since, "until": until}
    async with ledger.database.tenant(tenant_id) as connection:
        if format_ is FileFormat.CSV:
            async with store.export_csv(connection, kind, parameters) as copy:
                async for part in copy:
                    yield bytes(part)
            return
        async with aclosing(store.export_rows(connection, kind, parameters, _ROWS)) as pages:
            writer = _ParquetPages()
            async for names, rows in pages:
                yield await asyncio.to_thread(writer.write, names, rows)
            yield writer.close()


class _Sink(RawIOBase):
    """Takes what is written, and gives it away."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._told = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._told

    def write(self, part: Any) -> int:
        self._parts.append(bytes(part))
        self._told += len(part)
        return len(part)

    def take(self) -> bytes:
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken


class _ParquetPages:
    """A Parquet file, a row group at a time."""

    def __init__(self) -> None:
        self._sink = _Sink()
        self._writer: Any = None

    def write(self, names: list[str], rows: list[tuple[Any, ...]]) -> bytes:
        """The bytes that these rows become."""
        arrow = _pyarrow()
        table = self._table(arrow, names, rows)
        if self._writer is None:
            self._writer = arrow.parquet.ParquetWriter(arrow.PythonFile(self._sink), table.schema)
        self._writer.write_table(table)
        return self._sink.take()

    def _table(self, arrow: Any, names: list[str], rows: list[tuple[Any, ...]]) -> Any:
        columns = list(zip(*rows, strict=True)) or [()] * len(names)
        arrays = []
        for name, values in zip(names, columns, strict=True):
            if name in _NUMBERS:
                arrays.append(arrow.array(values, arrow.int64()))
                continue
            texts = [str(value) if isinstance(value, UUID) else value for value in values]
            array = arrow.array(texts, arrow.string())
            arrays.append(array.cast(arrow.timestamp("us", "UTC")) if name in _TIMES else array)
        return arrow.table(arrays, names=names)

    def close(self) -> bytes:
        """The end of the file."""
        self._writer.close()
        return self._sink.take()


def _pyarrow() -> Any:
    try:
        import pyarrow  # noqa: PLC0415 - an extra
        import pyarrow.parquet  # noqa: PLC0415
    except ImportError:
        raise ParquetUnsupported(param="format") from None
    return pyarrow

"""Files of rows: CSV as RFC 4180 has it, and Parquet. What comes out is text, whatever was inside."""

import csv
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from io import BytesIO, TextIOWrapper
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, NamedTuple

from florin.ledger.bulk.errors import ColumnMissing, ColumnUnknown, FileUnreadable, ParquetUnsupported
from florin.ledger.bulk.model import Columns, FileFormat

Row = tuple[str, ...]
"""The values of the columns in their order, "" for what is not there.

Or only the group, where the row in the file has another number of fields than the header.
"""

_AT_A_TIME: Final = 1 << 20
_PARQUET_ROWS: Final = 10_000


class Rows(NamedTuple):
    """Neighbouring rows; `first` counts from 1, the header not included."""

    first: int
    rows: Sequence[Row]


class File:
    """A file of rows: a path, or what came with a request."""

    def __init__(self, source: Path | bytes, format_: FileFormat) -> None:
        self._source = source
        self.format = format_
        digest = hashlib.sha256()
        lines = 0
        for part in self._parts():
            digest.update(part)
            lines += part.count(b"\n")
        self.digest = digest.digest()
        """SHA-256 of the whole file: the same file again is the same import."""

        self.rows_expected = max(lines - 1, 0) if format_ is FileFormat.CSV else _parquet_rows(source)
        """For a progress bar; line breaks within quotes are counted too."""

    def _parts(self) -> Iterator[bytes]:
        if isinstance(self._source, bytes):
            yield self._source
            return
        with self._source.open("rb") as opened:
            while part := opened.read(_AT_A_TIME):
                yield part

    def chunks(self, columns: Columns, size: int, *, skip: int = 0) -> Iterator[Rows]:
        """The rows after the first `skip`, about `size` at a time: a group of rows is never cut.

        Raises:
            FileUnreadable, ColumnMissing, ColumnUnknown, ParquetUnsupported
        """
        rows = self._csv(columns) if self.format is FileFormat.CSV else self._parquet(columns)
        number = 0
        while number < skip:
            passed = sum(1 for _ in islice(rows, skip - number))
            if not passed:
                return
            number += passed
        held: list[Row] = []
        while chunk := held + list(islice(rows, size - len(held))):
            held = []
            if columns.group is not None and chunk[-1][0]:
                for row in rows:
                    if row[0] != chunk[-1][0]:
                        held = [row]
                        break
                    chunk.append(row)
            yield Rows(number + 1, chunk)
            number += len(chunk)

    def _csv(self, columns: Columns) -> Iterator[Row]:
        with self._text() as text:
            reader = csv.reader(text, strict=True)
            try:
                header = next(reader, [])
                pick = _picker([name.strip() for name in header], columns)
                width = len(header)
                group = header.index(columns.group) if columns.group in header else None
                for row in reader:
                    if len(row) == width:
                        row.append("")
                        yield pick(row)
                    elif row:
                        yield (row[group] if group is not None and group < len(row) else "",)
            except csv.Error as error:
                raise FileUnreadable(f"line {reader.line_num}: {error}", param="file") from None
            except UnicodeDecodeError:
                raise FileUnreadable(
                    f"the file is not UTF-8, somewhere after line {reader.line_num}", param="file"
                ) from None

    @contextmanager
    def _text(self) -> Iterator[TextIOWrapper]:
        raw = BytesIO(self._source) if isinstance(self._source, bytes) else self._source.open("rb")
        with TextIOWrapper(raw, encoding="utf-8-sig", newline="") as text:
            yield text

    def _parquet(self, columns: Columns) -> Iterator[Row]:
        with _opened_parquet(self._source) as opened:
            pick = _picker(list(opened.schema_arrow.names), columns)
            for batch in opened.iter_batches(batch_size=_PARQUET_ROWS):
                texts = [[_text(value) for value in column.to_pylist()] for column in batch.columns]
                texts.append([""] * batch.num_rows)
                yield from map(pick, zip(*texts, strict=True))


def _picker(header: list[str], columns: Columns) -> Any:
    """Makes a Row of a file's row to which "" has been appended."""
    for name in header:
        if name not in columns.names and name not in columns.ignored:
            raise ColumnUnknown(
                f"the file has a column {name[:60]!r}; there are {', '.join(columns.names)}", param="file"
            )
        if header.count(name) > 1:
            raise ColumnUnknown(f"the column {name!r} stands twice", param="file")
    missing = [name for name in columns.names if name in columns.required and name not in header]
    if missing:
        raise ColumnMissing(f"the file has no column {', '.join(missing)}", param="file")
    return itemgetter(*(header.index(name) if name in header else -1 for name in columns.names))


@contextmanager
def _opened_parquet(source: Path | bytes) -> Iterator[Any]:
    try:
        import pyarrow  # noqa: PLC0415 - an extra, and 40 MB of memory: only for who asks
        import pyarrow.parquet  # noqa: PLC0415
    except ImportError:
        raise ParquetUnsupported(param="file") from None
    try:
        opened = pyarrow.parquet.ParquetFile(BytesIO(source) if isinstance(source, bytes) else source)
    except (pyarrow.ArrowException, OSError) as error:
        raise FileUnreadable(f"not a Parquet file: {str(error)[:200]}", param="file") from None
    with opened:
        try:
            yield opened
        except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
            raise FileUnreadable(f"the Parquet file is damaged: {str(error)[:200]}", param="file") from None


def _parquet_rows(source: Path | bytes) -> int:
    with _opened_parquet(source) as opened:
        rows: int = opened.metadata.num_rows
        return rows


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value)

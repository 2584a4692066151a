"""Reading files of rows."""

from io import BytesIO
from pathlib import Path

import pyarrow as arrow
import pyarrow.parquet
import pytest

from florin.ledger.bulk.errors import ColumnMissing, ColumnUnknown, FileUnreadable
from florin.ledger.bulk.files import File, Row
from florin.ledger.bulk.model import COLUMNS, Columns, FileFormat, ImportKind

PAIRS = Columns(("key", "value"), frozenset({"value"}), frozenset({"note"}), group="key")


def rows_of(
    text: bytes, *, columns: Columns = PAIRS, size: int = 100, skip: int = 0
) -> list[tuple[int, list[Row]]]:
    chunks = File(text, FileFormat.CSV).chunks(columns, size, skip=skip)
    return [(chunk.first, list(chunk.rows)) for chunk in chunks]


def test_columns_come_in_their_order_whatever_the_files() -> None:
    text = b'\xef\xbb\xbfnote,value,key\r\nx,"a ""b""\r\nc",k\r\n\r\ny,2,\r\n'
    assert rows_of(text) == [(1, [("k", 'a "b"\r\nc'), ("", "2")])]
    assert rows_of(b"value\n1\n2\n") == [(1, [("", "1"), ("", "2")])]


def test_a_row_of_another_width_keeps_only_its_group() -> None:
    assert rows_of(b"key,value\nk\nk,1,2\nk,1\n") == [(1, [("k",), ("k",), ("k", "1")])]


def test_chunks_never_cut_a_group_and_skipped_rows_keep_their_numbers() -> None:
    text = b"key,value\n,1\na,2\na,3\na,4\n,5\n,6\n"
    assert [(first, len(rows)) for first, rows in rows_of(text, size=2)] == [(1, 4), (5, 2)]
    assert rows_of(text, size=2, skip=4) == [(5, [("", "5"), ("", "6")])]
    assert rows_of(text, skip=6) == []
    assert rows_of(text, skip=60) == []


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        (b"", ColumnMissing),
        (b"key\n1\n", ColumnMissing),
        (b"value,colour\n1,red\n", ColumnUnknown),
        (b"value,value\n1,1\n", ColumnUnknown),
        (b'value\n"1\n', FileUnreadable),
        (b"value\n\xff\xfe\n", FileUnreadable),
    ],
)
def test_what_is_no_such_file_is_refused(text: bytes, refusal: type[Exception]) -> None:
    with pytest.raises(refusal):
        rows_of(text)


def test_parquet_reads_as_the_same_rows(tmp_path: Path) -> None:
    table = arrow.table({"amount": [5, None], "code": ["a", "b"], "effective_at": [None, None]})
    written = BytesIO()
    pyarrow.parquet.write_table(table, written)
    path = tmp_path / "file.parquet"
    path.write_bytes(written.getvalue())
    for source in (path, written.getvalue()):
        file = File(source, FileFormat.PARQUET)
        [chunk] = file.chunks(COLUMNS[ImportKind.BALANCES], 10)
        assert list(chunk.rows) == [("a", "5", "", "", ""), ("b", "", "", "", "")]
        assert file.rows_expected == 2
    with pytest.raises(FileUnreadable):
        File(b"no parquet", FileFormat.PARQUET)


def test_the_digest_is_that_of_the_content(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_bytes(b"value\n1\n2\n")
    assert File(path, FileFormat.CSV).digest == File(b"value\n1\n2\n", FileFormat.CSV).digest
    assert File(path, FileFormat.CSV).rows_expected == 2

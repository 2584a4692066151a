from pathlib import Path

import pytest

from florin.cli.replay import csv_file
from florin.cli.replay.errors import BadInput
from tests.cli.replay.conftest import Write


def amounts(path: Path) -> list[int]:
    return list(csv_file.read(path, ["amount"], lambda line: csv_file.whole(line, "amount")))


def test_rows_are_read_in_order(write: Write) -> None:
    assert amounts(write("amount,name\n3,a\n-1,b\n")) == [3, -1]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name\na\n", "no column amount"),
        ("", "no column amount"),
        ("amount,name\n1,a\n2\n", "line 3: expected 2 columns"),
        ("amount,name\n1,a,b\n", "line 2: expected 2 columns"),
        ("amount\n1\nx\n", "line 3: amount 'x' is not a number"),
        ("amount\n1.5\n", "line 2: amount '1.5' is not a whole number"),
        ("amount\nNaN\n", "line 2: amount 'NaN' is not a number"),
        ("amount\n1e9999\n", "line 2: amount '1e9999' is not a number"),
        ("amount\n\xff\n", "is not a utf-8-sig text file"),
        ("amount\n\0\n", "line 2"),
    ],
)
def test_a_wrong_file_is_refused_by_line_and_column(write: Write, text: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        amounts(write(text))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"cannot read .*No such file"):
        amounts(tmp_path / "none.csv")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="Is a directory"):
        amounts(tmp_path)

"""Rows of a delimited file, with errors that name the file and the line."""

import csv
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final, TypeVar

from florin.cli.replay.errors import BadInput

Row = TypeVar("Row")

_LARGEST: Final = 10**10
"""A number beyond this is a mistake, and a sum of products of two still fits a Decimal's 28 digits."""


def read(
    path: Path,
    columns: Sequence[str],
    parse: Callable[[dict[str, str]], Row],
    *,
    delimiter: str = ",",
    encoding: str = "utf-8-sig",
) -> Iterator[Row]:
    """Each row that `parse` makes of the named columns; `parse` says no with a ValueError.

    Raises:
        BadInput: no such file, another encoding, columns missing, a row that `parse` will not take.
    """
    try:
        with path.open(encoding=encoding, newline="") as file:
            lines = csv.DictReader(file, delimiter=delimiter)
            if missing := [column for column in columns if column not in (lines.fieldnames or ())]:
                raise BadInput(f"{path} is not the expected file: no column {', '.join(missing)}")
            for line in lines:
                if None in line or None in line.values():
                    raise BadInput(
                        f"{path}, line {lines.line_num}: expected {len(lines.fieldnames or ())} columns"
                    )
                try:
                    row = parse(line)
                except ValueError as error:
                    raise BadInput(f"{path}, line {lines.line_num}: {error}") from None
                yield row
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{path} is not a {encoding} text file with columns: {error}") from None


def decimal(line: dict[str, str], column: str) -> Decimal:
    """The column as an exact number.

    Raises:
        ValueError: it is not one, or too large.
    """
    try:
        number = Decimal(line[column])
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or abs(number) > _LARGEST:
        raise ValueError(f"{column} {line[column]!r} is not a number of at most {_LARGEST:,}")
    return number


def whole(line: dict[str, str], column: str) -> int:
    """The column as a whole number.

    Raises:
        ValueError: it is not one.
    """
    number = decimal(line, column)
    if number != number.to_integral_value():
        raise ValueError(f"{column} {line[column]!r} is not a whole number")
    return int(number)

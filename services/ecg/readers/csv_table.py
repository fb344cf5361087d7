"""Numbers in columns: how a text file separates them, how many rows it has, and their values."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from services.ecg.readers.base import SourceFile, shown
from services.errors import MalformedInput

DELIMITERS = (",", ";", "\t")
MAX_CSV_BYTES = 128 * 1024 * 1024
MAX_COLUMNS = 1024

_HEAD_BYTES = 64 * 1024
_LONGEST_LINE = 32 * 1024
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|nan", re.IGNORECASE)
_PIECE_ROWS = 4096  # one bad cell makes a whole piece slow


@dataclass(frozen=True)
class Table:
    """first_row: number of lines before the first row of numbers; header: the lines before it."""

    delimiter: str
    n_columns: int
    first_row: int
    header: tuple[tuple[str, ...], ...]
    decimal_comma: bool


def is_number(cell: str) -> bool:
    """Whether a cell holds a finite number, or the word for a missing one."""
    return _NUMBER.fullmatch(cell.strip()) is not None


def head_lines(file: SourceFile) -> list[str]:
    """The first lines, whole; none for a file that is no text."""
    head = file.head(_HEAD_BYTES)
    if b"\0" in head:
        return []
    text = head.decode("utf-8-sig", errors="replace")
    lines = text.splitlines()
    if len(head) == _HEAD_BYTES and lines:
        lines.pop()  # it may go on
    return [] if any(len(line) > _LONGEST_LINE for line in lines) else lines


def table_in(lines: Sequence[str]) -> Table | None:
    """The table that begins in these lines: two or more rows of as many numbers each, or None."""
    for first, line in enumerate(lines):
        for delimiter in DELIMITERS:
            found = _table(lines, first, line, delimiter)
            if found is not None:
                return found
    return None


def _table(lines: Sequence[str], first: int, line: str, delimiter: str) -> Table | None:
    decimal_comma = delimiter != "," and "," in line
    rows = [_cells(text, delimiter, decimal_comma) for text in lines[first : first + 2]]
    n_columns = len(rows[0])
    if len(rows) < 2 or len(rows[1]) != n_columns or not line.strip():
        return None
    if not all(is_number(cell) for row in rows for cell in row):
        return None
    header = tuple(tuple(_cells(text, delimiter, False)) for text in lines[:first] if text.strip())
    return Table(delimiter, n_columns, first, header, decimal_comma)


def _cells(line: str, delimiter: str, decimal_comma: bool) -> list[str]:
    """Cells without quotes; a delimiter at the end of a line does not begin another cell."""
    if '"' not in line:
        cells = line.split(delimiter)
    else:
        try:
            cells = next(csv.reader([line], delimiter=delimiter), [])
        except csv.Error:
            return [line]
    if len(cells) > 1 and not cells[-1].strip():
        cells.pop()
    cells = [cell.strip().strip("'\"") for cell in cells]
    return [cell.replace(",", ".") for cell in cells] if decimal_comma else cells


def n_rows_at_most(file: SourceFile, table: Table) -> int:
    """Lines from the first row on, counted before memory is taken for them."""
    n_lines, last = 0, b"\n"
    with file.opened() as stream:
        while chunk := stream.read(1 << 20):
            n_lines += chunk.count(b"\n")
            last = chunk[-1:]
    return n_lines + (last != b"\n") - table.first_row


def values_of(file: SourceFile, table: Table) -> NDArray[np.float64]:
    """(rows, columns); an empty cell is NaN. MalformedInput names the line of a bad one."""
    values = np.empty((n_rows_at_most(file, table), table.n_columns))
    n_rows = 0
    for first_line, lines in _row_pieces(file, table):
        piece = _piece(file, table, first_line, lines)
        values[n_rows : n_rows + len(piece)] = piece
        n_rows += len(piece)
    return values[:n_rows]


def _row_pieces(file: SourceFile, table: Table) -> Iterator[tuple[int, list[str]]]:
    """(number of the first line, lines): the rows, without empty lines at the end."""
    with file.path.open(encoding="utf-8-sig", errors="replace", newline="\n") as stream:
        for _ in islice(stream, table.first_row):
            pass
        first_line = table.first_row + 1
        while lines := list(islice(stream, _PIECE_ROWS)):
            yield first_line, lines
            first_line += len(lines)


def _piece(
    file: SourceFile, table: Table, first_line: int, lines: list[str]
) -> NDArray[np.float64]:
    """Fast where every cell is a number or empty; otherwise cell by cell, to find what is not."""
    for prepared in (lines, [_filled(line, table) for line in lines]):
        try:
            values = np.loadtxt(
                prepared, delimiter=table.delimiter, ndmin=2, comments=None, dtype=np.float64
            )
        except (ValueError, UserWarning):
            continue
        if values.shape == (len(lines), table.n_columns):
            return values
    rows = [
        _row(file, table, number, line)
        for number, line in enumerate(lines, start=first_line)
        if line.strip()
    ]
    return np.array(rows, dtype=np.float64).reshape(len(rows), table.n_columns)


def _filled(line: str, table: Table) -> str:
    """The line with `nan` in its empty cells, and with a point where it has a decimal comma."""
    text, delimiter = line.rstrip("\r\n"), table.delimiter
    if table.decimal_comma:
        text = text.replace(",", ".")
    if text.endswith(delimiter):
        is_extra = text.count(delimiter) == table.n_columns
        text = text[:-1] if is_extra else text + "nan"
    if text.startswith(delimiter):
        text = "nan" + text
    for _ in range(2):  # a cell between two empty ones is met the second time
        text = text.replace(delimiter * 2, f"{delimiter}nan{delimiter}")
    return text


def _row(file: SourceFile, table: Table, number: int, line: str) -> list[float]:
    cells = _cells(line, table.delimiter, table.decimal_comma)
    if len(cells) == table.n_columns - 1:  # the last one is empty: missing
        cells.append("")
    where = f"{shown(file.plain_name)}, line {number}"
    if len(cells) != table.n_columns:
        raise MalformedInput(f"{where}: {len(cells)} columns, expected {table.n_columns}")
    for column, cell in enumerate(cells, start=1):
        if cell and not is_number(cell):
            raise MalformedInput(
                f"{where}, column {column}: expected a number, found '{shown(cell)}'"
            )
    return [float(cell) if cell else float("nan") for cell in cells]

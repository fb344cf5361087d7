"""`labels.csv`: what a sender says of each record of an archive: its label, its patient."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from services.ecg.readers.base import SourceFile, refuse, shown
from services.errors import MalformedInput

NAME = "labels.csv"
MAX_BYTES = 16 * 1024 * 1024
MAX_TEXT = 200  # characters of a record's name or a patient's id
COLUMNS = ("record", "label", "patient_id")
LABELS = {"0": 0.0, "1": 1.0, "0.0": 0.0, "1.0": 1.0}


@dataclass(frozen=True)
class Line:
    """One line: a record by its name, its label (None: not given) and patient (None: not given)."""

    number: int
    record: str
    label: float | None
    patient: str | None


@dataclass(frozen=True)
class Labels:
    """All lines by record; a record is named by its path in the archive, or by its plain name."""

    lines: Mapping[str, Line] = field(default_factory=dict)


def parsed_labels(file: SourceFile, *, needs_label: bool) -> Labels:
    """The lines of the file; MalformedInput names a line that is not what it should be.

    needs_label: whether the column `label` must be there.
    """
    name = shown(file.plain_name)
    text = _decoded(file, name)
    found: dict[str, Line] = {}
    for line in _lines(text, name, needs_label=needs_label):
        if line.record in found:
            refuse(name, line.number, f"{shown(line.record)} is there twice")
        found[line.record] = line
    if not found:
        raise MalformedInput(f"{name} has no line beside its column names")
    return Labels(found)


def _decoded(file: SourceFile, name: str) -> str:
    try:
        return file.content(at_most_bytes=MAX_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MalformedInput(f"{name} is not UTF-8 text (byte {error.start})") from error


def _lines(text: str, name: str, *, needs_label: bool) -> Iterator[Line]:
    rows = csv.reader(io.StringIO(text), delimiter=";" if ";" in text.split("\n", 1)[0] else ",")
    try:
        columns = _columns(next(rows, []), name, needs_label=needs_label)
        for row in rows:
            if any(cell.strip() for cell in row):
                yield _line(row, columns, name, rows.line_num)
    except csv.Error as error:
        refuse(name, rows.line_num, str(error))


def _columns(header: list[str], name: str, *, needs_label: bool) -> dict[str, int]:
    """Where each known column is; others are passed over."""
    found = {cell.strip().lower(): at for at, cell in reversed(list(enumerate(header)))}
    needed = ("record", "label") if needs_label else ("record",)
    missing = [column for column in needed if column not in found]
    if missing:
        refuse(name, 1, f"no column {' or '.join(missing)}; expected are {','.join(COLUMNS)}")
    return {column: found[column] for column in COLUMNS if column in found}


def _line(row: list[str], columns: dict[str, int], name: str, number: int) -> Line:
    cells = {column: row[at].strip() if at < len(row) else "" for column, at in columns.items()}
    record, label, patient = cells["record"], cells.get("label", ""), cells.get("patient_id", "")
    if not record or len(record) > 5 * MAX_TEXT or len(patient) > MAX_TEXT:
        refuse(
            name, number, f"a record's name, and at most {MAX_TEXT} characters of a patient's id"
        )
    if not (record.isprintable() and patient.isprintable()):
        refuse(name, number, "record and patient_id must be printable text")
    if label and label not in LABELS:
        refuse(name, number, f"label {shown(label)!r} is neither 0 nor 1")
    path = record.replace("\\", "/").removeprefix("./")
    return Line(number, path, LABELS.get(label), patient or None)

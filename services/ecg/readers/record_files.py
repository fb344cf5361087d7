"""Which of many files belong together as one record: by the names that WFDB headers give.

Paths are compared with one another and never opened; what a header says is asked of the caller.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from services.ecg.readers.wfdb_reader import ANNOTATORS

HEADER = "hea"
WITHOUT_A_HEADER = (
    "a WFDB {kind} file without its record: no .hea header in its folder belongs to it"
)
CIRCLE = "a WFDB header that another names as its segment, and no record begins there"
NO_RECORD = "not a record: a file that tells of the others"
# files of a WFDB record that are nothing without its header
_PARTS = {"dat": "signal"} | dict.fromkeys(ANNOTATORS, "annotation")
_ABOUT = re.compile(
    r"(?:readme|license|licence|records|annotators|sha256sums|md5sums|notice|citation)(?:[._-].*)?"
    r"|.*\.(?:md|html?|pdf|py|sh)",
    re.IGNORECASE,
)
_NAMED = re.compile(r"^\s*([^\s#/\\]+)[ \t]+\d", re.MULTILINE)


@dataclass(frozen=True)
class RecordFiles:
    """The files of one record.

    name: the path of its header or only file, without the extension.
    """

    name: str
    paths: tuple[str, ...]


@dataclass(frozen=True)
class LeftOut:
    """A file that no record was made of, and why."""

    file: str
    reason: str


def names_in_header(text: str) -> list[str]:
    """The signal files or segments that a WFDB header names, and possibly words of its comments."""
    return _NAMED.findall(text)


def grouped(
    paths: Sequence[str], header_text: Callable[[str], str]
) -> tuple[list[RecordFiles], list[LeftOut]]:
    """Records in the order of their names, and the files that belong to none.

    paths: with forward slashes. header_text: what a header says, by its path. A header that others
    name as a segment is part of their record. Any other file is taken for a record of one file.
    """
    there = set(paths)
    headers = {path: header_text(path) for path in paths if _extension(path) == HEADER}
    segments = {
        segment
        for path, text in headers.items()
        for segment in _segments(path, text, there)
        if segment != path
    }
    records = [
        RecordFiles(_without_extension(path), tuple(dict.fromkeys(_members(path, headers, there))))
        for path in headers
        if path not in segments
    ]
    used = {path for record in records for path in record.paths}
    left_out = []
    for path in paths:
        if path in used:
            continue
        reason = _reason(path)
        if reason is None:
            records.append(RecordFiles(_without_extension(path), (path,)))
        else:
            left_out.append(LeftOut(path, reason))
    return sorted(records, key=lambda record: record.name), left_out


def _members(
    header: str, headers: dict[str, str], there: set[str], depth: int = 1
) -> Iterator[str]:
    """The header, the files and segments it names, and its annotation files."""
    yield header
    stem = _without_extension(header)
    yield from (path for name in ANNOTATORS if (path := f"{stem}.{name}") in there)
    for name in names_in_header(headers[header]):
        if (path := _beside(header, name)) in there:
            yield path
        elif depth and (segment := f"{path}.{HEADER}") in headers and segment != header:
            yield from _members(segment, headers, there, depth - 1)


def _segments(header: str, text: str, there: set[str]) -> Iterator[str]:
    for name in names_in_header(text):
        if (path := _beside(header, name)) not in there and f"{path}.{HEADER}" in there:
            yield f"{path}.{HEADER}"


def _reason(path: str) -> str | None:
    kind = _PARTS.get(_extension(path))
    if kind is not None:
        return WITHOUT_A_HEADER.format(kind=kind)
    if _extension(path) == HEADER:
        return CIRCLE
    return NO_RECORD if _ABOUT.fullmatch(path.rsplit("/", 1)[-1]) else None


def _beside(path: str, name: str) -> str:
    folder, slash, _ = path.rpartition("/")
    return f"{folder}{slash}{name}"


def _extension(path: str) -> str:
    plain = path.rsplit("/", 1)[-1]
    return plain.rpartition(".")[2].lower() if "." in plain else ""


def _without_extension(path: str) -> str:
    folder, slash, plain = path.rpartition("/")
    return f"{folder}{slash}{plain.rpartition('.')[0] or plain}"

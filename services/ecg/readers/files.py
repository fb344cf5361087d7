"""Records on this machine's own disk, for the command line and for training."""

from __future__ import annotations

import tempfile
from pathlib import Path

from services.ecg.readers.base import Limits, ReadHints, SourceFile
from services.ecg.readers.detect import read_record
from services.ecg.readers.record_files import names_in_header
from services.ecg.readers.wfdb_reader import ANNOTATORS
from services.ecg.record import EcgRecord
from services.errors import NotFound


def record_from_path(
    path: Path, *, limits: Limits | None = None, hints: ReadHints | None = None
) -> EcgRecord:
    """The record at `path`: without an extension as in WFDB (`mitdb/100`), or a file of it.

    A WFDB record brings along the files in the same folder that its header names, and its
    annotations. A large record is mapped to a temporary file that is already unlinked.
    NotFound, and the errors of `read_record`.
    """
    files = [SourceFile(file.name, file) for file in _files_of_record(path)]
    with tempfile.TemporaryDirectory(prefix="ectopy-read-") as workspace:
        return read_record(files, limits=limits or Limits(), workspace=Path(workspace), hints=hints)


def _files_of_record(path: Path) -> list[Path]:
    header = _header_for(path)
    if header.is_file():
        return _with_named_files(header)
    if path.is_file():
        return [path]
    raise NotFound(f"there is no record at {path}")


def _header_for(path: Path) -> Path:
    """Where the header would be, if `path` is a WFDB record or a file of one."""
    if path.is_file() and path.suffix.lstrip(".").lower() in ("hea", "dat", "mat", *ANNOTATORS):
        return path.with_suffix(".hea")
    return path.with_name(path.name + ".hea")


def _with_named_files(header: Path) -> list[Path]:
    """The header, the files and segments it names, and its annotation files."""
    found: dict[Path, None] = {header: None}
    for annotator in ANNOTATORS:
        if (annotations := header.with_suffix(f".{annotator}")).is_file():
            found[annotations] = None
    _add_named(header, found, depth=1)
    return list(found)


def _add_named(header: Path, found: dict[Path, None], *, depth: int) -> None:
    text = header.read_text(encoding="utf-8", errors="replace")
    for name in names_in_header(text):
        if (signal := header.parent / name).is_file():
            found[signal] = None
        elif (segment := header.parent / f"{name}.hea").is_file() and segment not in found:
            found[segment] = None
            if depth:
                _add_named(segment, found, depth=depth - 1)

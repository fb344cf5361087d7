"""One file, from its bytes to a record, as the API reads it."""

from __future__ import annotations

import itertools
from pathlib import Path

from services.ecg.readers.base import Limits, ReadHints, SourceFile
from services.ecg.readers.detect import read_record
from services.ecg.record import EcgRecord

_numbers = itertools.count()


def read_file(
    name: str,
    content: bytes,
    folder: Path,
    *,
    hints: ReadHints | None = None,
    limits: Limits | None = None,
) -> EcgRecord:
    """Kept under a name that says nothing, as uploads are."""
    own = folder / f"{next(_numbers):06d}"
    own.mkdir()
    path = own / "upload"
    path.write_bytes(content)
    return read_record(
        [SourceFile(name, path)], limits=limits or Limits(), workspace=own, hints=hints
    )

"""What readers of formats of one file have in common: which file it is, and what is left out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from services.ecg.readers.base import Limits, ReadHints, SourceFile, listed
from services.ecg.record import EcgRecord
from services.errors import UnusableInput


class SingleFileReader(ABC):
    """A format whose record is one file; others that came along are named in a note."""

    accepted: ClassVar[str]
    extensions: ClassVar[tuple[str, ...]]

    @abstractmethod
    def fits(self, file: SourceFile) -> bool:
        """Whether the content is of this format; looks at the start of it only."""

    @abstractmethod
    def record(
        self, file: SourceFile, *, limits: Limits, workspace: Path, hints: ReadHints
    ) -> EcgRecord:
        """The record in this file; errors as `Reader.read`."""

    def recognizes(self, files: Sequence[SourceFile]) -> bool:
        """Whether the content of one of them is of this format."""
        return any(self.fits(file) for file in files)

    def claims(self, files: Sequence[SourceFile]) -> bool:
        """Whether one is called as such files are."""
        return any(file.extension in self.extensions for file in files)

    def read(
        self, files: Sequence[SourceFile], *, limits: Limits, workspace: Path, hints: ReadHints
    ) -> EcgRecord:
        """The record in the one file that fits; UnusableInput when there are several."""
        own = [file for file in files if self.fits(file)]
        own = own or [file for file in files if file.extension in self.extensions]
        if len(own) > 1:
            raise UnusableInput(
                f"there are {len(own)} records here ({listed([f.plain_name for f in own])}); "
                "send one at a time"
            )
        record = self.record(own[0], limits=limits, workspace=workspace, hints=hints)
        others = sorted(file.plain_name for file in files if file is not own[0])
        if others:
            note = f"not read as a part of the record: {listed(others)}"
            record = replace(record, notes=(*record.notes, note))
        return replace(record, name=hints.name or record.name or own[0].stem)

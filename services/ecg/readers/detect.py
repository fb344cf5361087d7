"""Which reader fits these files: by their content, then by their names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from services.ecg.readers.apple_watch_reader import AppleWatchReader
from services.ecg.readers.archive import is_archive, unpacked
from services.ecg.readers.base import Limits, Reader, ReadHints, SourceFile, listed, shown
from services.ecg.readers.cardiosoft_reader import CardioSoftReader
from services.ecg.readers.csv_reader import CsvReader
from services.ecg.readers.ecgdatakit_reader import DEVICE_READERS
from services.ecg.readers.edf_reader import EdfReader
from services.ecg.readers.ishne_reader import IshneReader
from services.ecg.readers.json_reader import JsonReader
from services.ecg.readers.matlab_reader import MatlabReader
from services.ecg.readers.usability import usable
from services.ecg.readers.wfdb_reader import WfdbReader
from services.ecg.record import EcgRecord
from services.errors import MalformedInput, TooLarge, UnknownFormat

# the surest signs first; what is plain text last
READERS: tuple[Reader, ...] = (
    WfdbReader(),
    EdfReader(),
    IshneReader(),
    *DEVICE_READERS,
    CardioSoftReader(),
    MatlabReader(),
    JsonReader(),
    AppleWatchReader(),
    CsvReader(),
)

MAX_FILES = 10_000  # a MIMIC record can have thousands of segments


def read_record(
    files: Sequence[SourceFile], *, limits: Limits, workspace: Path, hints: ReadHints | None = None
) -> EcgRecord:
    """The one record that the files hold.

    workspace: an empty folder of ours; a large record stays mapped to a file in it.
    Errors: MalformedInput (400), TooLarge (413), UnknownFormat (415), UnusableInput (422).
    """
    _check_not_empty(files)
    files = _opened(files, limits=limits, workspace=workspace)
    _check_names(files)
    record = _reader(files).read(
        files, limits=limits, workspace=workspace, hints=hints or ReadHints()
    )
    return usable(record, limits=limits)


def _opened(
    files: Sequence[SourceFile], *, limits: Limits, workspace: Path
) -> Sequence[SourceFile]:
    """The files themselves, or those of the archive that was sent in their place."""
    archives = [file for file in files if is_archive(file)]
    if not archives:
        return files
    if len(files) > 1:
        raise MalformedInput(
            f"{shown(archives[0].plain_name)} is a zip archive and came with other files: "
            "send the archive alone, or the files without it"
        )
    return unpacked(archives[0], limits=limits, folder=workspace / "unpacked")


def _check_not_empty(files: Sequence[SourceFile]) -> None:
    if not files:
        raise MalformedInput("there is no file; send a record's files, or one zip archive of them")
    empty = [file.plain_name for file in files if file.n_bytes == 0]
    if empty:
        raise MalformedInput(f"empty file: {listed(empty)}")


def _check_names(files: Sequence[SourceFile]) -> None:
    if len(files) > MAX_FILES:
        raise TooLarge(f"there are {len(files):,} files, at most {MAX_FILES:,} are read at once")
    repeated = [name for name, n in Counter(f.plain_name for f in files).items() if n > 1]
    if repeated:
        raise MalformedInput(f"more than one file is called {listed(repeated)}")


def _reader(files: Sequence[SourceFile]) -> Reader:
    for reader in READERS:
        if reader.recognizes(files):
            return reader
    for reader in READERS:
        if reader.claims(files):
            return reader
    raise UnknownFormat(
        f"the format of {listed([file.plain_name for file in files])} is not known; "
        f"accepted are {'; '.join(reader.accepted for reader in READERS)}"
    )

"""Which records lie in a folder on this machine's own disk."""

from __future__ import annotations

from pathlib import Path

from services.ecg.readers.wfdb_header import parsed_header
from services.errors import EctopyError, NotFound

HEADER = ".hea"
MOST_LEADS = 64
# files that hold a whole record by themselves
SINGLE_FILE_EXTENSIONS = (".bdf", ".csv", ".dcm", ".ecg", ".edf", ".json", ".mat", ".scp", ".xml")
PATIENTS_FILE = "patients.csv"  # says whose records they are; no record itself


def record_paths(folder: Path, *, outside: Path | None = None) -> list[Path]:
    """Every record in the folder and the folders in it, ascending: a header, or a file of its own.

    outside: a folder in it that is not looked into, such as one that results are written to.

    Headers that are segments of another record, and signal files that a header names, are parts
    and not records. Raises NotFound where there is no such folder.
    """
    if not folder.is_dir():
        raise NotFound(f"there is no folder {folder}")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if outside is not None:
        files = [path for path in files if not path.resolve().is_relative_to(outside.resolve())]
    headers = [path for path in files if path.suffix.lower() == HEADER]
    with_header = {path.with_suffix("") for path in headers}
    parts = {part for header in headers for part in _segments(header)}
    single = [
        path
        for path in files
        if path.suffix.lower() in SINGLE_FILE_EXTENSIONS
        and path.with_suffix("") not in with_header
        and path.name != PATIENTS_FILE
    ]
    return sorted([header for header in headers if header not in parts] + single)


def _segments(header: Path) -> list[Path]:
    try:
        parsed = parsed_header(header.name, header.read_bytes(), max_leads=MOST_LEADS)
    except EctopyError:
        return []  # reading the record says what is wrong with it
    return [header.with_name(f"{line.name}{HEADER}") for line in parsed.segments]

"""Zip archives of a record's files: unpacked under names of ours, within limits, or refused."""

from __future__ import annotations

import errno
import stat
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from services.ecg.readers.base import Limits, SourceFile, listed, shown
from services.errors import MalformedInput, TooLarge

MAX_ENTRIES = 10_000
ENTRY_BYTES = 400  # of the list of entries; one takes some 100 bytes of it
MAX_RATIO = 100  # an ECG shrinks to a half or a quarter, a bomb to a thousandth
RATIO_COUNTS_FROM_BYTES = 16 * 1024 * 1024

_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
_END, _END_BYTES = b"PK\x05\x06", 22
_END_64, _END_64_BYTES, _LOCATOR_64_BYTES = b"PK\x06\x06", 56, 20
_READABLE = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_CHUNK_BYTES = 1 << 18
_ENCRYPTED = 0x1


def is_archive(file: SourceFile) -> bool:
    """By content: an upload may be called anything."""
    return file.head(4) in _MAGIC


def unpacked(archive: SourceFile, *, limits: Limits, folder: Path) -> list[SourceFile]:
    """The archive's files, written to `folder` as 00000, 00001, ... with their names as labels.

    MalformedInput for an archive that is damaged, encrypted, nested, or has names that lead out of
    it; TooLarge for one that unpacks beyond the limits.
    """
    folder.mkdir(parents=True)
    with opened_archive(archive, max_bytes=limits.max_unpacked_bytes) as opened:
        repeated = [n for n, count in Counter(map(plain_name, opened.paths)).items() if count > 1]
        if repeated:
            raise MalformedInput(f"{opened.name} has more than one file called {listed(repeated)}")
        return [
            opened.extracted(path, folder / f"{number:05d}")
            for number, path in enumerate(opened.paths)
        ]


@contextmanager
def opened_archive(
    archive: SourceFile, *, max_bytes: int, max_entries: int = MAX_ENTRIES
) -> Iterator[OpenedArchive]:
    """The archive with all its entries checked and none unpacked; errors as `unpacked` has them.

    max_bytes: of all entries together, as the archive announces them.
    """
    name = shown(archive.plain_name)
    _check_directory(archive, name, max_entries)
    with _damage_named(name):
        opened = zipfile.ZipFile(archive.path)
    with opened:
        with _damage_named(name):
            entries = _entries(opened, name)
        _check_sizes(list(entries.values()), archive, max_bytes, name)
        yield OpenedArchive(name, opened, entries)


@dataclass(frozen=True)
class OpenedArchive:
    """An archive whose entries are unpacked one at a time, on demand.

    entries: by their path in the archive, with forward slashes, in the archive's order.
    """

    name: str
    opened: zipfile.ZipFile
    entries: dict[str, zipfile.ZipInfo]

    @property
    def paths(self) -> list[str]:
        """Of all files in it."""
        return list(self.entries)

    def beginning(self, path: str, n_bytes: int) -> bytes:
        """The first bytes of an entry; empty for a damaged one, which `extracted` refuses."""
        try:
            with _damage_named(self.name), self.opened.open(self.entries[path]) as packed:
                return packed.read(n_bytes)
        except MalformedInput:
            return b""

    def extracted(self, path: str, target: Path, *, nested: bool = False) -> SourceFile:
        """The entry written to `target`, labelled with its plain name.

        nested: it may be an archive itself, which stays packed.
        """
        file = SourceFile(plain_name(path), target)
        with _damage_named(self.name):
            self._extract(self.entries[path], target)
        if not nested and is_archive(file):
            raise MalformedInput(
                f"{self.name}: {shown(file.name)} is an archive inside of the archive"
            )
        return file

    def _extract(self, info: zipfile.ZipInfo, target: Path) -> None:
        """No more than the entry announces; the announced sizes were checked together before."""
        written = 0
        with self.opened.open(info) as packed, target.open("wb") as file:
            while chunk := packed.read(_CHUNK_BYTES):
                written += len(chunk)
                if written > info.file_size:
                    raise TooLarge(
                        f"{self.name}: {shown(info.filename)} is larger than the archive says"
                    )
                file.write(chunk)


@contextmanager
def _damage_named(name: str) -> Iterator[None]:
    """What the library raises on a damaged archive becomes MalformedInput."""
    try:
        yield
    except (
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        EOFError,
        NotImplementedError,
        UnicodeError,
        ValueError,
    ) as error:
        raise MalformedInput(f"{name} is a damaged zip archive") from error
    except OSError as error:
        if error.errno not in (None, errno.EINVAL):  # a full disk is not the archive's fault
            raise
        raise MalformedInput(f"{name} is a damaged zip archive") from error


def _check_directory(archive: SourceFile, name: str, max_entries: int) -> None:
    """The size of the list of entries, read before the library takes memory for that list."""
    tail_bytes = _END_BYTES + 0xFFFF + _LOCATOR_64_BYTES + _END_64_BYTES
    with archive.opened() as stream:
        stream.seek(max(0, archive.n_bytes - tail_bytes))
        tail = stream.read()
    at = tail.rfind(_END)
    if at < 0 or at + _END_BYTES > len(tail):
        raise MalformedInput(
            f"{name} is a zip archive that was cut off: its list of files is missing"
        )
    n_entries, n_bytes = struct.unpack_from("<HI", tail, at + 10)
    at_64 = at - _LOCATOR_64_BYTES - _END_64_BYTES
    if at_64 >= 0 and tail[at_64 : at_64 + 4] == _END_64:
        n_entries, n_bytes = struct.unpack_from("<QQ", tail, at_64 + 32)
    if n_entries > max_entries or n_bytes > max_entries * ENTRY_BYTES:
        raise TooLarge(f"{name} lists {n_entries:,} files, at most {max_entries:,} are unpacked")


def _entries(opened: zipfile.ZipFile, name: str) -> dict[str, zipfile.ZipInfo]:
    """The files in the archive, each checked; folders and what macOS adds are left out."""
    infos = [info for info in opened.infolist() if not info.is_dir()]
    for info in infos:
        _check_entry(info, name)
    infos = [info for info in infos if not _is_desktop_file(info.filename)]
    repeated = [n for n, count in Counter(map(_path, infos)).items() if count > 1]
    if repeated:
        raise MalformedInput(f"{name} has more than one file called {listed(repeated)}")
    if not infos:
        raise MalformedInput(f"{name} is a zip archive without a file in it")
    return {_path(info): info for info in infos}


def _check_entry(info: zipfile.ZipInfo, name: str) -> None:
    entry = info.orig_filename
    parts = entry.replace("\\", "/").split("/")
    if ".." in parts or parts[0] == "" or ":" in entry or "\0" in entry:
        raise MalformedInput(f"{name}: '{shown(entry)}' is a name that leads out of the archive")
    if info.flag_bits & _ENCRYPTED:
        raise MalformedInput(f"{name}: {shown(entry)} is encrypted; send it without a password")
    if stat.S_ISLNK(info.external_attr >> 16):
        raise MalformedInput(f"{name}: {shown(entry)} is a link, only files are unpacked")
    if info.compress_type not in _READABLE:
        raise MalformedInput(
            f"{name}: {shown(entry)} is compressed by method {info.compress_type}; "
            "stored (0) and deflated (8) entries are read"
        )


def _check_sizes(
    entries: list[zipfile.ZipInfo], archive: SourceFile, max_bytes: int, name: str
) -> None:
    """What the archive says of itself; what it really holds is counted while it is unpacked."""
    total = sum(info.file_size for info in entries)
    if total > max_bytes:
        raise TooLarge(f"{name} unpacks to {total:,} bytes, at most {max_bytes:,} are allowed")
    if total > RATIO_COUNTS_FROM_BYTES and total > MAX_RATIO * archive.n_bytes:
        raise TooLarge(
            f"{name} unpacks to {total:,} bytes from {archive.n_bytes:,}: "
            f"more than {MAX_RATIO} times its size is not unpacked"
        )


def plain_name(path: str) -> str:
    """The last part of a path in an archive."""
    return path.rsplit("/", 1)[-1]


def _path(info: zipfile.ZipInfo) -> str:
    return info.filename.replace("\\", "/")


def _is_desktop_file(entry: str) -> bool:
    return entry.startswith("__MACOSX/") or entry.rsplit("/", 1)[-1] in (".DS_Store", "Thumbs.db")

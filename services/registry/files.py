"""Where a model version's files lie, with the code or in the file store; and as one archive."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.errors import NotFound, Unavailable
from services.models.model_archive import OPTIONAL_FILES, REQUIRED_FILES
from services.registry.service import (
    STORED,
    VERSION_FILES,
    WEIGHTS,
    folder_of,
    sha256_of,
)
from services.storage.base import Store

PREFIX = "models/"
COPY_BYTES = 1024 * 1024


def stored_location(version_id: str) -> str:
    """The location of a version whose files are in the store under an id of their own."""
    return f"{STORED}{PREFIX}{version_id}"


def put_version(store: Store, location: str, folder: Path) -> None:
    """Stores a model folder's files; the card last, so that a prefix with a card is whole."""
    for name in VERSION_FILES:
        if name in REQUIRED_FILES or (folder / name).is_file():
            store.put(f"{_prefix(location)}/{name}", folder / name)
    store.settle(f"{_prefix(location)}/")


def discard_version(store: Store, location: str) -> None:
    store.delete_all(f"{_prefix(location)}/")


def version_files(store: Store, location: str, sha256: str) -> dict[str, Path]:
    """Each file of a version by name, on this machine; its weights have the hash.

    Raises Unavailable where they do not, or are not here.
    """
    if not location.startswith(STORED):
        folder = folder_of(location, sha256)
        return {path.name: path for path in sorted(folder.iterdir()) if path.is_file()}
    try:
        found = {name: store.local_path(f"{_prefix(location)}/{name}") for name in REQUIRED_FILES}
    except NotFound as problem:
        raise Unavailable(
            "the files of this model version are gone from the file store; import it again"
        ) from problem
    if sha256_of(found[WEIGHTS]) != sha256:
        raise Unavailable(
            f"the stored weights of this model version are damaged: their sha256 is not "
            f"{sha256[:12]}…; import it again"
        )
    for name in OPTIONAL_FILES:
        try:
            found[name] = store.local_path(f"{_prefix(location)}/{name}")
        except NotFound:
            continue
    return found


@contextmanager
def version_folder(store: Store, location: str, sha256: str) -> Iterator[Path]:
    """A folder with the files of a version under their names; only as long as it is open."""
    with tempfile.TemporaryDirectory() as folder:
        for name, path in version_files(store, location, sha256).items():
            (Path(folder) / name).symlink_to(path.resolve())
        yield Path(folder)


def archive(files: dict[str, Path], *, folder: str) -> Iterator[bytes]:
    """A .zip of the files, stored plainly, piece by piece: no more than a piece is in memory."""
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as packed:
        for name, path in files.items():
            entry = zipfile.ZipInfo(f"{folder}/{name}")
            entry.file_size = path.stat().st_size
            with path.open("rb") as source, packed.open(entry, "w") as target:
                while chunk := source.read(COPY_BYTES):
                    target.write(chunk)
                    yield sink.taken()
            yield sink.taken()
    yield sink.taken()


class _Sink:
    """A file that cannot be read or sought, and gives away what was written to it."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        return None

    def close(self) -> None:
        return None

    def taken(self) -> bytes:
        taken, self._pieces = b"".join(self._pieces), []
        return taken


def _prefix(location: str) -> str:
    return location.removeprefix(STORED)

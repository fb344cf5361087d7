"""Where a model version's files lie, with the code or in the file store; and as one archive."""

from __future__ import annotations

import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.errors import NotFound, Unavailable
from services.models.model_archive import OPTIONAL_FILES, REQUIRED_FILES
from services.registry.service import (
    CARD,
    SHIPPED,
    STORED,
    VERSION_FILES,
    WEIGHTS,
    content_of,
    folder_of,
    sha256_of,
    shipped_folders,
    shipped_location,
)
from services.storage.base import Store

PREFIX = "models/"
COPY_BYTES = 1024 * 1024
_KEPT = re.compile(rf"{SHIPPED}[A-Za-z0-9._-]+@[0-9a-f]+")


def stored_location(version_id: str) -> str:
    """The location of a version whose files are in the store under an id of their own."""
    return f"{STORED}{PREFIX}{version_id}"


def put_version(store: Store, location: str, folder: Path) -> None:
    """Stores a model folder's files; the card last, so that a prefix with a card is whole."""
    for name in VERSION_FILES:
        if name in REQUIRED_FILES or (folder / name).is_file():
            store.put(f"{_prefix(location)}/{name}", folder / name)
    store.settle(f"{_prefix(location)}/")


def keep_shipped(store: Store) -> None:
    """Puts the models that come with the code into the store too, before they are registered.

    While one release takes another's place, workers of both get each other's jobs; and a fine-tune
    goes on from a base that came with a release before.
    """
    for folder in shipped_folders():
        location = shipped_location(folder, content_of(folder))
        if _is_kept(store, location):
            continue
        # the store may keep the very file that it is given, and those of the code may be replaced
        with tempfile.TemporaryDirectory() as copies:
            put_version(store, location, Path(shutil.copytree(folder, Path(copies) / "model")))


def discard_version(store: Store, location: str) -> None:
    store.delete_all(f"{_prefix(location)}/")


def version_files(store: Store, location: str, sha256: str) -> dict[str, Path]:
    """Each file of a version by name, on this machine; its weights have the hash.

    Raises Unavailable where they do not, or are not here.
    """
    if not location.startswith(STORED):
        try:
            folder = folder_of(location, sha256)
        except Unavailable:
            if not _is_kept(store, location):
                raise
        else:
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


def _is_kept(store: Store, location: str) -> bool:
    """Whether a model that came with some release is in the store."""
    if not _KEPT.fullmatch(location):
        return False
    try:
        store.local_path(f"{_prefix(location)}/{CARD}")  # which is put last
    except NotFound:
        return False
    return True


def _prefix(location: str) -> str:
    """`models/imp_…` of `store:models/imp_…`, `shipped/name@content` of `shipped:name@content`."""
    return location.removeprefix(STORED).replace(SHIPPED, "shipped/")

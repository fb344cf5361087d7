"""Where the files of an import wait for a worker, and under which names it reads them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from services.storage.base import Store

PREFIX = "imports/"
_PLAIN = re.compile(r"[^A-Za-z0-9._+-]+")
MAX_NAME = 100


@dataclass(frozen=True)
class IncomingFile:
    """A file on this machine, with the name that its owner gave it."""

    name: str
    path: Path
    sha256: str

    @property
    def plain_name(self) -> str:
        """Letters, digits and a few signs of the last part of the name: safe as a file's name."""
        last = self.name.replace("\\", "/").rsplit("/", 1)[-1]
        return _PLAIN.sub("_", last).lstrip(".")[-MAX_NAME:] or "checkpoint"

    def described(self) -> dict[str, object]:
        return {
            "name": self.plain_name,
            "sha256": self.sha256,
            "size_bytes": self.path.stat().st_size,
        }


def put(store: Store, import_id: str, files: Sequence[IncomingFile]) -> None:
    for number, file in enumerate(files):
        store.put(f"{PREFIX}{import_id}/{number}", file.path)
    store.settle(f"{PREFIX}{import_id}/")


def brought(store: Store, import_id: str, names: Sequence[str], folder: Path) -> list[Path]:
    """The files again, in a folder, under their plain names."""
    found = []
    for number, name in enumerate(names):
        link = folder / name
        link.symlink_to(store.local_path(f"{PREFIX}{import_id}/{number}").resolve())
        found.append(link)
    return found


def discard(store: Store, import_id: str) -> None:
    store.delete_all(f"{PREFIX}{import_id}/")

"""A run's checkpoints in the store, from which it goes on where its folder is on another disk."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import structlog

from services import ids
from services.errors import NotFound, Unavailable
from services.storage.base import Store
from services.training.plan import BEST, LAST

log = structlog.get_logger()

PREFIX = "fine_tunes/"
_KNOWN = "kept.json"  # what the folder has in common with the store


class KeptCheckpoints:
    """Of one run on this machine. A key is written once, so each checkpoint has one of its own.

    What the store holds is what the run's row says: key by path in the folder.
    """

    def __init__(self, store: Store, fine_tune_id: str, folder: Path) -> None:
        self._store, self._folder = store, folder
        self._prefix = f"{PREFIX}{fine_tune_id}/"
        self._seen: dict[str, tuple[int, int]] = {}
        self._keys: dict[str, str] = {}

    def take_up(self, kept: Mapping[str, str] | None) -> None:
        """Brings the folder to where the row says the run is, unless it was written here.

        A checkpoint that the store has no more (a backup may be a moment older) is begun without.
        """
        self._keys = dict(kept or {})
        known = self._folder / _KNOWN
        here = json.loads(known.read_text()) if known.is_file() else {}
        for name, key in self._keys.items():
            path = self._folder / name
            if here.get(name) != key or not path.is_file():
                path.parent.mkdir(parents=True, exist_ok=True)
                beside = path.with_name(path.name + ".partial")
                try:
                    shutil.copyfile(self._store.local_path(key), beside)
                except NotFound as problem:
                    log.warning("training.checkpoint_gone", reason=problem.detail)
                    continue
                beside.replace(path)
            self._seen[name] = _version(path)
        self._keys = {name: key for name, key in self._keys.items() if name in self._seen}
        self._note()
        self._remove(self._store.folders(self._prefix) - {_folder(k) for k in self._keys.values()})

    def put(self) -> dict[str, str] | None:
        """Stores the checkpoints that are new; what the row is to say, None where nothing is new.

        A store that is away keeps nobody from training: the next checkpoint may find it again.
        """
        new: dict[str, str] = {}
        for path in sorted(self._folder.rglob("*.safetensors")):
            name = path.relative_to(self._folder).as_posix()
            version = _version(path)
            if path.name not in (LAST, BEST) or self._seen.get(name) == version:
                continue
            key = f"{self._prefix}{ids.new_id('cp')}/{path.name}"
            try:
                self._store.put(key, path)
                self._store.settle(f"{self._prefix}{_folder(key)}")
            except Unavailable as problem:
                log.warning("training.checkpoint_not_stored", reason=problem.detail)
                return None
            new[name] = key
            self._seen[name] = version
        return self._keys | new if new else None

    def replaced(self, keys: Mapping[str, str]) -> None:
        """The row says so now: what it said before can go."""
        old = {_folder(key) for name, key in self._keys.items() if keys.get(name) != key}
        self._keys = dict(keys)
        self._note()
        self._remove(old)

    def _remove(self, folders: set[str]) -> None:
        for folder in folders:
            try:
                self._store.delete_all(f"{self._prefix}{folder}/")
            except Unavailable as problem:
                log.warning("training.checkpoint_not_removed", reason=problem.detail)

    def _note(self) -> None:
        beside = self._folder / (_KNOWN + ".partial")
        beside.write_text(json.dumps(self._keys))
        beside.replace(self._folder / _KNOWN)


def forget(store: Store, fine_tune_id: str) -> None:
    """Removes all that the store has of a run; nothing there is no error."""
    store.delete_all(f"{PREFIX}{fine_tune_id}/")


def present(store: Store) -> set[str]:
    """Ids of the runs that the store has checkpoints of."""
    return store.folders(PREFIX)


def _folder(key: str) -> str:
    return key.split("/")[-2]


def _version(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_ino, found.st_mtime_ns

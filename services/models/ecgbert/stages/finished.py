"""How a step knows that it is done: a note in its folder of what it was made of.

A step writes into a folder beside its own, which takes the place of its own when all is there: what
was interrupted is never taken for finished, and what is finished is not done again unless its
settings, its inputs or the code's own version of the step have changed.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from services.errors import StateConflict

NOTE = "stage.json"
_PARTIAL, _OLD = ".partial", ".old"

Key = Mapping[str, Any]


def finish(folder: Path, key: Key, make: Callable[[Path], None]) -> bool:
    """Makes the folder unless it is there with the same key; whether there was anything to do.

    key: plain values of everything that the result depends on. make: fills an empty folder.
    StateConflict where the folder holds files that no step has written.
    """
    if is_finished(folder, key):
        return False
    if folder.is_dir() and any(folder.iterdir()) and not (folder / NOTE).is_file():
        raise StateConflict(f"{folder} holds files that no step of ours wrote; choose another one")
    partial = folder.with_name(f"{folder.name}{_PARTIAL}")
    old = folder.with_name(f"{folder.name}{_OLD}")
    for leftover in (partial, old):
        shutil.rmtree(leftover, ignore_errors=True)
    partial.mkdir(parents=True)
    make(partial)
    (partial / NOTE).write_text(json.dumps(dict(key), indent=2, sort_keys=True) + "\n")
    if folder.exists():
        folder.rename(old)
    partial.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
    return True


def is_finished(folder: Path, key: Key) -> bool:
    """Whether the folder was finished with this key."""
    try:
        stored = json.loads((folder / NOTE).read_text())
    except (OSError, ValueError):
        return False
    return bool(stored == json.loads(json.dumps(dict(key))))


def note_digest(folder: Path) -> str:
    """SHA-256 of the folder's note: what the next step's key says of this one."""
    return hashlib.sha256((folder / NOTE).read_bytes()).hexdigest()

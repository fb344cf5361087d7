"""The folder of a run on the data volume, with inputs and checkpoints; one process at a time."""

from __future__ import annotations

import fcntl
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

FOLDER = "fine_tunes"
_LOCK = "lock"
_LOOK_S = 0.2


def workspace_of(data_dir: Path, fine_tune_id: str) -> Path:
    """Where a run keeps what it goes on from; workers that share the volume share it."""
    return data_dir / FOLDER / fine_tune_id


@contextmanager
def held(folder: Path, check: Callable[[], None]) -> Iterator[Path]:
    """The folder, for this process alone.

    An earlier attempt that has lost its claim may still be ending: it is waited for, so that it
    writes no old checkpoint over a new one. check: raises when the wait is over for another reason.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("wb") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                check()
                time.sleep(_LOOK_S)
        yield folder


def removed(data_dir: Path, fine_tune_id: str) -> None:
    """Takes the folder away; nothing there is no error."""
    shutil.rmtree(workspace_of(data_dir, fine_tune_id), ignore_errors=True)


def present(data_dir: Path) -> set[str]:
    """Ids of the runs that have a folder."""
    root = data_dir / FOLDER
    return {path.name for path in root.iterdir()} if root.is_dir() else set()

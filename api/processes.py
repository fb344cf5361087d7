"""The processes of one API: how many there are, and the folder that they share.

The folder is the parent's, which tells it to its children by an environment variable; what they
keep in it together is how much each key has used, and what `/metrics` counts.
"""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services import lifeline
from services.seats import Seat
from services.settings import Settings

FOLDER = "API_SHARED_FOLDER"
STARTUP_FAILURE = 3  # the status with which uvicorn ends where it could not start
MOST_UNASKED = 4  # each has 150 MB and more
_MEMORY_FILES = Path("/dev/shm")  # noqa: S108 - what is made there has a random name
_PREFIX = "ectopy-api-"
_STARTED = "started"  # a file in the folder
_NEW_S = 60.0


def chosen_count(settings: Settings) -> int:
    """As told, else one for each processor that we may use, up to a few."""
    if settings.api_processes:
        return settings.api_processes
    usable = getattr(os, "sched_getaffinity", None)  # on Linux
    return min(MOST_UNASKED, len(usable(0)) if usable else os.cpu_count() or 1)


@contextmanager
def shared_folder() -> Iterator[Path]:
    """A new one, removed in the end; those that killed processes have left go first.

    In memory, for who writes to a file's mapping is killed where the disk is full.
    """
    home = _MEMORY_FILES if os.access(_MEMORY_FILES, os.W_OK) else Path(tempfile.gettempdir())
    _remove_left(home)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=home))
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


def joined() -> Seat | None:
    """Ours among the processes of this API, with whose parent we end; None: we are alone."""
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid is not None:
        lifeline.die_with(parent.pid)
    folder = os.environ.get(FOLDER)
    return Seat(Path(folder)) if folder else None


def tell_started() -> None:
    """Tells our parent that one of its processes answers."""
    folder = os.environ.get(FOLDER)
    if folder:
        (Path(folder) / _STARTED).touch()


def has_started(folder: Path) -> bool:
    """Whether any of the processes that share the folder ever answered."""
    return (folder / _STARTED).exists()


def resident_memory() -> list[int]:
    """Bytes of each process that answers requests; empty where the system does not tell."""
    parent = multiprocessing.parent_process()
    numbers = [os.getpid()] if parent is None else _children(parent.pid)
    return [memory for number in numbers if (memory := _resident(number))]


def _children(parent: int | None) -> list[int]:
    """Of the parent, without the small one that Python itself starts beside them."""
    try:
        found = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        return [int(n) for n in found if b"spawn_main" in Path(f"/proc/{n}/cmdline").read_bytes()]
    except OSError:
        return []


def _resident(number: int) -> int:
    try:
        pages = int(Path(f"/proc/{number}/statm").read_text().split()[1])
    except (OSError, IndexError):  # it has just ended
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _remove_left(home: Path) -> None:
    for folder in home.glob(f"{_PREFIX}*"):
        try:
            found = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:  # another user's
            continue
        try:
            status = os.fstat(found)
            is_old = time.time() - status.st_mtime > _NEW_S  # else it may not be held yet
            if is_old and status.st_uid == os.geteuid():
                fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:  # it is in use
            continue
        finally:
            os.close(found)

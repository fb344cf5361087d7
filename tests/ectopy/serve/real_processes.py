"""What the tests of real processes share: waiting for a condition, and asking who still runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import psutil

from ectopy.serve.folder import DataFolder
from ectopy.serve.orphans import (
    POSTGRES,
    VALKEY,
    marked_processes,
    process_name,
    server_processes,
)

LIMIT_S = 60.0


def eventually(condition: Callable[[], bool]) -> bool:
    """Whether it comes true within the limit, which is far above what it should take."""
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def left_running(data_dir: Path) -> list[str]:
    """The names of processes that belong to a data folder."""
    folder = DataFolder.open(data_dir)
    found = [*server_processes(folder, POSTGRES, VALKEY), *marked_processes(folder)]
    return [process_name(process) for process in found if is_running(process.pid)]


def postmaster_pid(data_dir: Path) -> int:
    return int((data_dir / "postgres" / "postmaster.pid").read_text().splitlines()[0])

"""What a killed supervisor left running on a data folder: how it is found, and how it is ended."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Sequence

import psutil

from ectopy.serve.folder import MARKER, DataFolder

PATIENCE_S = 5.0
POLL_S = 0.02
POSTGRES = "postgres"
VALKEY = "valkey-server"


def stop_orphans(folder: DataFolder) -> list[str]:
    """End all that was started for this folder; what it was. The folder is locked: nobody wants it.

    Those who use the database go first, so that it can close in peace.
    """
    programs, servers = marked_processes(folder), server_processes(folder, POSTGRES, VALKEY)
    names = sorted({process_name(process) for process in (*programs, *servers)})
    end_all(programs)
    end_all(servers)
    return names


def end_all(processes: Sequence[psutil.Process]) -> None:
    """Ask them to end, then end by force those that do not."""
    for process in processes:
        # SIGTERM would have Postgres wait for its clients; an interrupt sends them off
        polite = signal.SIGINT if process_name(process) == POSTGRES else signal.SIGTERM
        with contextlib.suppress(psutil.Error):
            process.send_signal(polite)
    stubborn = _alive_after_patience(processes)
    for process in stubborn:
        with contextlib.suppress(psutil.Error):
            process.kill()
    _alive_after_patience(stubborn)


def marked_processes(folder: DataFolder) -> list[psutil.Process]:
    """Those that carry the folder's mark in their environment, ourselves and our parents apart."""
    us = psutil.Process()
    spared = {us.pid, *(parent.pid for parent in us.parents())}
    return [
        process
        for process in psutil.process_iter()
        if process.pid not in spared and _marker(process) == folder.marker
    ]


def server_processes(folder: DataFolder, *names: str) -> list[psutil.Process]:
    """Postgres and Valkey write their titles over their environment, but stay in their folders."""
    homes = {POSTGRES: os.fspath(folder.postgres), VALKEY: os.fspath(folder.valkey)}
    return [
        process
        for process in psutil.process_iter()
        if (name := process_name(process)) in names and _works_in(process) == homes[name]
    ]


def process_name(process: psutil.Process) -> str:
    try:
        return process.name()
    except (psutil.Error, OSError):
        return ""


def _alive_after_patience(processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    """Those that have not ended; a dead one that nobody has buried yet counts as ended."""
    deadline = time.monotonic() + PATIENCE_S
    while alive := [process for process in processes if _is_alive(process)]:
        if time.monotonic() > deadline:
            break
        time.sleep(POLL_S)
    return alive


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _marker(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(MARKER)
    except (psutil.Error, OSError):
        return None


def _works_in(process: psutil.Process) -> str | None:
    try:
        return os.path.realpath(process.cwd())
    except (psutil.Error, OSError):
        return None

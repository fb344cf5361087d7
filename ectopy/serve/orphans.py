"""What a killed supervisor left running on a data folder: how it is found, and how it is ended."""

from __future__ import annotations

import contextlib
import os
import signal

import psutil

from ectopy.serve.folder import MARKER, DataFolder

PATIENCE_S = 5.0


def stop_orphans(folder: DataFolder) -> list[str]:
    """End them, politely first; what they were. The folder is locked, so none of them is wanted."""
    found = orphans(folder)
    names = sorted({_name(process) for process in found})
    for process in found:
        with contextlib.suppress(psutil.Error):
            # SIGTERM would have Postgres wait for its clients; an interrupt sends them off
            process.send_signal(signal.SIGINT if _is_database(process, folder) else signal.SIGTERM)
    _, stubborn = psutil.wait_procs(found, timeout=PATIENCE_S)
    for process in stubborn:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(stubborn, timeout=PATIENCE_S)
    return names


def orphans(folder: DataFolder) -> list[psutil.Process]:
    """All that was started for this folder, ourselves and whoever started us apart."""
    us = psutil.Process()
    spared = {us.pid, *(parent.pid for parent in us.parents())}
    return [
        process
        for process in psutil.process_iter()
        if process.pid not in spared
        and (_is_marked(process, folder) or _is_server(process, folder))
    ]


def _is_marked(process: psutil.Process, folder: DataFolder) -> bool:
    try:
        return process.environ().get(MARKER) == folder.marker
    except (psutil.Error, OSError):
        return False


def _is_server(process: psutil.Process, folder: DataFolder) -> bool:
    """Postgres and Valkey write their titles over their environment, but stay in their folder."""
    if not _name(process).startswith(("postgres", "valkey")):
        return False
    try:
        return os.path.realpath(process.cwd()) in (str(folder.postgres), str(folder.valkey))
    except (psutil.Error, OSError):
        return False


def _is_database(process: psutil.Process, folder: DataFolder) -> bool:
    try:
        return _name(process).startswith("postgres") and process.cwd() == str(folder.postgres)
    except (psutil.Error, OSError):
        return False


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except (psutil.Error, OSError):
        return ""

"""How a program is started, watched and stopped, so that it never outlives us."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ectopy.serve import launch

LOG_LIMIT_BYTES = 10 * 1024 * 1024
KILL_PATIENCE_S = 5.0


@dataclass(frozen=True)
class Program:
    """A command and how to deal with it.

    death_signal: what it gets when we are killed. own_folder: set for a program that refuses root;
    it must own that folder. niceness: how far it stands back for others that want the processors.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    stop_signal: signal.Signals = signal.SIGTERM
    stop_patience_s: float = 10.0
    death_signal: signal.Signals = signal.SIGKILL
    own_folder: Path | None = None
    niceness: int = 0


@dataclass(frozen=True)
class Child:
    """A program that was started."""

    program: Program
    process: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; below zero: the number of the signal that ended it."""
        return self.process.poll()


def start(program: Program) -> Child:
    """Start it in a session of its own, so that a Ctrl-C in the terminal reaches us alone.

    Call this from the main thread: the kernel counts the death of the starting thread as ours.
    """
    own_folder = str(program.own_folder or "")
    prefix = [
        *(str(os.getpid()), str(int(program.death_signal)), str(program.niceness)),
        own_folder,
    ]
    with open_log(program.log) as log:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", launch.__file__, *prefix, *program.command],
            env=dict(program.environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Child(program, process)


def open_log(path: Path) -> IO[bytes]:
    """The log to append to; one that has grown large is set aside first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > LOG_LIMIT_BYTES:
        path.replace(path.with_suffix(".old.log"))
    return path.open("ab")


def request_stop(child: Child) -> None:
    """Ask it to end; it may take its time."""
    if child.exit_code is None:
        child.process.send_signal(child.program.stop_signal)


def wait_stopped(child: Child) -> None:
    """Wait as long as the program may take, then end it and what it started by force."""
    try:
        child.process.wait(child.program.stop_patience_s)
    except subprocess.TimeoutExpired:
        kill(child)


def stop(child: Child) -> None:
    request_stop(child)
    wait_stopped(child)


def kill(child: Child) -> None:
    """End it and all of its session at once."""
    kill_without_waiting([child])
    child.process.wait(KILL_PATIENCE_S)


def kill_without_waiting(children: Iterable[Child]) -> None:
    """For a signal handler, where nobody may wait."""
    for child in children:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)


def log_tail(path: Path, n_lines: int = 15) -> str:
    """The last lines of a log, and where the rest is."""
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    return "\n".join([*(f"    {line}" for line in lines[-n_lines:]), f"    (from {path})"])

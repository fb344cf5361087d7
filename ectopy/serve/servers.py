"""How a part is started: put right what must be right, find a port, wait until it answers."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from ectopy.serve import ports, processes
from ectopy.serve.errors import CannotServe
from ectopy.serve.folder import DataFolder
from ectopy.serve.postgres import Postgres
from ectopy.serve.processes import Child, Program
from ectopy.serve.valkey import Valkey

READY_PATIENCE_S = 300.0  # a database that was killed under load may have much to go through again
POLL_S = 0.05
PORT_TRIES = 5

Pause = Callable[[float], None]
Say = Callable[[str], None]
EmbeddedServer = TypeVar("EmbeddedServer", Postgres, Valkey)


class Server(Protocol):
    """A program that is worth something once it answers."""

    @property
    def name(self) -> str: ...

    @property
    def address(self) -> str:
        """Where it listens, for a person; empty if nowhere."""

    def prepare(self) -> None:
        """Put right what must be right before each start."""

    def program(self) -> Program: ...

    def is_ready(self) -> bool: ...


def start_server(server: Server, *, pause: Pause) -> Child:
    """Start it and wait until it answers; if it ends before that, say what its log says."""
    server.prepare()
    child = processes.start(server.program())
    try:
        wait_ready(server, child, pause=pause)
    except BaseException:
        processes.stop(child)
        raise
    return child


def wait_ready(server: Server, child: Child, *, pause: Pause) -> None:
    deadline = time.monotonic() + READY_PATIENCE_S
    while not server.is_ready():
        fail_if_ended(child)
        if time.monotonic() > deadline:
            log = processes.log_tail(child.program.log)
            raise CannotServe(f"{server.name} does not answer, {READY_PATIENCE_S:.0f} s on.\n{log}")
        pause(POLL_S)


def fail_if_ended(child: Child) -> None:
    """A part that ends while everything starts will not get better by itself."""
    if child.exit_code is not None:
        log = processes.log_tail(child.program.log)
        raise CannotServe(f"{child.program.name} {how_it_ended(child)} at its start.\n{log}")


def how_it_ended(child: Child) -> str:
    """`ended (exit code 1)`, `was killed (signal 9)`."""
    code = child.exit_code or 0
    return f"was killed (signal {-code})" if code < 0 else f"ended (exit code {code})"


def start_postgres(folder: DataFolder, *, say: Say, pause: Pause) -> tuple[Postgres, Child]:
    server = Postgres(folder, ports.for_server(folder, "postgres", say=say))
    if not folder.postgres.exists():
        say("making the database (once)")
    return _start_on_free_port(server, say=say, pause=pause)


def start_valkey(folder: DataFolder, *, say: Say, pause: Pause) -> tuple[Valkey, Child]:
    server = Valkey(folder, ports.for_server(folder, "valkey", say=say))
    try:
        return _start_on_free_port(server, say=say, pause=pause)
    except CannotServe:
        aside = server.set_damaged_file_aside()
        if aside is None:
            raise
    say(f"valkey's file was damaged and lies in {aside} now; what waits in it will be sent again")
    return _start_on_free_port(server, say=say, pause=pause)


def _start_on_free_port(
    server: EmbeddedServer, *, say: Say, pause: Pause
) -> tuple[EmbeddedServer, Child]:
    """Another program can take the port between our look at it and the server's start."""
    for _ in range(PORT_TRIES):
        try:
            child = start_server(server, pause=pause)
        except CannotServe:
            if ports.is_free(server.port):
                raise
            server = dataclasses.replace(server, port=ports.next_free(server.port + 1))
            say(f"{server.name}'s port was taken meanwhile: trying {server.port}")
        else:
            ports.remember(server.folder, server.name, server.port)
            return server, child
    raise CannotServe(f"no port stayed free long enough for {server.name} to take it")

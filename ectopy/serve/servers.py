"""Starting Postgres and Valkey: orphans first, then a free port, then wait until it answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from ectopy.serve import ports, processes
from ectopy.serve.errors import CannotServe
from ectopy.serve.folder import DataFolder
from ectopy.serve.postgres import Postgres
from ectopy.serve.processes import Child, Program
from ectopy.serve.valkey import Valkey

READY_PATIENCE_S = 300.0  # a database that crashed under load may have much to go through again
POLL_S = 0.05


class Server(Protocol):
    """A program that is worth something once it answers."""

    @property
    def name(self) -> str: ...

    def prepare(self) -> None:
        """Put right what must be right before each start."""

    def program(self) -> Program: ...

    def is_ready(self) -> bool: ...


def choose_servers(folder: DataFolder, say: Callable[[str], None]) -> tuple[Postgres, Valkey]:
    """Both with a port: that of the last start where it is still free."""
    before = ports.remembered(folder)
    chosen: dict[str, int] = {}
    for name, first in ports.FIRST_PORTS.items():
        last = before.get(name)
        if last is not None and last not in chosen.values() and ports.is_free(last):
            chosen[name] = last
            continue
        chosen[name] = ports.next_free(first, avoid=chosen.values())
        if last is not None:
            say(f"port {last}, where {name} was, is taken: it is on {chosen[name]} now")
    ports.remember(folder, chosen)
    return Postgres(folder, chosen["postgres"]), Valkey(folder, chosen["valkey"])


def start_server(server: Server) -> Child:
    """Start it and wait until it answers; if it ends before that, say what its log says."""
    server.prepare()
    program = server.program()
    child = processes.start(program)
    try:
        wait_ready(server, child)
    except BaseException:
        processes.stop(child)
        raise
    return child


def wait_ready(server: Server, child: Child) -> None:
    deadline = time.monotonic() + READY_PATIENCE_S
    while not server.is_ready():
        log = processes.log_tail(child.program.log)
        if child.exit_code is not None:
            raise CannotServe(f"{server.name} did not start.\n{log}")
        if time.monotonic() > deadline:
            raise CannotServe(
                f"{server.name} does not answer after {READY_PATIENCE_S:.0f} s.\n{log}"
            )
        time.sleep(POLL_S)

"""One run of everything on a data folder: lock, orphans, servers, programs, watch, end."""

from __future__ import annotations

import time
from collections.abc import Callable

from ectopy.serve import processes
from ectopy.serve.errors import CannotServe
from ectopy.serve.folder import DataFolder
from ectopy.serve.orphans import stop_orphans
from ectopy.serve.postgres import Postgres
from ectopy.serve.servers import Server, fail_if_ended, start_postgres, start_valkey
from ectopy.serve.stopping import Stopping, StopRequested
from ectopy.serve.supervisor import Supervisor
from ectopy.serve.valkey import Valkey

POLL_S = 0.1
REMIND_S = 15.0

StartParts = Callable[["Session"], None]


class Session:
    """Holds a folder from `run` until its end; `show` prints a line."""

    def __init__(self, folder: DataFolder, *, show: Callable[[str], None]) -> None:
        self.folder = folder
        self.show = show
        self.supervisor = Supervisor(say=self.say)
        self._stopping = Stopping(force=self.supervisor.kill)

    def say(self, line: str) -> None:
        self.show(f"[{time.strftime('%H:%M:%S')}] {line}")

    def run(self, start_parts: StartParts) -> int:
        """Until a signal; returns the exit code. Call it from the main thread."""
        try:
            with self.folder.locked(), self._stopping.listening():
                return self._run(start_parts)
        except CannotServe as error:
            self.say(str(error))
            return 1

    def start_servers(self) -> tuple[Postgres, Valkey]:
        """Start the two that the rest stands on; both answer when this returns."""
        self.supervisor.add_layer()
        postgres, child = start_postgres(self.folder, say=self.say, pause=self._stopping.pause)
        self.supervisor.add(postgres, child)
        valkey, child = start_valkey(self.folder, say=self.say, pause=self._stopping.pause)
        self.supervisor.add(valkey, child)
        self.supervisor.add_layer()
        return postgres, valkey

    def start(self, server: Server) -> None:
        """Start one of the programs that stand on the servers, and look after it."""
        server.prepare()
        self.supervisor.add(server, processes.start(server.program()))

    def wait_until_ready(self, missing: Callable[[], str]) -> None:
        """Until nothing is missing; without limit, for a slow machine takes its time at first."""
        remind_at = time.monotonic() + REMIND_S
        while problem := missing():
            for part in self.supervisor.parts:
                fail_if_ended(part.child)
            if time.monotonic() > remind_at:
                self.say(f"not ready yet: {problem}")
                remind_at += REMIND_S
            self._stopping.pause(POLL_S)

    def _run(self, start_parts: StartParts) -> int:
        try:
            if left := stop_orphans(self.folder):
                self.say(f"ended what the last run had left behind: {', '.join(left)}")
            start_parts(self)
            self.supervisor.watch(self._stopping.pause)
        except StopRequested:
            self.say("ending (once more to end at once)")
            return 0
        finally:
            self.supervisor.stop()
            self.say("all has ended")
        return 1  # not reached: the watch ends by an exception only

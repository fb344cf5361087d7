"""Keeps the parts running: starts again what ends, ends all of them in the right order."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from ectopy.serve import processes
from ectopy.serve.errors import CannotServe
from ectopy.serve.processes import Child
from ectopy.serve.servers import Pause, Say, Server, how_it_ended

WATCH_S = 0.2
FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 30.0
HEALTHY_AFTER_S = 60.0


@dataclass
class Part:
    """A part that should run. `again_at` is set while it does not."""

    server: Server
    child: Child
    started_at: float = field(default_factory=time.monotonic)
    failures: int = 0
    again_at: float | None = None
    is_back: bool = True


class Supervisor:
    """Holds the parts in layers; a layer stands on those before it."""

    def __init__(self, *, say: Say) -> None:
        self._say = say
        self._layers: list[list[Part]] = []

    @property
    def parts(self) -> list[Part]:
        return [part for layer in self._layers for part in layer]

    def add_layer(self) -> None:
        self._layers.append([])

    def add(self, server: Server, child: Child) -> None:
        """Look after a part that was started, in the newest layer."""
        self._layers[-1].append(Part(server, child))

    def watch(self, pause: Pause) -> None:
        """Until `pause` raises."""
        while True:
            for part in self.parts:
                self._look_after(part)
            pause(WATCH_S)

    def stop(self) -> None:
        """The newest layer first; within a layer all at once."""
        for layer in reversed(self._layers):
            for part in layer:
                processes.request_stop(part.child)
            for part in layer:
                processes.wait_stopped(part.child)

    def kill(self) -> None:
        """All at once, from a signal handler too."""
        processes.kill_without_waiting(part.child for part in self.parts)

    def _look_after(self, part: Part) -> None:
        if part.again_at is not None:
            if time.monotonic() >= part.again_at:
                self._start_again(part)
        elif part.child.exit_code is not None:
            self._plan_start(part)
        elif not part.is_back and part.server.is_ready():
            part.is_back = True
            self._say(f"{part.server.name} is back (process {part.child.pid})")

    def _plan_start(self, part: Part) -> None:
        processes.kill(part.child)  # whatever it started and left
        lasted_s = time.monotonic() - part.started_at
        part.failures = 0 if lasted_s > HEALTHY_AFTER_S else part.failures
        delay_s = min(FIRST_DELAY_S * 2**part.failures, LONGEST_DELAY_S)
        part.failures += 1
        part.again_at = time.monotonic() + delay_s
        self._say(
            f"{part.server.name} {how_it_ended(part.child)}: starting it again in {delay_s:g} s "
            f"(its log: {part.child.program.log})"
        )

    def _start_again(self, part: Part) -> None:
        part.started_at, part.again_at, part.is_back = time.monotonic(), None, False
        try:
            part.server.prepare()
            part.child = processes.start(part.server.program())
        except (CannotServe, OSError) as error:
            self._say(f"{part.server.name} cannot be started: {error}")
            part.again_at = time.monotonic() + LONGEST_DELAY_S

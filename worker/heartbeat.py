"""Says that this worker lives, keeps its leases, and hears who asks to cancel."""

from __future__ import annotations

import threading
import time

import structlog
from sqlalchemy.exc import SQLAlchemyError

from services.jobs import lifecycle, presence
from worker.devices import memory_in_use
from worker.runtime import Runtime

log = structlog.get_logger()

TICK_S = 0.5


class Heartbeat(threading.Thread):
    """One thread beside the tasks; a database that is away only makes it silent for a while."""

    def __init__(self, runtime: Runtime) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self._runtime = runtime
        self._ended = threading.Event()
        self._next_beat = 0.0
        self._next_renewal = 0.0

    def run(self) -> None:
        while not self._ended.wait(TICK_S):
            try:
                self.tick()
            except (SQLAlchemyError, OSError) as error:
                log.warning("heartbeat.failed", reason=type(error).__name__)

    def tick(self) -> None:
        """Beats, renews and listens, each at its own pace."""
        now = time.monotonic()
        running = dict(self._runtime.running)
        beat_due, renewal_due = now >= self._next_beat, bool(running) and now >= self._next_renewal
        if not (running or beat_due):
            return
        with self._runtime.sessions.begin() as session:
            if beat_due:
                presence.beat(session, self._runtime.identity, memory=memory_in_use())
                self._next_beat = now + presence.BEAT_S
            if renewal_due:
                lease_s = self._runtime.settings.lease_s
                lifecycle.renew(session, self._runtime.identity.name, lease_s=lease_s)
                self._next_renewal = now + lease_s / 4
            wanted = lifecycle.wanted(session, self._runtime.identity.name) if running else set()
        for job_id in running.keys() - wanted:  # cancelled, or no longer ours
            running[job_id].set()
        alive_file = self._runtime.settings.worker_alive_file
        if beat_due and alive_file is not None:
            alive_file.touch()

    def stop(self) -> None:
        """Ends the thread and says good-bye."""
        self._ended.set()
        self.join(timeout=5)
        try:
            with self._runtime.sessions.begin() as session:
                presence.leave(session, self._runtime.identity.name)
        except SQLAlchemyError as error:
            log.warning("heartbeat.no_goodbye", reason=type(error).__name__)

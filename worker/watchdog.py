"""Ends a worker that hears nothing any more, so that whoever looks after it starts it again.

After its broker was killed or emptied, the consumer of the queue library may wait for ever for
messages, while everything else here lives on: the heartbeat beats, and no job is taken. The rows
know: a job that waits long, while this worker has nothing to do, is one that it does not hear of.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from datetime import timedelta

import structlog
from sqlalchemy import exists, select
from sqlalchemy.exc import SQLAlchemyError

from services import clock
from services.jobs.row import JobRow
from services.jobs.states import JobStatus
from worker.runtime import Runtime

log = structlog.get_logger()

TICK_S = 5.0  # at most: a tenth of its patience, where that is less
DEAF_AFTER_RESENDS = 5  # how often a job was sent again in vain before this worker is to blame


class Watchdog(threading.Thread):
    """One thread beside the tasks. `give_up` ends the process."""

    def __init__(self, runtime: Runtime, *, give_up: Callable[[], None] | None = None) -> None:
        super().__init__(name="watchdog", daemon=True)
        self._runtime = runtime
        self._give_up = give_up or _end_process
        self._ended = threading.Event()
        self._idle_since = time.monotonic()
        self._patience_s = runtime.settings.resend_after_s * DEAF_AFTER_RESENDS

    def run(self) -> None:
        while not self._ended.wait(min(TICK_S, self._patience_s / 10)):
            try:
                self.tick()
            except SQLAlchemyError as error:
                self._idle_since = time.monotonic()
                log.warning("watchdog.failed", reason=type(error).__name__)

    def stop(self) -> None:
        self._ended.set()
        self.join(timeout=5)

    def tick(self) -> None:
        """Idle, with work waiting and the broker answering, for longer than resending takes."""
        if self._is_busy() or not self._work_waits() or not self._broker_answers():
            self._idle_since = time.monotonic()
        elif time.monotonic() - self._idle_since > self._patience_s:
            log.error("worker.deaf", idle_s=round(time.monotonic() - self._idle_since, 1))
            self._give_up()

    def _is_busy(self) -> bool:
        return bool(self._runtime.running) or self._runtime.turns.helps

    def _work_waits(self) -> bool:
        before = clock.now() - timedelta(seconds=self._patience_s)
        waiting = exists().where(
            JobRow.status == JobStatus.QUEUED,
            JobRow.queue.in_(list(self._runtime.identity.queues)),
            JobRow.created_at < before,
        )
        with self._runtime.single_statements() as session:
            return bool(session.scalar(select(waiting)))

    def _broker_answers(self) -> bool:
        queue = self._runtime.identity.queues[0]
        return self._runtime.dispatcher.backlog(queue) is not None


def _end_process() -> None:
    """At once: nothing runs here, and a consumer that is stuck would not hear a polite word."""
    os._exit(1)

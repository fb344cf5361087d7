"""Puts right what crashes leave behind; one worker at a time does it."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from services import clock, ids, retention
from services.access import idempotency
from services.errors import EctopyError
from services.fine_tunes import groups
from services.fine_tunes import service as fine_tunes
from services.imports import service as imports
from services.jobs import dispatch, lifecycle, presence
from services.records import service as records
from services.storage.factory import forget_old_workspaces, trimmed_cache
from worker.runtime import Runtime

log = structlog.get_logger()

ROUND_S = 2.0
SWEEP_S = 600.0
ORPHAN_AGE_S = 3600.0
CACHE_BYTES = 20 * 1024**3
# a message that is not in the queue, for a job that nobody took: lost. While messages still wait,
# a job may simply have to wait too, and is sent again only after this long
LONG_WAIT = timedelta(minutes=10)
_LOCK = 0x45C70A


class Upkeep(threading.Thread):
    """Requeues jobs of silent workers, sends lost messages again, sweeps files nobody owns."""

    def __init__(self, runtime: Runtime) -> None:
        super().__init__(name="upkeep", daemon=True)
        self._runtime = runtime
        self._ended = threading.Event()
        self._next_sweep = time.monotonic() + ROUND_S

    def run(self) -> None:
        while not self._ended.wait(ROUND_S):
            try:
                self.round()
            except (SQLAlchemyError, EctopyError, OSError) as error:
                log.warning("upkeep.failed", reason=type(error).__name__)

    def stop(self) -> None:
        self._ended.set()
        self.join(timeout=5)

    def round(self) -> None:
        """One pass; skipped when another worker is at it."""
        with self._runtime.sessions.begin() as session:
            if not _sole(session):
                return
            again, given_up = lifecycle.requeue_silent(
                session, max_attempts=self._runtime.settings.job_max_attempts
            )
            for job_id in again:
                log.warning("upkeep.requeued", job_id=job_id)
            for job_id in given_up:
                log.error("upkeep.given_up", job_id=job_id)
        for queue in dispatch.QUEUES:
            self._send_again(queue)
        if time.monotonic() >= self._next_sweep:
            self._next_sweep = time.monotonic() + SWEEP_S
            self._sweep()

    def _send_again(self, queue: str) -> None:
        backlog = self._runtime.dispatcher.backlog(queue)
        if backlog is None:
            return
        patience = timedelta(seconds=self._runtime.settings.resend_after_s)
        with self._runtime.single_statements() as session:
            before = clock.now() - (patience if backlog == 0 else LONG_WAIT)
            for job in lifecycle.unsent(session, queue, before=before):
                log.warning("upkeep.sent_again", job_id=job.id)
                dispatch.send_again(session, self._runtime.dispatcher, job)

    def _sweep(self) -> None:
        settings = self._runtime.settings
        with self._runtime.sessions.begin() as session:
            idempotency.forget_older(session, clock.now() - idempotency.KEPT)
            presence.forget_dead(session)
            oldest = ids.id_at("rec", time.time() - ORPHAN_AGE_S)
            orphans = records.orphan_files(session, self._runtime.store, before_id=oldest)
            oldest = ids.id_at("imp", time.time() - ORPHAN_AGE_S)
            for import_id in imports.remove_orphans(session, self._runtime.store, before_id=oldest):
                log.warning("upkeep.orphan_removed", import_id=import_id)
            oldest = ids.id_at("ft", time.time() - ORPHAN_AGE_S)
            for name in fine_tunes.remove_orphans(session, self._runtime.store, before_id=oldest):
                log.warning("upkeep.orphan_removed", model=name)
            swept = fine_tunes.forget_old_workspaces(
                session, self._runtime.store, settings.data_dir
            )
            groups.forget_void(session)
        for fine_tune_id in swept:
            log.info("upkeep.workspace_removed", fine_tune_id=fine_tune_id)
        for record_id in orphans:
            log.warning("upkeep.orphan_removed", record_id=record_id)
            records.discard_files(self._runtime.store, record_id)
        retention.apply(self._runtime.sessions, self._runtime.store, settings)
        forget_old_workspaces(settings, older_than_s=ORPHAN_AGE_S)
        trimmed_cache(settings.data_dir / "cache", max_bytes=CACHE_BYTES)


def _sole(session: Session) -> bool:
    """Whether no other worker does upkeep now; held to the end of the transaction."""
    return bool(session.scalar(text("select pg_try_advisory_xact_lock(:key)"), {"key": _LOCK}))

"""Runs any job: claim, work, one end. The one place in a worker that catches everything."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from services import tracing
from services.db.session import DATABASE_AWAY, SessionFactory, single_statements
from services.errors import Cancelled, EctopyError, Interrupted, is_disk_full
from services.jobs import events, lifecycle
from services.jobs.lifecycle import Along, JobClaim
from services.jobs.states import JobStatus

log = structlog.get_logger()

PROGRESS_EVERY_S = 0.25
DATABASE_PATIENCE_S = 120.0


class StopFlag(threading.Event):
    """Asks the work to stop; `handed_back` when it is to go on in another process."""

    handed_back = False

    def hand_back(self) -> None:
        self.handed_back = True
        self.set()


class JobProgress:
    """Progress over the job's row: written at most a few times a second, cancel asked in memory."""

    def __init__(self, sessions: SessionFactory, claim: JobClaim, stop: threading.Event) -> None:
        self._sessions, self._claim, self._stop = single_statements(sessions), claim, stop
        self._next_write = time.monotonic() + PROGRESS_EVERY_S

    def advance(self, fraction: float, *, stage: str = "") -> None:
        now = time.monotonic()
        if now < self._next_write:
            return
        self._next_write = now + PROGRESS_EVERY_S
        with _Tolerant(), self._sessions() as session:
            lifecycle.set_progress(session, self._claim, min(max(fraction, 0.0), 1.0))

    def event(self, kind: str, data: dict[str, Any]) -> None:
        with self._sessions() as session:
            events.append(session, self._claim.job_id, kind, data)

    def check_cancelled(self) -> None:
        if isinstance(self._stop, StopFlag) and self._stop.handed_back:
            raise Interrupted("its worker is about to end")
        if self._stop.is_set():
            raise Cancelled("cancelled by its owner")


class _Runs(Protocol):
    def run(self, claim: JobClaim, progress: JobProgress) -> Any: ...


class StoringRunner(_Runs, Protocol):
    """The work behind one kind of job.

    `run` works and returns what to store; `store` stores it in the transaction that ends the job,
    so that a result and its `succeeded` are one.
    """

    def store(self, session: Session, claim: JobClaim, outcome: Any) -> None: ...


@runtime_checkable
class ShortRunner(_Runs, Protocol):
    """The same for short work, to which a transaction of several statements would matter.

    `along` says how the statement that ends the job stores the outcome; None: nothing is stored.
    """

    def along(self, claim: JobClaim, outcome: Any) -> Along | None: ...


Runner = StoringRunner | ShortRunner


class _Tolerant:
    """Progress is worth losing; the work is not."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        return kind is not None and issubclass(kind, SQLAlchemyError)


def execute(
    sessions: SessionFactory, claim: JobClaim, runner: Runner, stop: threading.Event
) -> None:
    """Runs a claimed job to its end; the log tells the request behind it."""
    with (
        structlog.contextvars.bound_contextvars(request_id=claim.request_id),
        tracing.job_span(
            claim.kind,
            claim.job_id,
            parent=claim.trace_parent,
            queued_at_s=claim.queued_at_s,
        ),
    ):
        _execute(sessions, claim, runner, stop)


@dataclass
class _End:
    """How an attempt ended; back: why it is to be made again."""

    status: JobStatus
    error: dict[str, Any] | None = None
    outcome: Any = None
    back: str | None = None


def _attempted(claim: JobClaim, runner: Runner, progress: JobProgress) -> _End:
    """The work, and whatever happens in it."""
    try:
        progress.check_cancelled()
        return _End(JobStatus.SUCCEEDED, outcome=runner.run(claim, progress))
    except Interrupted as reason:
        return _End(JobStatus.QUEUED, back=reason.detail)
    except Cancelled:
        return _End(JobStatus.CANCELLED)
    except EctopyError as problem:
        error = problem.problem()
    except DATABASE_AWAY:
        return _End(JobStatus.QUEUED, back="the database went away")
    except Exception as problem:
        if isinstance(problem, OSError) and is_disk_full(problem):
            return _End(JobStatus.QUEUED, back="the disk is full")
        log.exception("job.crashed", job_id=claim.job_id, kind=claim.kind)
        error = EctopyError("an internal error; see the log").problem()
    return _End(JobStatus.FAILED, error)


def _execute(
    sessions: SessionFactory, claim: JobClaim, runner: Runner, stop: threading.Event
) -> None:
    """Runs a claimed job to its end, or puts it back."""
    started = time.perf_counter()
    found = _attempted(claim, runner, JobProgress(sessions, claim, stop))
    if found.back is not None:
        _put_back(sessions, claim, found.back)
        return
    try:
        kept = _ended(sessions, claim, runner, found)
    except EctopyError as problem:  # what came out cannot be kept, as where a name was taken
        found = _End(JobStatus.FAILED, problem.problem())
        kept = _ended(sessions, claim, runner, found)
    status = found.status
    tracing.ended(status, badly=status == JobStatus.FAILED)
    log.info(
        "job.ended" if kept else "job.claim_lost",
        job_id=claim.job_id,
        kind=claim.kind,
        status=status,
        attempt=claim.attempt,
        elapsed_s=round(time.perf_counter() - started, 4),
    )


def _ended(sessions: SessionFactory, claim: JobClaim, runner: Runner, found: _End) -> bool:
    """Ends the job and stores what came out as one; False when the claim is no longer good."""
    succeeded = found.status == JobStatus.SUCCEEDED
    if isinstance(runner, ShortRunner):
        along = runner.along(claim, found.outcome) if succeeded else None

        def end(session: Session) -> bool:
            return lifecycle.finish(session, claim, found.status, found.error, along=along)

        return _with_patience(single_statements(sessions), end)

    def end_and_store(session: Session) -> bool:
        if not lifecycle.finish(session, claim, found.status, found.error):
            return False
        if succeeded:
            runner.store(session, claim, found.outcome)
        return True

    return _with_patience(sessions, end_and_store)


def _put_back(sessions: SessionFactory, claim: JobClaim, reason: str) -> None:
    """Into the queue, from which upkeep sends it again and again until it can be done."""
    log.warning("job.put_back", job_id=claim.job_id, reason=reason)

    def release(session: Session) -> bool:
        released = lifecycle.release(session, claim)
        if released:
            events.append(session, claim.job_id, "log", {"message": f"put back: {reason}"})
        return released

    _with_patience(sessions, release)


def _with_patience(sessions: SessionFactory, action: Callable[[Session], bool]) -> bool:
    """Carries out a short transaction, or one statement; waits out a database that is away.

    The commit may have succeeded although its answer was lost; the second try then finds the claim
    gone and changes nothing.
    """
    deadline = time.monotonic() + DATABASE_PATIENCE_S
    while True:
        try:
            with sessions.begin() as session:
                return action(session)
        except DATABASE_AWAY:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)

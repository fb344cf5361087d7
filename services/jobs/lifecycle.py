"""The only writer of a job's status; each move is a compare-and-set, so only one writer wins.

A running job belongs to one worker under a lease. The worker renews it; when it falls silent the
lease runs out and the job goes back to the queue. Whoever held it before can no longer end it: the
number of the attempt is part of the claim.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    Integer,
    Select,
    String,
    Update,
    bindparam,
    func,
    select,
    text,
    true,
    update,
)
from sqlalchemy.orm import InstrumentedAttribute, Session

from services import clock, ids, telemetry, tracing
from services.db.durability import without_waiting
from services.db.inserting import insert_together
from services.errors import EctopyError, StateConflict, Unavailable
from services.jobs import events
from services.jobs.events import CHANNEL, GOES_ON
from services.jobs.row import JobEventRow, JobRow
from services.jobs.states import ENDED, JobStatus


@dataclass(frozen=True)
class JobClaim:
    """The right to run a job once: good as long as no later attempt has begun."""

    job_id: str
    kind: str
    resource_id: str
    worker: str
    attempt: int
    request_id: str | None = None
    trace_parent: str | None = None
    queued_at_s: float | None = None  # seconds since 1970
    seen: Mapping[str, Any] | None = None  # what was read along with it


# Reads along with a claim, in its statement: given the column of the resource's id, a query of one
# row. Statements are kept by it, so it is a function of a module.
Seeing = Callable[[ColumnElement[str]], Select[Any]]


@dataclass(frozen=True)
class Along:
    """A change that the statement which ends a job makes along with it, if it may end the job.

    part: makes it, given the move, which has a row when the job is ended. Statements are kept by
    it, so it is a function of a module. parameters: of this change.
    """

    part: Callable[[CTE], CTE]
    parameters: Mapping[str, Any]


def create(session: Session, *, kind: str, queue: str, resource_id: str) -> JobRow:
    """A queued job in this transaction; send it with services.jobs.dispatch after the commit.

    It counts as sent from now on, which saves a second commit: should that fail, upkeep sends it.
    """
    job, told = new(kind=kind, queue=queue, resource_id=resource_id)
    insert_together(session, job, told)
    return job


def new(*, kind: str, queue: str, resource_id: str) -> tuple[JobRow, JobEventRow]:
    """The rows of `create`, for whoever inserts them together with others."""
    now = clock.now()
    job = JobRow(
        id=ids.new_id("job"),
        kind=kind,
        queue=queue,
        resource_id=resource_id,
        status=JobStatus.QUEUED,
        sent_at=now,
        created_at=now,
        request_id=telemetry.request_id(),
        trace_parent=tracing.parent_of_now(),
    )
    data = _status_data(JobStatus.QUEUED, None)  # nobody waits yet who would have to be woken
    return job, JobEventRow(job_id=job.id, kind="status", data=data, created_at=now)


def waiting(session: Session, queue: str, *, most: int) -> int:
    """How many jobs wait in a queue, counted up to `most`."""
    return session.execute(_waiting(), {"queue": queue, "most": most}).scalar_one()


@cache
def _waiting() -> Select[int]:
    waiting = (
        select(JobRow.id)
        .where(
            JobRow.status == JobStatus.QUEUED,
            JobRow.queue == bindparam("queue", type_=String),
            JobRow.finished_at.is_(None),  # for the index of what is unfinished
        )
        .limit(bindparam("most", type_=Integer))
    )
    return select(func.count()).select_from(waiting.subquery())


def claim(
    session: Session, job_id: str, *, worker: str, lease_s: float, seeing: Seeing | None = None
) -> JobClaim | None:
    """Queued -> running for this worker, in one statement; None when another was faster."""
    now = clock.now()
    asked = {
        "of_job": job_id,
        "by_worker": worker,
        "lease_until": now + timedelta(seconds=lease_s),
        "now": now,
    }
    asked |= _telling(JobStatus.RUNNING)
    row = session.connection().execute(_claiming(seeing), asked).first()
    if row is None:
        return None
    return JobClaim(
        job_id,
        row.kind,
        row.resource_id,
        worker,
        row.attempts,
        row.request_id,
        row.trace_parent,
        row.created_at.timestamp(),
        seen={
            name.removeprefix(_SEEN): value
            for name, value in row._asdict().items()
            if name.startswith(_SEEN)
        }
        if seeing is not None
        else None,
    )


def renew(session: Session, worker: str, *, lease_s: float) -> None:
    """Puts off the end of all leases that this worker holds."""
    session.execute(
        update(JobRow)
        .where(JobRow.worker == worker, JobRow.status == JobStatus.RUNNING)
        .values(lease_expires_at=clock.now() + timedelta(seconds=lease_s))
    )


def wanted(session: Session, worker: str) -> set[str]:
    """Ids of the jobs that this worker holds and that nobody has asked to cancel."""
    query = select(JobRow.id).where(
        JobRow.worker == worker, JobRow.status == JobStatus.RUNNING, ~JobRow.cancel_requested
    )
    return set(session.scalars(query))


def set_progress(session: Session, claim: JobClaim, fraction: float) -> bool:
    """Records how far the work is, in one statement; False when the claim is no longer good."""
    held = _held(claim).values(progress=fraction).returning(JobRow.id).cte("held")
    return session.execute(select(func.pg_notify(CHANNEL, held.c.id + GOES_ON))).first() is not None


def set_fruitful(session: Session, claim: JobClaim) -> None:
    """What this attempt has done so far is kept: it does not count as one in vain."""
    session.execute(_held(claim).values(fruitful_attempt=claim.attempt))


def holds(session: Session, claim: JobClaim) -> bool | None:
    """Whether the claim is good; None when it is, but the owner has asked to stop."""
    query = select(JobRow.cancel_requested).where(*_is_held(claim))
    asked = session.execute(query).scalar_one_or_none()
    if asked is None:
        return False
    return None if asked else True


def has_ended(session: Session, job_id: str) -> bool:
    """Whether a job has come to its end, or is gone."""
    return session.execute(_unfinished(), {"of_job": job_id}).first() is None


@cache
def _unfinished() -> Select[Any]:
    of_job = bindparam("of_job", type_=String)
    return select(JobRow.id).where(JobRow.id == of_job, JobRow.finished_at.is_(None))


def finish(
    session: Session,
    claim: JobClaim,
    status: JobStatus,
    error: dict[str, Any] | None = None,
    *,
    along: Along | None = None,
) -> bool:
    """Running -> ended; False when the claim is no longer good, and then nothing may be kept."""
    asked = _held_by(claim) | {"to_status": status, "with_error": error, "now": clock.now()}
    asked |= _telling(status, error)
    if along is not None:
        asked |= along.parameters
    part = along.part if along is not None else None
    statement = _finishing(succeeded=status == JobStatus.SUCCEEDED, part=part)
    return session.connection().execute(statement, asked).first() is not None


def release(session: Session, claim: JobClaim) -> bool:
    """Running -> queued for a worker that cannot go on; the attempt does not count.

    Its number is not given again all the same: the same worker may claim the job next, before all
    that belonged to the old claim has ended, and that is not to pass for the new one. A job that
    its owner has asked to cancel ends instead.
    """
    if _end_cancelled(session, claim):
        return True
    asked = _held_by(claim) | _telling(JobStatus.QUEUED)
    return session.execute(_releasing(), asked).first() is not None


def _end_cancelled(session: Session, claim: JobClaim) -> bool:
    asked = _held_by(claim) | {"now": clock.now()} | _telling(JobStatus.CANCELLED)
    return session.execute(_cancelling(), asked).first() is not None


def cancel(session: Session, job_id: str, *, error: dict[str, Any] | None = None) -> JobStatus:
    """Cancels a waiting job at once, asks a running one to stop; StateConflict once it ended."""
    query = select(JobRow).where(JobRow.id == job_id).with_for_update()
    # as it is now that it is locked, not as this session may have seen it before
    job = session.execute(query.execution_options(populate_existing=True)).scalar_one()
    status = JobStatus(job.status)
    if status == JobStatus.CANCELLED:
        return status
    if status in ENDED:
        raise StateConflict(f"it has already ended: {status}")
    if status == JobStatus.QUEUED:
        job.status, job.finished_at, job.error = JobStatus.CANCELLED, clock.now(), error
        _tell(session, job_id, JobStatus.CANCELLED, error)
        return JobStatus.CANCELLED
    job.cancel_requested = True
    wake(session, job_id)
    return status


def cancel_now(session: Session, job_ids: Iterable[str], error: EctopyError) -> None:
    """Ends unfinished jobs whose object is gone; whoever runs one finds its claim void."""
    statement = (
        update(JobRow)
        .where(JobRow.id.in_(list(job_ids)), JobRow.finished_at.is_(None))
        .values(
            status=JobStatus.CANCELLED,
            finished_at=clock.now(),
            lease_expires_at=None,
            error=error.problem(),
        )
        .returning(JobRow.id)
    )
    for job_id in session.scalars(statement).all():
        _tell(session, job_id, JobStatus.CANCELLED, error.problem())


def requeue_silent(session: Session, *, max_attempts: int) -> tuple[list[str], list[str]]:
    """Jobs whose lease ran out: back to the queue, or failed when started too often.

    Returns (ids to send again, ids given up).
    """
    query = (
        select(JobRow)
        .where(JobRow.status == JobStatus.RUNNING, JobRow.lease_expires_at < clock.now())
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )
    again: list[str] = []
    given_up: list[str] = []
    for job in session.scalars(query):
        status = _taken_from_silent(session, job, max_attempts)
        if status == JobStatus.QUEUED:
            again.append(job.id)
        elif status == JobStatus.FAILED:
            given_up.append(job.id)
    session.flush()
    return again, given_up


def give_up_attempt(session: Session, claim: JobClaim, *, max_attempts: int) -> JobStatus | None:
    """Takes a job from the process that ran it and died: as `requeue_silent`, but at once.

    None when the claim is no longer good.
    """
    query = select(JobRow).where(*_is_held(claim)).with_for_update()
    job = session.scalars(query.execution_options(populate_existing=True)).first()
    if job is None:
        return None
    status = _taken_from_silent(session, job, max_attempts)
    session.flush()
    return status


def _taken_from_silent(session: Session, job: JobRow, max_attempts: int) -> JobStatus:
    """Attempts count from the last one that kept something: long work that gets on goes on."""
    job.worker, job.lease_expires_at = None, None
    in_vain = job.attempts - job.fruitful_attempt
    if job.cancel_requested:
        job.status, job.finished_at = JobStatus.CANCELLED, clock.now()
    elif in_vain >= max_attempts:
        job.status, job.finished_at = JobStatus.FAILED, clock.now()
        job.error = Unavailable(
            f"given up: the worker fell silent {in_vain} times while it ran this"
        ).problem()
    else:
        job.status, job.sent_at = JobStatus.QUEUED, None
    _tell(session, job.id, JobStatus(job.status), job.error)
    return JobStatus(job.status)


def unsent(session: Session, queue: str, *, before: datetime, limit: int = 1000) -> list[JobRow]:
    """Queued jobs for which no message was sent since `before`, oldest first."""
    query = (
        select(JobRow)
        .where(JobRow.status == JobStatus.QUEUED, JobRow.queue == queue)
        .where((JobRow.sent_at.is_(None)) | (JobRow.sent_at < before))
        .where(JobRow.created_at < before)
        .order_by(JobRow.created_at)
        .limit(limit)
    )
    return list(session.scalars(query))


def _held(claim: JobClaim) -> Update:
    return update(JobRow).where(*_is_held(claim))


def _is_held(claim: JobClaim) -> tuple[ColumnElement[bool], ...]:
    return (
        JobRow.id == claim.job_id,
        JobRow.status == JobStatus.RUNNING,
        JobRow.worker == claim.worker,
        JobRow.attempts == claim.attempt,
    )


# Moves are statements that are made once, for that takes longer than running one.

_NOW = bindparam("now", type_=JobRow.created_at.type)
_UPDATE_OF_HELD = update(JobRow).where(
    JobRow.id == bindparam("of_job", type_=String),
    JobRow.status == JobStatus.RUNNING,
    JobRow.worker == bindparam("by_worker", type_=String),
    JobRow.attempts == bindparam("at_attempt", type_=Integer),
)


def _held_by(claim: JobClaim) -> dict[str, Any]:
    return {"of_job": claim.job_id, "by_worker": claim.worker, "at_attempt": claim.attempt}


_SEEN = "seen_"


@cache
def _claiming(seeing: Seeing | None) -> Select[Any]:
    of_job = bindparam("of_job", type_=String)
    queued = update(JobRow).where(JobRow.id == of_job, JobRow.status == JobStatus.QUEUED)
    running = queued.values(
        status=JobStatus.RUNNING,
        worker=bindparam("by_worker", type_=String),
        attempts=JobRow.attempts + 1,
        lease_expires_at=bindparam("lease_until", type_=JobRow.created_at.type),
        started_at=_NOW,
        progress=0.0,
    )
    traced = (JobRow.request_id, JobRow.trace_parent, JobRow.created_at)
    found = (JobRow.kind, JobRow.resource_id, JobRow.attempts, *traced)
    return _move(running, returning=found, goes_on=True, seeing=seeing)


@cache
def _finishing(*, succeeded: bool, part: Callable[[CTE], CTE] | None) -> Select[Any]:
    ended = _UPDATE_OF_HELD.values(
        status=bindparam("to_status", type_=String),
        error=bindparam("with_error", type_=JobRow.error.type),
        finished_at=_NOW,
        lease_expires_at=None,
    )
    return _move(ended.values(progress=1.0) if succeeded else ended, part=part)


@cache
def _releasing() -> Select[Any]:
    queued = _UPDATE_OF_HELD.values(
        status=JobStatus.QUEUED,
        worker=None,
        lease_expires_at=None,
        sent_at=None,
        fruitful_attempt=JobRow.fruitful_attempt + 1,
    )
    return _move(queued)


@cache
def _cancelling() -> Select[Any]:
    asked = _UPDATE_OF_HELD.where(JobRow.cancel_requested)
    ended = asked.values(status=JobStatus.CANCELLED, lease_expires_at=None, finished_at=_NOW)
    return _move(ended)


def _move(
    move: Update,
    *,
    returning: tuple[InstrumentedAttribute[Any], ...] = (),
    goes_on: bool = False,
    seeing: Seeing | None = None,
    part: Callable[[CTE], CTE] | None = None,
) -> Select[Any]:
    """Makes a move, tells of it and wakes its waiters in one statement; no row when it may not be.

    goes_on: it is a claim. Its commit need not wait for the disk: should the database forget it in
    a crash, the job is queued again, and whoever runs it finds its claim void at the end.
    """
    moved = move.returning(JobRow.id, *returning).cte("moved")
    told = events.appended(moved, moved.c.id, "status")
    if goes_on:
        said = [func.pg_notify(CHANNEL, moved.c.id + GOES_ON), without_waiting()]
    else:
        said = [func.pg_notify(CHANNEL, moved.c.id)]
    found = select(*moved.c, *said).add_cte(told)
    if part is not None:
        found = found.add_cte(part(moved))
    if seeing is not None:
        seen = seeing(moved.c.resource_id).lateral("seen")
        found = found.add_columns(*(column.label(_SEEN + column.name) for column in seen.c))
        found = found.select_from(moved.outerjoin(seen, true()))
    return found


def _telling(status: JobStatus, error: dict[str, Any] | None = None) -> dict[str, Any]:
    return events.appending(_status_data(status, error))


def _tell(
    session: Session, job_id: str, status: JobStatus, error: dict[str, Any] | None = None
) -> None:
    events.append(session, job_id, "status", _status_data(status, error))


def _status_data(status: JobStatus, error: dict[str, Any] | None) -> dict[str, Any]:
    return {"status": status} if error is None else {"status": status, "error": error}


def wake(session: Session, job_id: str) -> None:
    """Wakes whoever waits for this job, when and if the transaction commits."""
    session.execute(
        text("select pg_notify(:channel, :job_id)"), {"channel": CHANNEL, "job_id": job_id}
    )

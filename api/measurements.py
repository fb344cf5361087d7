"""Figures about jobs, read from the rows when somebody asks."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from services import clock, telemetry
from services.jobs import presence
from services.jobs.dispatch import QUEUES
from services.jobs.row import JobRow
from services.jobs.states import JobStatus
from services.records.row import RecordRow


def queue_lengths(session: Session) -> dict[str, int]:
    """Jobs that wait, by queue."""
    query = (
        select(JobRow.queue, func.count())
        .where(JobRow.status == JobStatus.QUEUED)
        .group_by(JobRow.queue)
    )
    return dict.fromkeys(QUEUES, 0) | dict(session.execute(query).all())


def refresh(session: Session) -> None:
    """Brings the gauges that describe rows up to date."""
    _unfinished(session)
    ended = (
        select(JobRow.kind, JobRow.status, func.count())
        .where(JobRow.finished_at.is_not(None))
        .group_by(JobRow.kind, JobRow.status)
    )
    for kind, status, count in session.execute(ended):
        telemetry.JOBS_ENDED.labels(kind, status).set(count)
    telemetry.RECORDS.set(session.scalar(select(func.count()).select_from(RecordRow)) or 0)
    telemetry.WORKERS.set(len(presence.alive(session)))


def _unfinished(session: Session) -> None:
    query = (
        select(JobRow.queue, JobRow.status, func.count(), func.min(JobRow.created_at))
        .where(JobRow.finished_at.is_(None))
        .group_by(JobRow.queue, JobRow.status)
    )
    for queue in QUEUES:
        telemetry.OLDEST_JOB_SECONDS.labels(queue).set(0)
        for status in (JobStatus.QUEUED, JobStatus.RUNNING):
            telemetry.JOBS.labels(queue, status).set(0)
    for queue, found, count, oldest in session.execute(query):
        telemetry.JOBS.labels(queue, found).set(count)
        if found == JobStatus.QUEUED:
            age_s = (clock.now() - oldest).total_seconds()
            telemetry.OLDEST_JOB_SECONDS.labels(queue).set(age_s)

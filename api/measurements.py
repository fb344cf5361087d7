"""Figures about jobs, read from the rows when somebody asks."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from services import clock, telemetry
from services.jobs import presence
from services.jobs.dispatch import QUEUES
from services.jobs.row import JobRow
from services.jobs.states import JobStatus
from services.records.row import RecordRow
from services.registry import service as registry

LATELY = timedelta(minutes=5)
QUANTILES = (0.5, 0.99)


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
    _failures(session)
    _times(session)
    _models(session)
    _workers(session)
    telemetry.RECORDS.set(session.scalar(select(func.count()).select_from(RecordRow)) or 0)


def _failures(session: Session) -> None:
    """By the last part of the problem's type, which is one of a few."""
    problem = func.regexp_replace(JobRow.error["type"].astext, ".*/", "")
    query = (
        select(JobRow.kind, problem, func.count())
        .where(JobRow.status == JobStatus.FAILED)
        .group_by(JobRow.kind, problem)
    )
    for kind, found, count in session.execute(query):
        telemetry.JOBS_FAILED.labels(kind, found or "unknown").set(count)


def _times(session: Session) -> None:
    """Median and 99th percentile of waiting and of running."""
    telemetry.JOB_SECONDS.clear()
    stages = {
        "waiting": JobRow.started_at - JobRow.created_at,
        "running": JobRow.finished_at - JobRow.started_at,
    }
    for stage, lasted in stages.items():
        seconds = func.percentile_cont(list(QUANTILES)).within_group(func.extract("epoch", lasted))
        query = (
            select(JobRow.kind, seconds)
            .where(JobRow.finished_at > clock.now() - LATELY, JobRow.started_at.is_not(None))
            .group_by(JobRow.kind)
        )
        for kind, found in session.execute(query):
            for quantile, value in zip(QUANTILES, found, strict=True):
                telemetry.JOB_SECONDS.labels(kind, stage, f"{quantile:g}").set(value)


def _models(session: Session) -> None:
    telemetry.MODELS.clear()
    answering = Counter((row.name, row.version) for row in registry.all_answering(session))
    for (name, version), projects in answering.items():
        telemetry.MODELS.labels(name, str(version)).set(projects)


def _workers(session: Session) -> None:
    alive = presence.alive(session)
    telemetry.WORKERS.set(len(alive))
    telemetry.WORKER_MEMORY.clear()
    totals: Counter[tuple[str, str]] = Counter()
    for worker in alive:
        for kind, used in (worker.memory or {}).items():
            totals[",".join(worker.queues), kind] += used
    for (queues, kind), used in totals.items():
        telemetry.WORKER_MEMORY.labels(queues, kind).set(used)


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

"""The figures of `/metrics`: of requests as they were counted, of rows as they are now."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta

from prometheus_client import Metric
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from api import processes
from services import clock, telemetry
from services.db.base import Base
from services.jobs import presence
from services.jobs.dispatch import QUEUES
from services.jobs.row import JobRow
from services.jobs.states import JobStatus
from services.records.row import RecordRow
from services.registry import service as registry
from services.telemetry import Figure

LATELY = timedelta(minutes=5)
QUANTILES = (0.5, 0.99)
UNFINISHED = (JobStatus.QUEUED, JobStatus.RUNNING)


def queue_lengths(session: Session) -> dict[str, int]:
    """Jobs that wait, by queue."""
    query = (
        select(JobRow.queue, func.count())
        .where(JobRow.status == JobStatus.QUEUED)
        .group_by(JobRow.queue)
    )
    return dict.fromkeys(QUEUES, 0) | dict(session.execute(query).all())


@dataclass(frozen=True)
class Measurements:
    """What one answer to `/metrics` tells, as Prometheus' library takes it."""

    families: list[Metric]

    def collect(self) -> list[Metric]:
        return self.families


def measured(session: Session) -> Measurements:
    """What requests there were, of all processes of this API; what the rows say now."""
    return Measurements(
        [
            *telemetry.counted(),
            *_processes(),
            *_unfinished(session),
            _ended(session),
            _failures(session),
            _times(session),
            _models(session),
            *_workers(session),
            _single(telemetry.RECORDS, _count(session, RecordRow)),
        ]
    )


def _single(figure: Figure, value: float) -> Metric:
    family = figure.family()
    family.add_metric([], value)
    return family


def _count(session: Session, row: type[Base]) -> int:
    return session.scalar(select(func.count()).select_from(row)) or 0


def _processes() -> list[Metric]:
    memory = processes.resident_memory()
    return [
        _single(telemetry.API_PROCESSES, len(memory)),
        _single(telemetry.API_MEMORY, sum(memory)),
    ]


def _ended(session: Session) -> Metric:
    query = (
        select(JobRow.kind, JobRow.status, func.count())
        .where(JobRow.finished_at.is_not(None))
        .group_by(JobRow.kind, JobRow.status)
    )
    family = telemetry.JOBS_ENDED.family()
    for kind, status, count in session.execute(query):
        family.add_metric([kind, status], count)
    return family


def _failures(session: Session) -> Metric:
    """By the last part of the problem's type, which is one of a few."""
    problem = func.regexp_replace(JobRow.error["type"].astext, ".*/", "")
    query = (
        select(JobRow.kind, problem, func.count())
        .where(JobRow.status == JobStatus.FAILED)
        .group_by(JobRow.kind, problem)
    )
    family = telemetry.JOBS_FAILED.family()
    for kind, found, count in session.execute(query):
        family.add_metric([kind, found or "unknown"], count)
    return family


def _times(session: Session) -> Metric:
    """Median and 99th percentile of waiting and of running."""
    family = telemetry.JOB_SECONDS.family()
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
                family.add_metric([kind, stage, f"{quantile:g}"], value)
    return family


def _models(session: Session) -> Metric:
    family = telemetry.MODELS.family()
    answering = Counter((row.name, row.version) for row in registry.all_answering(session))
    for (name, version), projects in answering.items():
        family.add_metric([name, str(version)], projects)
    return family


def _workers(session: Session) -> list[Metric]:
    alive = presence.alive(session)
    family = telemetry.WORKER_MEMORY.family()
    totals: Counter[tuple[str, str]] = Counter()
    for worker in alive:
        for kind, used in (worker.memory or {}).items():
            totals[",".join(worker.queues), kind] += used
    for (queues, kind), used in totals.items():
        family.add_metric([queues, kind], used)
    return [_single(telemetry.WORKERS, len(alive)), family]


def _unfinished(session: Session) -> list[Metric]:
    query = (
        select(JobRow.queue, JobRow.status, func.count(), func.min(JobRow.created_at))
        .where(JobRow.finished_at.is_(None))
        .group_by(JobRow.queue, JobRow.status)
    )
    counts = {(queue, status): 0 for queue in QUEUES for status in UNFINISHED}
    oldest_s = dict.fromkeys(QUEUES, 0.0)
    for queue, found, count, oldest in session.execute(query):
        counts[queue, JobStatus(found)] = count
        if found == JobStatus.QUEUED:
            oldest_s[queue] = (clock.now() - oldest).total_seconds()
    jobs, ages = telemetry.JOBS.family(), telemetry.OLDEST_JOB_SECONDS.family()
    for key, count in counts.items():
        jobs.add_metric(key, count)
    for queue, age_s in oldest_s.items():
        ages.add_metric([queue], age_s)
    return [jobs, ages]

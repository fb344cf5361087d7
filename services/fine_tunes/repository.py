"""Every query on fine-tunes; what a client asks for is of one project only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session, undefer

from services.fine_tunes.row import FineTuneRow
from services.jobs.row import JobRow


@dataclass(frozen=True)
class FineTuneFilter:
    """What a list is narrowed to."""

    project_id: str
    task: str | None = None
    status: str | None = None
    dataset_id: str | None = None


def by_id(session: Session, fine_tune_id: str, *, project_id: str) -> FineTuneRow | None:
    query = select(FineTuneRow).where(
        FineTuneRow.id == fine_tune_id, FineTuneRow.project_id == project_id
    )
    return session.scalars(query.execution_options(populate_existing=True)).first()


def of_job(session: Session, fine_tune_id: str, *, for_update: bool = False) -> FineTuneRow | None:
    """For the worker, whose claim says which one; locked where its lists are to grow."""
    query = select(FineTuneRow).where(FineTuneRow.id == fine_tune_id)
    if for_update:
        query = query.with_for_update(of=FineTuneRow)
    return session.scalars(query.execution_options(populate_existing=True)).first()


def with_report(session: Session, fine_tune_id: str, *, project_id: str) -> FineTuneRow | None:
    query = select(FineTuneRow).where(
        FineTuneRow.id == fine_tune_id, FineTuneRow.project_id == project_id
    )
    return session.scalars(
        query.options(undefer(FineTuneRow.report)).execution_options(populate_existing=True)
    ).first()


def newest_first(
    session: Session, wanted: FineTuneFilter, *, before_id: str | None, limit: int
) -> list[FineTuneRow]:
    query = select(FineTuneRow).where(FineTuneRow.project_id == wanted.project_id)
    if wanted.task is not None:
        query = query.where(FineTuneRow.task == wanted.task)
    if wanted.dataset_id is not None:
        query = query.where(FineTuneRow.dataset_id == wanted.dataset_id)
    if wanted.status is not None:
        query = query.join(JobRow, FineTuneRow.job_id == JobRow.id).where(
            JobRow.status == wanted.status
        )
    if before_id is not None:
        query = query.where(FineTuneRow.id < before_id)
    return list(session.scalars(query.order_by(FineTuneRow.id.desc()).limit(limit)))


def job_ids(session: Session, fine_tune_id: str) -> list[str]:
    """Of all its jobs, oldest first."""
    query = select(JobRow.id).where(JobRow.resource_id == fine_tune_id).order_by(JobRow.id)
    return list(session.scalars(query))


def still_needed(
    session: Session, fine_tune_ids: Iterable[str], *, ended_before: datetime
) -> set[str]:
    """Those whose run has not ended, or not long ago."""
    query = (
        select(FineTuneRow.id)
        .join(JobRow, FineTuneRow.job_id == JobRow.id)
        .where(FineTuneRow.id.in_(list(fine_tune_ids)))
        .where((JobRow.finished_at.is_(None)) | (JobRow.finished_at > ended_before))
    )
    return set(session.scalars(query))

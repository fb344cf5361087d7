"""What happened to a job, in order: what an event stream resumes from."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from services import clock
from services.jobs.row import JobEventRow


def append(session: Session, job_id: str, kind: str, data: dict[str, Any]) -> None:
    """Adds one event in this transaction."""
    session.add(JobEventRow(job_id=job_id, kind=kind, data=data, created_at=clock.now()))
    session.flush()


def after(session: Session, job_id: str, event_id: int, *, limit: int = 500) -> list[JobEventRow]:
    """Events of a job with a larger id, oldest first."""
    query = (
        select(JobEventRow)
        .where(JobEventRow.job_id == job_id, JobEventRow.id > event_id)
        .order_by(JobEventRow.id)
        .limit(limit)
    )
    return list(session.scalars(query))

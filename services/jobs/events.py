"""What happened to a job, in order: what an event stream resumes from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import CTE, ColumnElement, bindparam, func, insert, literal, select
from sqlalchemy.orm import Session

from services import clock
from services.jobs.row import JobEventRow

CHANNEL = "ectopy_jobs"
# after a job's id in a notification: it goes on, so that nobody looks who waits for its end
GOES_ON = " goes on"
_DATA, _AT = "event_data", "event_at"


def append(session: Session, job_id: str, kind: str, data: dict[str, Any]) -> None:
    """Adds one event in this transaction; whoever waits for the job is woken when it commits.

    Both in one statement: each way to the database and back counts in what a client waits.
    """
    event = insert(JobEventRow).values(job_id=job_id, kind=kind, data=data, created_at=clock.now())
    session.execute(select(func.pg_notify(CHANNEL, job_id)).add_cte(event.cte("event")))


def appended(source: CTE, job_id: ColumnElement[str], kind: str) -> CTE:
    """The part of a larger statement that adds an event for each row of `source`.

    What the event says and when it was are parameters, which `appending` gives.
    """
    columns = JobEventRow.__table__.c
    event = select(
        job_id,
        literal(kind),
        bindparam(_DATA, type_=columns.data.type),
        bindparam(_AT, type_=columns.created_at.type),
    ).select_from(source)
    names = ["job_id", "kind", "data", "created_at"]
    return insert(JobEventRow).from_select(names, event).cte("event")


def appending(data: dict[str, Any]) -> dict[str, Any]:
    """The parameters of `appended`, for an event of now."""
    return {_DATA: data, _AT: clock.now()}


def after(
    session: Session, job_id: str | Sequence[str], event_id: int, *, limit: int = 500
) -> list[JobEventRow]:
    """Events of a job (or of several) with a larger id, oldest first."""
    job_ids = [job_id] if isinstance(job_id, str) else list(job_id)
    query = (
        select(JobEventRow)
        .where(JobEventRow.job_id.in_(job_ids), JobEventRow.id > event_id)
        .order_by(JobEventRow.id)
        .limit(limit)
    )
    return list(session.scalars(query))

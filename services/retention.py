"""Records and results that are past the days that a site keeps them, rows and files together."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from sqlalchemy import Row, delete, exists, select
from sqlalchemy.orm import Session

from services import clock
from services.access import audit
from services.access.audit import Deed
from services.datasets.row import DatasetMemberRow
from services.db.session import SessionFactory
from services.errors import NotFound, StateConflict
from services.jobs.row import JobRow
from services.predictions import service as predictions
from services.predictions.row import PredictionRow
from services.records import service as records
from services.records.row import RecordRow
from services.settings import Settings
from services.storage.base import Store

log = structlog.get_logger()

AT_ONCE = 500


def apply(sessions: SessionFactory, store: Store, settings: Settings) -> None:
    """Removes what is past its days, a bounded number at a time; the next round takes the rest."""
    if settings.keep_results_days:
        before = clock.now() - timedelta(days=settings.keep_results_days)
        with sessions.begin() as session:
            remove_results(session, before)
    if settings.keep_records_days:
        before = clock.now() - timedelta(days=settings.keep_records_days)
        with sessions() as session:
            expired = _expired_records(session, before)
        for project_id, record_id in expired:
            _remove_record(sessions, store, project_id, record_id)


def remove_results(session: Session, before: datetime) -> int:
    """Predictions that ended before a moment, with their jobs and events; how many."""
    query = (
        select(PredictionRow.project_id, PredictionRow.id, PredictionRow.job_id)
        .join(JobRow, PredictionRow.job_id == JobRow.id)
        .where(JobRow.finished_at < before)
        .order_by(JobRow.finished_at)
        .limit(AT_ONCE)
        .with_for_update(of=JobRow, skip_locked=True)
    )
    found = session.execute(query).all()
    ids, job_ids = [row.id for row in found], [row.job_id for row in found]
    session.execute(delete(PredictionRow).where(PredictionRow.id.in_(ids)))
    session.execute(delete(JobRow).where(JobRow.id.in_(job_ids)))
    for row in found:
        audit.note(session, _deed(row.project_id, row.id))
    return len(found)


def _expired_records(session: Session, before: datetime) -> list[Row[str, str]]:
    """A record that a dataset holds stays until the dataset goes."""
    held = exists().where(DatasetMemberRow.record_id == RecordRow.id)
    query = select(RecordRow.project_id, RecordRow.id).where(RecordRow.created_at < before, ~held)
    return list(session.execute(query.order_by(RecordRow.id).limit(AT_ONCE)).all())


def _remove_record(sessions: SessionFactory, store: Store, project_id: str, record_id: str) -> None:
    try:
        with sessions.begin() as session:
            records.remove(session, project_id, record_id)
            predictions.forget_record(session, record_id)
            audit.note(session, _deed(project_id, record_id))
    except (NotFound, StateConflict):  # removed, or taken into a dataset, this very moment
        return
    records.discard_files(store, record_id)
    log.info("retention.removed", record_id=record_id)


def _deed(project_id: str, resource: str) -> Deed:
    return Deed(project_id, "retention.remove", resource, client=audit.UPKEEP)

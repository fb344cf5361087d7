"""Every query on imports."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.orm import Session

from services.imports.row import ModelImportRow
from services.jobs.row import JobRow


def by_id(session: Session, import_id: str) -> ModelImportRow | None:
    return session.get(ModelImportRow, import_id, populate_existing=True)


def unfinished(session: Session, import_ids: Iterable[str]) -> set[str]:
    query = (
        select(ModelImportRow.id)
        .join(JobRow, ModelImportRow.job_id == JobRow.id)
        .where(ModelImportRow.id.in_(list(import_ids)), JobRow.finished_at.is_(None))
    )
    return set(session.scalars(query))

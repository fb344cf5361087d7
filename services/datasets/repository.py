"""Every query on datasets; all see the datasets of one project only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session, undefer

from services.datasets.row import DatasetMemberRow, DatasetRow


def by_id(session: Session, dataset_id: str, *, project_id: str) -> DatasetRow | None:
    """With what was left out, and the audit."""
    query = select(DatasetRow).where(
        DatasetRow.id == dataset_id, DatasetRow.project_id == project_id
    )
    everything = undefer(DatasetRow.left_out), undefer(DatasetRow.audit)
    return session.scalars(query.options(*everything)).first()


def newest_first(
    session: Session, *, project_id: str, task: str | None, before_id: str | None, limit: int
) -> list[DatasetRow]:
    query = select(DatasetRow).where(DatasetRow.project_id == project_id)
    if task is not None:
        query = query.where(DatasetRow.task == task)
    if before_id is not None:
        query = query.where(DatasetRow.id < before_id)
    return list(session.scalars(query.order_by(DatasetRow.id.desc()).limit(limit)))


def members(session: Session, dataset_id: str) -> list[DatasetMemberRow]:
    """In the order of the dataset."""
    query = select(DatasetMemberRow).where(DatasetMemberRow.dataset_id == dataset_id)
    return list(session.scalars(query.order_by(DatasetMemberRow.position)))


def members_page(
    session: Session, dataset_id: str, *, after: int, limit: int
) -> list[DatasetMemberRow]:
    """Those that come after a position."""
    query = select(DatasetMemberRow).where(
        DatasetMemberRow.dataset_id == dataset_id, DatasetMemberRow.position > after
    )
    return list(session.scalars(query.order_by(DatasetMemberRow.position).limit(limit)))


def add_members(session: Session, dataset_id: str, described: Sequence[dict[str, Any]]) -> None:
    """One statement for all, however many."""
    rows = [{"dataset_id": dataset_id, "position": n} | m for n, m in enumerate(described)]
    session.execute(insert(DatasetMemberRow), rows)


def remove(session: Session, dataset_id: str) -> None:
    session.execute(delete(DatasetRow).where(DatasetRow.id == dataset_id))

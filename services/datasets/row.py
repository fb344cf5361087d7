"""A dataset: records that are here, each with its patient and its label, and what was left out."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from services.db.base import Base


class DatasetRow(Base):
    __tablename__ = "datasets"

    id: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(server_default="default", index=True)
    name: Mapped[str]
    task: Mapped[str]
    sha256: Mapped[str] = mapped_column(doc="of what a training sees: see members.content_sha256")
    n_records: Mapped[int]
    n_patients: Mapped[int]
    counts: Mapped[dict[str, Any]] = mapped_column(doc="beats a class, or records a label")
    left_out_count: Mapped[int]
    left_out: Mapped[list[Any]] = mapped_column(doc='[{"file", "reason"}]', deferred=True)
    audit: Mapped[dict[str, Any]] = mapped_column(doc="see audit.Audit", deferred=True)
    created_at: Mapped[datetime]


class DatasetMemberRow(Base):
    """One record of a dataset. A record that is a member of one cannot be removed."""

    __tablename__ = "dataset_members"

    dataset_id: Mapped[str] = mapped_column(
        ForeignKey("datasets.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True)
    record_id: Mapped[str] = mapped_column(ForeignKey("records.id"), index=True)
    record_sha256: Mapped[str]
    name: Mapped[str] = mapped_column(doc="of the record, as the dataset's sender called it")
    patient: Mapped[str] = mapped_column(doc="whom a split must not tear apart")
    label: Mapped[float | None] = mapped_column(doc="0 or 1 where the task has one a record")
    counts: Mapped[dict[str, Any]] = mapped_column(doc="beats a class of this record")

"""A prediction: what was asked, of which model version, and one item for each record."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from services.db.base import Base
from services.jobs.row import JobRow


class PredictionRow(Base):
    __tablename__ = "predictions"

    id: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(server_default="default")
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), unique=True)
    task: Mapped[str]
    batch: Mapped[bool] = mapped_column(default=False)
    model_name: Mapped[str]
    model_version: Mapped[int]
    weights_sha256: Mapped[str]
    options: Mapped[dict[str, Any]]
    code_version: Mapped[str]
    created_at: Mapped[datetime]

    job: Mapped[JobRow] = relationship(lazy="joined")

    __table_args__ = (Index("ix_predictions_project_id_id", "project_id", "id"),)


class PredictionItemRow(Base):
    """One record of a prediction. No foreign key to the record: an answer outlives its question."""

    __tablename__ = "prediction_items"

    prediction_id: Mapped[str] = mapped_column(
        ForeignKey("predictions.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True)
    record_id: Mapped[str]
    record_sha256: Mapped[str]
    done: Mapped[bool] = mapped_column(default=False)
    summary: Mapped[dict[str, Any] | None] = mapped_column(doc="all of the result but the beats")
    beats: Mapped[bytes | None] = mapped_column(doc="arrays, see result_codec", deferred=True)
    error: Mapped[dict[str, Any] | None]

    __table_args__ = (Index("ix_prediction_items_record_id", "record_id"),)

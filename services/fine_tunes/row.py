"""A fine-tune: what is trained on what, how far it is, and the version that it became."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column, relationship

from services.db.base import Base
from services.jobs.row import JobRow


class FineTuneRow(Base):
    __tablename__ = "fine_tunes"

    id: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(server_default="default", index=True)
    job_id: Mapped[str] = mapped_column(
        ForeignKey("jobs.id"), unique=True, doc="the last one: each `resume` makes another"
    )
    task: Mapped[str]
    name: Mapped[str] = mapped_column(doc="of the model that it becomes a version of")
    # restricts: a dataset that something was trained on stays
    dataset_id: Mapped[str] = mapped_column(ForeignKey("datasets.id"), index=True)
    dataset_sha256: Mapped[str]
    family: Mapped[str]
    base_name: Mapped[str]
    base_version: Mapped[int]
    base_sha256: Mapped[str]
    head: Mapped[str]
    hyperparameters: Mapped[dict[str, Any]]
    code_version: Mapped[str]
    split: Mapped[dict[str, Any] | None] = mapped_column(
        doc="patients and record ids of train, validation and test"
    )
    history: Mapped[list[Any]] = mapped_column(
        doc="epoch, loss and metrics of each epoch", default=list
    )
    checkpoints: Mapped[list[Any]] = mapped_column(doc="those that are kept", default=list)
    kept_files: Mapped[dict[str, Any] | None] = mapped_column(
        doc="checkpoints that are in the store too: key by path in the run's folder"
    )
    report: Mapped[dict[str, Any] | None] = mapped_column(deferred=True)
    result_name: Mapped[str | None]
    result_version: Mapped[int | None]
    created_at: Mapped[datetime]

    job: Mapped[JobRow] = relationship(lazy="joined")

"""An import: the published files that came, and the model version that they became."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column, relationship

from services.db.base import Base
from services.jobs.row import JobRow


class ModelImportRow(Base):
    __tablename__ = "model_imports"

    id: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(server_default="default", index=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), unique=True)
    task: Mapped[str]
    name: Mapped[str | None] = mapped_column(doc="of the model, where one was asked for")
    files: Mapped[list[Any]] = mapped_column(doc="name, sha256 and size of each file that came")
    model_name: Mapped[str | None]
    model_version: Mapped[int | None]
    created_at: Mapped[datetime]

    job: Mapped[JobRow] = relationship(lazy="joined")

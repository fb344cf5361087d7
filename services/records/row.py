"""A stored recording: what is known of it without opening its files."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from services.db.base import Base


class RecordRow(Base):
    __tablename__ = "records"

    id: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(server_default="default")
    name: Mapped[str]
    patient_id: Mapped[str | None]
    format: Mapped[str]
    sha256: Mapped[str] = mapped_column(doc="of the bytes that were uploaded")
    sampling_rate_hz: Mapped[float]
    n_samples: Mapped[int] = mapped_column(BigInteger)
    leads: Mapped[list[Any]] = mapped_column(doc='[{"name", "unit"}] in the order of the signal')
    has_annotations: Mapped[bool]
    notes: Mapped[list[Any]] = mapped_column(doc="what the reader noticed")
    created_at: Mapped[datetime]

    # the same bytes are stored once in a project; another project cannot tell that they are here
    __table_args__ = (
        UniqueConstraint("project_id", "sha256"),
        Index("ix_records_project_id_id", "project_id", "id"),
    )

    @property
    def duration_s(self) -> float:
        return self.n_samples / self.sampling_rate_hz

"""The processes of a run that is spread over machines: where they meet, and who has come."""

from __future__ import annotations

from sqlalchemy import ForeignKey, ForeignKeyConstraint
from sqlalchemy.orm import Mapped, mapped_column

from services.db.base import Base


class TrainingGroupRow(Base):
    __tablename__ = "training_groups"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True)
    host: Mapped[str] = mapped_column(doc="where the first process listens, as its machine says")
    port: Mapped[int]
    device: Mapped[str] = mapped_column(doc="cpu or cuda: all compute on the same kind")
    machines: Mapped[int] = mapped_column(doc="at most, with that of the first process")
    processes: Mapped[int] = mapped_column(doc="on that one")
    size: Mapped[int | None] = mapped_column(doc="processes on all; none while others may come")


class TrainingPlaceRow(Base):
    __tablename__ = "training_places"

    job_id: Mapped[str] = mapped_column(primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(
        primary_key=True, doc="of the machine; that of the first process is 0"
    )
    worker: Mapped[str]
    processes: Mapped[int]
    first_rank: Mapped[int | None]
    status: Mapped[str] = mapped_column(doc="of services.fine_tunes.groups.PlaceStatus")

    __table_args__ = (
        ForeignKeyConstraint(
            ["job_id", "attempt"],
            ["training_groups.job_id", "training_groups.attempt"],
            ondelete="CASCADE",
        ),
    )

"""Jobs (the truth about long work), their events, and the workers that are alive."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from services.db.base import Base
from services.jobs.states import JobStatus


class JobRow(Base):
    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(doc="the task name that a worker registers")
    queue: Mapped[str]
    resource_id: Mapped[str] = mapped_column(index=True)
    status: Mapped[str] = mapped_column(default=JobStatus.QUEUED)
    progress: Mapped[float] = mapped_column(default=0.0)
    attempts: Mapped[int] = mapped_column(default=0)
    fruitful_attempt: Mapped[int] = mapped_column(
        default=0,
        server_default="0",
        doc="from which attempts in vain are counted: the last one that kept some of its work for "
        "the next, and one more for each that was given back",
    )
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    worker: Mapped[str | None]
    lease_expires_at: Mapped[datetime | None]
    sent_at: Mapped[datetime | None] = mapped_column(doc="when a message was last sent for it")
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    error: Mapped[dict[str, Any] | None]
    trace_parent: Mapped[str | None] = mapped_column(doc="where in a trace it was asked for")
    request_id: Mapped[str | None] = mapped_column(doc="of the request that asked for it, in logs")

    __table_args__ = (
        Index(
            "ix_jobs_unfinished", "status", "queue", postgresql_where=text("finished_at IS NULL")
        ),
    )


class JobEventRow(Base):
    __tablename__ = "job_events"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    kind: Mapped[str]
    data: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]

    __table_args__ = (Index("ix_job_events_job_id_id", "job_id", "id"),)


class WorkerRow(Base):
    __tablename__ = "workers"

    name: Mapped[str] = mapped_column(primary_key=True)
    queues: Mapped[list[Any]]
    device: Mapped[str]
    version: Mapped[str]
    pid: Mapped[int]
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    memory: Mapped[dict[str, Any] | None] = mapped_column(
        doc="bytes by kind: resident, device_used, device_total"
    )

"""Keys that let callers in, and what is remembered of requests that must not be done twice."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Identity, Index
from sqlalchemy.orm import Mapped, mapped_column

from services.db.base import Base


class ApiKeyRow(Base):
    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(index=True)
    name: Mapped[str] = mapped_column(doc="what it is for, in its owner's words")
    prefix: Mapped[str] = mapped_column(unique=True, doc="its part that may be shown")
    sha256: Mapped[str] = mapped_column(doc="of all of its text, which is kept nowhere")
    scopes: Mapped[list[Any]]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class IdempotencyKeyRow(Base):
    __tablename__ = "idempotency_keys"

    project_id: Mapped[str] = mapped_column(primary_key=True, server_default="default")
    scope: Mapped[str] = mapped_column(primary_key=True, doc="method and path")
    key: Mapped[str] = mapped_column(primary_key=True)
    request_sha256: Mapped[str]
    resource_id: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(index=True)


class AuditRow(Base):
    """Who did what to which resource. A trigger refuses every change of a row that is there."""

    __tablename__ = "audit_events"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    created_at: Mapped[datetime]
    project_id: Mapped[str]
    key_id: Mapped[str | None] = mapped_column(doc="None: a caller without a key, or the service")
    client: Mapped[str | None] = mapped_column(doc="address of the caller, or what part it was")
    action: Mapped[str] = mapped_column(doc="method and route, or what the service did by itself")
    resource: Mapped[str] = mapped_column(doc="path or id of what was made, changed or removed")
    status: Mapped[int | None] = mapped_column(doc="of the answer")

    __table_args__ = (Index("ix_audit_events_project_id_id", "project_id", "id"),)

"""Models, their numbered versions, and which version answers to whom."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKeyConstraint, Identity
from sqlalchemy.orm import Mapped, mapped_column

from services.db.base import Base

_MODEL = ["models.project_id", "models.name"]


class ModelRow(Base):
    __tablename__ = "models"

    project_id: Mapped[str] = mapped_column(
        primary_key=True, server_default="default", doc="whose it is; `*`: it comes with the code"
    )
    name: Mapped[str] = mapped_column(primary_key=True)
    task: Mapped[str] = mapped_column(index=True)
    family: Mapped[str]
    created_at: Mapped[datetime]


class ModelVersionRow(Base):
    __tablename__ = "model_versions"

    project_id: Mapped[str] = mapped_column(primary_key=True, server_default="default")
    name: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    location: Mapped[str] = mapped_column(
        doc="`shipped:folder`, a model that comes with the code; `store:prefix`, in the file store"
    )
    sha256: Mapped[str] = mapped_column(doc="of the weights file")
    synthetic: Mapped[bool] = mapped_column(default=False, doc="weights made by formula, no model")
    content_sha256: Mapped[str | None] = mapped_column(
        doc="of weights, card and what else belongs to it; None before this was kept"
    )
    card: Mapped[dict[str, Any]]
    report: Mapped[dict[str, Any] | None] = mapped_column(
        deferred=True, doc="its evaluation beside others, where there was one"
    )
    created_at: Mapped[datetime]

    __table_args__ = (ForeignKeyConstraint(["project_id", "name"], _MODEL),)


class AnsweringVersionRow(Base):
    """Which version of a model answers in a project when none is named."""

    __tablename__ = "answering_versions"

    project_id: Mapped[str] = mapped_column(
        primary_key=True, doc="whose choice; `*`: of every project that has not chosen"
    )
    model_project_id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int]
    promoted_at: Mapped[datetime]

    __table_args__ = (ForeignKeyConstraint(["model_project_id", "name"], _MODEL),)


class PromotionRow(Base):
    """Each change of which version answers: what a rollback goes back along."""

    __tablename__ = "promotions"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    project_id: Mapped[str] = mapped_column(server_default="default", doc="who chose; `*`: shipped")
    model_project_id: Mapped[str] = mapped_column(server_default="default")
    name: Mapped[str] = mapped_column(index=True)
    version: Mapped[int]
    previous_version: Mapped[int | None]
    action: Mapped[str] = mapped_column(doc="promote, rollback, or ship: came with the code")
    overruled: Mapped[str | None] = mapped_column(doc="what spoke against it, where it was forced")
    key_id: Mapped[str | None] = mapped_column(doc="of the API key that asked for it, if any")
    created_at: Mapped[datetime]

    __table_args__ = (ForeignKeyConstraint(["model_project_id", "name"], _MODEL),)

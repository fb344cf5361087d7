"""Models, their numbered versions, and which version answers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Identity
from sqlalchemy.orm import Mapped, mapped_column

from services.db.base import Base


class ModelRow(Base):
    __tablename__ = "models"

    name: Mapped[str] = mapped_column(primary_key=True)
    task: Mapped[str] = mapped_column(index=True)
    family: Mapped[str]
    promoted_version: Mapped[int | None]
    promoted_at: Mapped[datetime | None]
    created_at: Mapped[datetime]


class ModelVersionRow(Base):
    __tablename__ = "model_versions"

    name: Mapped[str] = mapped_column(ForeignKey("models.name"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    location: Mapped[str] = mapped_column(
        doc="`shipped:folder`, a model that comes with the code; `store:prefix`, in the file store"
    )
    sha256: Mapped[str] = mapped_column(doc="of the weights file")
    synthetic: Mapped[bool] = mapped_column(default=False, doc="weights made by formula, no model")
    card: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]


class PromotionRow(Base):
    __tablename__ = "promotions"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(ForeignKey("models.name"), index=True)
    version: Mapped[int]
    previous_version: Mapped[int | None]
    action: Mapped[str] = mapped_column(doc="promote, rollback, or ship: came with the code")
    created_at: Mapped[datetime]

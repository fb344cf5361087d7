"""What is received about models."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from services.registry.row import ModelVersionRow
from services.registry.service import ModelView


class ModelOut(BaseModel):
    name: str = Field(examples=["ecgbert-beats"])
    task: str = Field(examples=["beats"])
    promoted_version: int | None = Field(examples=[1])
    versions: int = Field(examples=[1])

    @classmethod
    def of(cls, view: ModelView) -> ModelOut:
        return cls(
            name=view.row.name,
            task=view.row.task,
            promoted_version=view.promoted_version,
            versions=view.versions,
        )


class ModelList(BaseModel):
    data: list[ModelOut]
    next_cursor: str | None


class ModelVersionOut(BaseModel):
    name: str
    version: int
    task: str
    family: str
    promoted: bool
    sha256: str = Field(description="of the weights file")
    synthetic: bool = Field(description="weights made by formula: for tests, no model")
    card: dict[str, Any] = Field(description="data, protocol, metrics, limits")
    created_at: datetime

    @classmethod
    def of(cls, row: ModelVersionRow, promoted: int | None) -> ModelVersionOut:
        return cls(
            name=row.name,
            version=row.version,
            task=row.card["task"],
            family=row.card["family"],
            promoted=row.version == promoted,
            sha256=row.sha256,
            synthetic=row.synthetic,
            card=row.card,
            created_at=row.created_at,
        )


class ModelVersionList(BaseModel):
    data: list[ModelVersionOut]
    next_cursor: str | None

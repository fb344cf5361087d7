"""What is received about models."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from services.registry.row import ModelVersionRow, PromotionRow
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
    content_sha256: str | None = Field(
        description="of weights, card and what else belongs to it: names this version anywhere"
    )
    base: str | None = Field(description="what it was fine-tuned from, `name@version`")
    dataset: dict[str, Any] | None = Field(description="what it was trained on: id, name, sha256")
    hyperparameters: dict[str, Any] | None
    seed: int | None
    code_version: str | None = Field(description="of the Ectopy that trained it")
    metrics: dict[str, Any] | None
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
            content_sha256=row.content_sha256,
            **_origin(row.card),
            synthetic=row.synthetic,
            card=row.card,
            created_at=row.created_at,
        )


def _origin(card: dict[str, Any]) -> dict[str, Any]:
    """What a card says of where a version came from; a card may be anybody's, so types count."""
    kinds: dict[str, type] = {
        "base": str,
        "dataset": dict,
        "hyperparameters": dict,
        "seed": int,
        "code_version": str,
        "metrics": dict,
    }
    return {
        name: card[name] if isinstance(card.get(name), kind) else None
        for name, kind in kinds.items()
    }


class PromotionOut(BaseModel):
    version: int
    previous_version: int | None
    action: str = Field(description="promote, rollback, or ship: it came with the code")
    overruled: str | None = Field(description="what spoke against it, where it was forced")
    key_id: str | None = Field(description="of the API key that asked for it, if any")
    created_at: datetime

    @classmethod
    def of(cls, row: PromotionRow) -> PromotionOut:
        return cls(
            version=row.version,
            previous_version=row.previous_version,
            action=row.action,
            overruled=row.overruled,
            key_id=row.key_id,
            created_at=row.created_at,
        )


class PromotionList(BaseModel):
    data: list[PromotionOut]
    next_cursor: str | None


class ModelVersionList(BaseModel):
    data: list[ModelVersionOut]
    next_cursor: str | None

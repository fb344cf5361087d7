"""What is sent and received about fine-tunes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from api.schemas.predictions import MODEL_HELP, StatusName, TaskName
from services.fine_tunes.row import FineTuneRow
from services.fine_tunes.service import EPOCHS, FineTuneRequest
from services.models.catalog import FAMILY_SPECS
from services.models.spec import SPLIT_HYPERPARAMETERS, Hyperparameter

MAX_HYPERPARAMETERS = 100

_EPOCH = {
    "epoch": 3,
    "loss": 0.21,
    "metrics": {"validation_loss": 0.24, "accuracy": 0.95, "macro_f1": 0.81},
    "epochs": 13,
    "learning_rate": 0.0009,
    "eta_s": 412.0,
}
FINE_TUNE_EXAMPLE: dict[str, Any] = {
    "id": "ft_01kb2v3f7m2k9d4q8t6x0z1c5e",
    "name": "ward-3-beats",
    "task": "beats",
    "status": "running",
    "progress": 0.31,
    "dataset_id": "ds_01kb2v3f7m2k9d4q8t6x0z1c5e",
    "dataset_sha256": "0f" * 32,
    "base": {"name": "ecgbert-beats", "version": 1},
    "head": "keep",
    "hyperparameters": {"epochs": 13, "learning_rate": 0.001, "seed": 0},
    "split": {
        "train": {"patients": 30, "records": 31},
        "validation": {"patients": 7, "records": 7},
        "test": {"patients": 9, "records": 9},
    },
    "epoch": 3,
    "epochs": 13,
    "metrics": {"loss": 0.21, "validation_loss": 0.24, "accuracy": 0.95, "macro_f1": 0.81},
    "history": [_EPOCH],
    "eta_s": 412.0,
    "result_model": None,
    "error": None,
    "created_at": "2026-03-01T09:30:00Z",
    "started_at": "2026-03-01T09:30:01Z",
    "finished_at": None,
}
_CHECKPOINT_EXAMPLE: dict[str, Any] = {
    "data": [
        {"kind": "best", "epoch": 2, "update": 812, "metrics": {"macro_f1": 0.81}},
        {"kind": "last", "epoch": 3, "update": 1218, "metrics": {"macro_f1": 0.8}},
    ]
}


def hyperparameters_document() -> dict[str, Any]:
    """Types, ranges, defaults and meanings of every hyperparameter, by family."""
    families = [spec for spec in FAMILY_SPECS.values() if spec.hyperparameters]
    return {
        "type": "object",
        "description": "Unknown or impossible ones are 422 with the allowed range.",
        "anyOf": [
            {
                "title": f"{spec.task} ({spec.family})",
                "type": "object",
                "properties": {
                    name: _document(each)
                    for name, each in (SPLIT_HYPERPARAMETERS | spec.hyperparameters).items()
                },
            }
            for spec in families
        ],
    }


def _document(each: Hyperparameter) -> dict[str, Any]:
    kind = {bool: "boolean", int: "integer", float: "number", str: "string"}[type(each.default)]
    found = {"type": kind, "default": each.default, "description": each.description}
    if each.choices:
        return found | {"enum": list(each.choices)}
    limits = {"minimum": each.minimum, "maximum": each.maximum}
    return found | {name: value for name, value in limits.items() if value is not None}


Hyperparameters = Annotated[
    dict[str, bool | int | float | str],
    Field(max_length=MAX_HYPERPARAMETERS),
    WithJsonSchema(hyperparameters_document()),
]


class FineTuneIn(BaseModel):
    """What to train on what, and how."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "task": "beats",
                    "dataset_id": "ds_01kb2v3f7m2k9d4q8t6x0z1c5e",
                    "base": "ecgbert-beats",
                    "hyperparameters": {"epochs": 3},
                    "name": "ward-3-beats",
                }
            ]
        },
    )

    task: TaskName
    dataset_id: str = Field(max_length=100)
    base: str | None = Field(None, max_length=120, description=f"{MODEL_HELP}")
    head: Literal["keep", "reset"] = Field(
        "keep", description="`keep` goes on with the base's head, `reset` begins a new one"
    )
    hyperparameters: Hyperparameters = Field(default_factory=dict)
    name: str | None = Field(
        None,
        max_length=100,
        description="of the model that it becomes a version of; by default the base's own, or "
        "`…-tuned` beside a model that came with Ectopy",
    )

    def request(self) -> FineTuneRequest:
        return FineTuneRequest(
            task=self.task,
            dataset_id=self.dataset_id,
            base=self.base,
            head=self.head,
            hyperparameters=self.hyperparameters,
            name=self.name,
        )


class ResumeIn(BaseModel):
    """How far to go on."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"epochs": 20}]})

    epochs: int | None = Field(
        None, ge=1, le=100_000, description="in all; without it as many as were asked for before"
    )


class VersionReference(BaseModel):
    name: str
    version: int


class SplitPart(BaseModel):
    patients: int
    records: int


class Split(BaseModel):
    """How the patients were divided: none is in two parts."""

    train: SplitPart
    validation: SplitPart
    test: SplitPart


class FineTuneOut(BaseModel):
    """A fine-tune; `metrics` are the last epoch's, `history` has all of them."""

    model_config = ConfigDict(json_schema_extra={"example": FINE_TUNE_EXAMPLE})

    id: str
    name: str
    task: TaskName
    status: StatusName
    progress: float = Field(ge=0, le=1)
    dataset_id: str
    dataset_sha256: str
    base: VersionReference
    head: Literal["keep", "reset"]
    hyperparameters: dict[str, Any]
    split: Split | None
    epoch: int = Field(description="epochs done")
    epochs: int = Field(description="epochs asked for")
    metrics: dict[str, Any]
    history: list[dict[str, Any]]
    eta_s: float | None
    result_model: VersionReference | None
    error: dict[str, Any] | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class FineTuneList(BaseModel):
    data: list[FineTuneOut]
    next_cursor: str | None


class CheckpointList(BaseModel):
    """The last checkpoint, from which `resume` goes on, and the best one so far."""

    model_config = ConfigDict(json_schema_extra={"example": _CHECKPOINT_EXAMPLE})

    data: list[dict[str, Any]]


def fine_tune_json(row: FineTuneRow) -> dict[str, Any]:
    """FineTuneOut as plain data."""
    last = row.history[-1] if row.history else None
    result = None
    if row.result_name is not None:
        result = {"name": row.result_name, "version": row.result_version}
    return {
        "id": row.id,
        "name": row.name,
        "task": row.task,
        "status": row.job.status,
        "progress": row.job.progress,
        "dataset_id": row.dataset_id,
        "dataset_sha256": row.dataset_sha256,
        "base": {"name": row.base_name, "version": row.base_version},
        "head": row.head,
        "hyperparameters": row.hyperparameters,
        "split": _split_json(row.split),
        "epoch": len(row.history),
        "epochs": row.hyperparameters[EPOCHS],
        "metrics": {"loss": last["loss"], **last["metrics"]} if last else {},
        "history": row.history,
        "eta_s": last["eta_s"] if last and row.job.finished_at is None else None,
        "result_model": result,
        "error": row.job.error,
        "created_at": row.created_at,
        "started_at": row.job.started_at,
        "finished_at": row.job.finished_at,
    }


def _split_json(split: dict[str, Any] | None) -> dict[str, Any] | None:
    if split is None:
        return None
    return {
        name: {"patients": part["patients"], "records": part["records"]}
        for name, part in split.items()
    }

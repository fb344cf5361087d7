"""What is sent and received about predictions."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from services.predictions.service import PredictionOutline, PredictionRequest

TaskName = Literal["beats", "afib-5y"]
StatusName = Literal["queued", "running", "succeeded", "failed", "cancelled"]
MAX_OPTIONS_BYTES = 4000
MODEL_HELP = "`name` or `name@version`; without it the promoted one answers"

_BEAT = {
    "sample": 126,
    "time_s": 0.35,
    "label": "V",
    "probability": 0.98,
    "probabilities": {"N": 0.01, "S": 0.0, "V": 0.98, "F": 0.01, "Q": 0.0},
    "unreadable": False,
}
PREDICTION_EXAMPLE: dict[str, Any] = {
    "id": "pred_01kb2v3f7m2k9d4q8t6x0z1c5e",
    "record_id": "rec_01kb2v3f7m2k9d4q8t6x0z1c5e",
    "task": "beats",
    "status": "succeeded",
    "progress": 1.0,
    "model": {"name": "ecgbert-beats", "version": 1},
    "result": {
        "sampling_rate_hz": 360.0,
        "leads_used": ["MLII"],
        "beats": [_BEAT],
        "counts": {"N": 0, "S": 0, "V": 1, "F": 0, "Q": 0},
        "mean_heart_rate_bpm": 74.2,
        "unreadable_beats": 0,
        "notes": [],
    },
    "error": None,
    "created_at": "2026-03-01T09:30:00Z",
    "started_at": "2026-03-01T09:30:00Z",
    "finished_at": "2026-03-01T09:30:01Z",
}


def _plain(options: dict[str, Any]) -> dict[str, Any]:
    try:
        size = len(orjson.dumps(options))
    except TypeError as error:  # lone surrogates, numbers beyond 64 bits, too deep
        raise ValueError(f"not plain JSON: {error}") from error
    if size > MAX_OPTIONS_BYTES:
        raise ValueError(f"at most {MAX_OPTIONS_BYTES} bytes")
    return options


Options = Annotated[dict[str, Any], AfterValidator(_plain), Field(description="of the model")]


class PredictionIn(BaseModel):
    """What to predict for one stored record."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"record_id": "rec_01kb2v3f7m2k9d4q8t6x0z1c5e", "task": "beats"}]
        },
    )

    record_id: str = Field(max_length=100)
    task: TaskName
    model: str | None = Field(None, max_length=120, description=MODEL_HELP)
    options: Options = Field(default_factory=dict)

    def request(self, project_id: str) -> PredictionRequest:
        return PredictionRequest(project_id, self.task, self.model, self.options)


class BatchIn(BaseModel):
    """What to predict for many stored records: those named, or those of a dataset."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"record_ids": ["rec_01kb2v3f7m2k9d4q8t6x0z1c5e"], "task": "beats"},
                {"dataset_id": "ds_01kb2v3f7m2k9d4q8t6x0z1c5e", "task": "beats"},
            ]
        },
    )

    record_ids: list[str] | None = Field(None, min_length=1, max_length=10_000)
    dataset_id: str | None = Field(
        None, max_length=100, description="its records, in its order, instead of `record_ids`"
    )
    task: TaskName
    model: str | None = Field(None, max_length=120, description=MODEL_HELP)
    options: Options = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_of_both(self) -> BatchIn:
        if (self.record_ids is None) == (self.dataset_id is None):
            raise ValueError("send either record_ids or dataset_id")
        return self

    def request(self, project_id: str) -> PredictionRequest:
        return PredictionRequest(project_id, self.task, self.model, self.options)


class ModelReference(BaseModel):
    name: str
    version: int
    synthetic: bool | None = Field(
        None, description="true where the weights have learned nothing; left out otherwise"
    )


class PredictionOut(BaseModel):
    """A prediction; `result` by task as in the example."""

    model_config = ConfigDict(json_schema_extra={"example": PREDICTION_EXAMPLE})

    id: str
    record_id: str | None
    task: TaskName
    status: StatusName
    progress: float = Field(ge=0, le=1)
    model: ModelReference
    result: dict[str, Any] | None
    error: dict[str, Any] | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class PredictionList(BaseModel):
    data: list[PredictionOut]
    next_cursor: str | None


def prediction_json(found: PredictionOutline) -> dict[str, Any]:
    """PredictionOut as plain data: large results are not validated a second time on their way."""
    asked = found.asked
    model: dict[str, Any] = {"name": asked.model_name, "version": asked.model_version}
    if found.result is not None and found.result.get("synthetic"):
        model["synthetic"] = True
    return {
        "id": asked.id,
        "record_id": found.record_id,
        "task": asked.task,
        "status": asked.status,
        "progress": asked.progress,
        "model": model,
        "result": found.result,
        "error": asked.error,
        "created_at": asked.created_at,
        "started_at": asked.started_at,
        "finished_at": asked.finished_at,
    }

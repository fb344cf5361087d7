"""What is received about imports of models."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from api.schemas.predictions import StatusName, TaskName
from services.imports.row import ModelImportRow

_EXAMPLE: dict[str, Any] = {
    "id": "imp_01kb2v3f7m2k9d4q8t6x0z1c5e",
    "task": "afib-5y",
    "name": None,
    "files": [{"name": "wcr_afib_5y.pt", "sha256": "0f" * 32, "size_bytes": 362200000}],
    "status": "succeeded",
    "progress": 1.0,
    "model": {"name": "deepecg-afib-5y", "version": 1},
    "error": None,
    "created_at": "2026-03-01T09:30:00Z",
    "started_at": "2026-03-01T09:30:00Z",
    "finished_at": "2026-03-01T09:30:09Z",
}


class ImportedFile(BaseModel):
    name: str
    sha256: str
    size_bytes: int


class ImportedVersion(BaseModel):
    name: str
    version: int


class ModelImportOut(BaseModel):
    """An import; `model` is there once it has succeeded."""

    model_config = ConfigDict(json_schema_extra={"example": _EXAMPLE})

    id: str
    task: TaskName
    name: str | None = Field(description="of the model, where one was asked for")
    files: list[ImportedFile]
    status: StatusName
    progress: float = Field(ge=0, le=1)
    model: ImportedVersion | None
    error: dict[str, Any] | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


def import_json(row: ModelImportRow) -> dict[str, Any]:
    """ModelImportOut as plain data."""
    model = None
    if row.model_name is not None:
        model = {"name": row.model_name, "version": row.model_version}
    return {
        "id": row.id,
        "task": row.task,
        "name": row.name,
        "files": row.files,
        "status": row.job.status,
        "progress": row.job.progress,
        "model": model,
        "error": row.job.error,
        "created_at": row.created_at,
        "started_at": row.job.started_at,
        "finished_at": row.job.finished_at,
    }

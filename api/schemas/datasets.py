"""What is sent and received about datasets."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.schemas.predictions import TaskName
from api.uploads import lead_names
from services.datasets.row import DatasetMemberRow, DatasetRow
from services.datasets.service import DatasetRequest
from services.ecg.readers.base import ReadHints

MAX_NAME = 200
MAX_RECORDS = 20_000

Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME, pattern=r"^[^\x00-\x1f\x7f]+$")]

_EXAMPLE: dict[str, Any] = {
    "id": "ds_01kb2v3f7m2k9d4q8t6x0z1c5e",
    "name": "ward 3, Holters of March",
    "task": "beats",
    "sha256": "0f" * 32,
    "records": 46,
    "patients": 45,
    "counts": {"N": 90125, "S": 2781, "V": 7009, "F": 803, "Q": 15},
    "left_out": [
        {
            "file": "mitdb/102.hea",
            "reason": "none of its annotations marks a beat",
            "with": ["mitdb/102.atr", "mitdb/102.dat"],
        }
    ],
    "left_out_count": 1,
    "audit": {
        "findings": [
            {
                "kind": "records_known_to_be_of_one_patient",
                "records": ["rec_01kb2v3f7m2k9d4q8t6x0z1c5e", "rec_01kb2v3f7m2k9d4q8t6x0z1c5f"],
                "names": ["mitdb/201", "mitdb/202"],
                "detail": "MIT-BIH 201 and 202 are recordings of one man; "
                "they count as one patient",
            }
        ],
        "not_compared": 0,
        "compared_with": [
            {
                "model": "ecgbert-beats",
                "version": 1,
                "how": "by the rhythm of its training records",
            }
        ],
    },
    "created_at": "2026-03-01T09:30:00Z",
}


class DatasetIn(BaseModel):
    """A dataset of records that are here."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "name": "ward 3",
                    "task": "beats",
                    "record_ids": ["rec_01kb2v3f7m2k9d4q8t6x0z1c5e"],
                }
            ]
        },
    )

    name: Name
    task: TaskName
    record_ids: list[Annotated[str, Field(max_length=100)]] = Field(
        min_length=1, max_length=MAX_RECORDS
    )
    labels: dict[str, Literal[0, 1]] = Field(
        default_factory=dict,
        description="for `afib-5y`: record id -> 1 where atrial fibrillation followed, else 0; "
        "a record without one is left out",
    )
    patients: dict[str, Name] = Field(
        default_factory=dict,
        description="record id -> whose it is, instead of the record's own `patient_id`",
    )

    def request(self) -> DatasetRequest:
        return DatasetRequest(self.name, self.task, self.labels, self.patients)


class DatasetForm(BaseModel):
    """A dataset of records that come along; the last three are for formats that carry none."""

    name: Name
    task: TaskName
    sampling_rate_hz: float | None = Field(None, gt=0, le=100_000, allow_inf_nan=False)
    units: str | None = Field(None, max_length=20, description="e.g. mV, uV")
    leads: str | None = Field(None, max_length=1000, description="names, comma-separated")

    def hints(self) -> ReadHints:
        return ReadHints(
            sampling_rate_hz=self.sampling_rate_hz,
            units=self.units or None,
            leads=lead_names(self.leads),
        )


class LeftOutOut(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    file: str = Field(description="path in the archive, or record id")
    reason: str
    others: list[str] = Field(
        default_factory=list, alias="with", description="other files of the same record"
    )


class FindingOut(BaseModel):
    kind: str = Field(
        description="`same_waveform`, `labels_disagree`, `patient_spelled_differently`, "
        "`records_known_to_be_of_one_patient`, `patient_unknown` or `trained_on`"
    )
    records: list[str] = Field(description="their ids")
    names: list[str] = Field(description="the same, as the sender called them")
    detail: str


class ComparedOut(BaseModel):
    model: str
    version: int
    how: str = Field(description="`unknown` where nothing is known of what it was trained on")


class AuditOut(BaseModel):
    """What may leak between training and testing; `patients` counts what it joined as one."""

    findings: list[FindingOut]
    not_compared: int = Field(
        description="records with too few beats to be known again if they were there twice"
    )
    compared_with: list[ComparedOut]


class DatasetSummary(BaseModel):
    id: str
    name: str
    task: TaskName
    sha256: str = Field(description="of records, annotations, labels and patients")
    records: int
    patients: int
    counts: dict[str, int] = Field(description="beats a class, or records a label")
    left_out_count: int
    created_at: datetime


class DatasetOut(DatasetSummary):
    """A dataset, with every file that was left out and the leakage audit."""

    model_config = ConfigDict(json_schema_extra={"example": _EXAMPLE})

    left_out: list[LeftOutOut]
    audit: AuditOut


class DatasetList(BaseModel):
    data: list[DatasetSummary]
    next_cursor: str | None


class MemberOut(BaseModel):
    record_id: str
    record_sha256: str
    name: str = Field(description="as the sender called it")
    patient: str = Field(description="whom a split does not tear apart")
    label: float | None = Field(description="0 or 1, for `afib-5y`")
    counts: dict[str, int] = Field(description="beats a class, for `beats`")


class MemberList(BaseModel):
    data: list[MemberOut]
    next_cursor: str | None


def member_json(row: DatasetMemberRow) -> dict[str, Any]:
    """MemberOut as plain data."""
    return {
        "record_id": row.record_id,
        "record_sha256": row.record_sha256,
        "name": row.name,
        "patient": row.patient,
        "label": row.label,
        "counts": row.counts,
    }


def summary_json(row: DatasetRow) -> dict[str, Any]:
    """DatasetSummary as plain data."""
    return {
        "id": row.id,
        "name": row.name,
        "task": row.task,
        "sha256": row.sha256,
        "records": row.n_records,
        "patients": row.n_patients,
        "counts": row.counts,
        "left_out_count": row.left_out_count,
        "created_at": row.created_at,
    }


def dataset_json(row: DatasetRow) -> dict[str, Any]:
    """DatasetOut as plain data."""
    return summary_json(row) | {"left_out": row.left_out, "audit": row.audit}

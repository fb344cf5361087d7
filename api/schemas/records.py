"""What is sent and received about records."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from services.records.row import RecordRow


class LeadOut(BaseModel):
    name: str
    unit: str


class RecordOut(BaseModel):
    """A stored record."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "rec_01kb2v3f7m2k9d4q8t6x0z1c5e",
                "name": "208_excerpt",
                "patient_id": None,
                "format": "wfdb",
                "sha256": "0f" * 32,
                "sampling_rate_hz": 360.0,
                "n_samples": 108000,
                "duration_s": 300.0,
                "leads": [{"name": "MLII", "unit": "mV"}],
                "has_annotations": False,
                "notes": [],
                "created_at": "2026-03-01T09:30:00Z",
            }
        }
    )

    id: str
    name: str
    patient_id: str | None
    format: str
    sha256: str = Field(description="of the uploaded bytes")
    sampling_rate_hz: float
    n_samples: int
    duration_s: float
    leads: list[LeadOut]
    has_annotations: bool
    notes: list[str] = Field(description="what the reader noticed, such as a flat lead")
    created_at: datetime

    @classmethod
    def of(cls, row: RecordRow) -> RecordOut:
        return cls(
            id=row.id,
            name=row.name,
            patient_id=row.patient_id,
            format=row.format,
            sha256=row.sha256,
            sampling_rate_hz=row.sampling_rate_hz,
            n_samples=row.n_samples,
            duration_s=row.duration_s,
            leads=[LeadOut(**lead) for lead in row.leads],
            has_annotations=row.has_annotations,
            notes=row.notes,
            created_at=row.created_at,
        )


class RecordList(BaseModel):
    data: list[RecordOut]
    next_cursor: str | None


class DrawnLeadOut(BaseModel):
    name: str
    unit: str
    time_s: list[float]
    value: list[float | None] = Field(description="null where a sample is missing")


class SignalOut(BaseModel):
    sampling_rate_hz: float
    start_s: float
    unit: str
    leads: list[DrawnLeadOut]


class AnnotationOut(BaseModel):
    sample: int
    time_s: float
    symbol: str = Field(examples=["V"])
    label: str | None = Field(
        description="AAMI class of a beat; null for a rhythm change or a note", examples=["V"]
    )
    note: str = Field(examples=["(AFIB"])

"""What is received about calibrations."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from services.calibrations.service import CalibrationRequest


class CalibrationIn(BaseModel):
    """A threshold, or a dataset to fit to, or both."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"threshold": 0.3},
                {"dataset_id": "ds_01kb2v3f7m2k9d4q8t6x0z1c5e", "method": "platt"},
            ]
        },
    )

    threshold: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="from this risk on the answer is `high`; with a dataset and without a "
        "threshold, the one with the largest sum of sensitivity and specificity there",
    )
    dataset_id: str | None = Field(
        None,
        max_length=100,
        description="records with outcomes, of each of which the version has given a risk",
    )
    method: Literal["platt", "isotonic"] | None = Field(
        None, description="of the calibration; `platt` if not given"
    )

    def request(self, project_id: str) -> CalibrationRequest:
        return CalibrationRequest(project_id, self.threshold, self.dataset_id, self.method)

"""Every query of calibrations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from services.predictions.row import PredictionItemRow, PredictionRow
from services.registry.row import ModelVersionRow


def logits(
    session: Session,
    project_id: str,
    version: ModelVersionRow,
    options: dict[str, Any],
    record_ids: Sequence[str],
) -> dict[str, float]:
    """By record: what this version said of it last, where it was asked with these options."""
    query = (
        select(PredictionItemRow.record_id, PredictionItemRow.summary["logit"])
        .join(PredictionRow, PredictionRow.id == PredictionItemRow.prediction_id)
        .where(
            PredictionRow.project_id == project_id,
            PredictionRow.model_name == version.name,
            PredictionRow.model_version == version.version,
            PredictionRow.weights_sha256 == version.sha256,
            PredictionRow.options == options,
            PredictionItemRow.record_id.in_(record_ids),
            PredictionItemRow.summary.is_not(None),
        )
        .order_by(PredictionRow.id)
    )
    return {record_id: float(logit) for record_id, logit in session.execute(query)}

"""The figures that a training run reports of patients it left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.ecg.labels import AAMI_CLASSES
from services.ecg.record import Annotations
from services.evaluation import beats as ec57
from services.models.ecgbert.calibration import expected_calibration_error
from services.models.ecgbert.training_set import LabelledShapes

Row = tuple[Annotations, LabelledShapes, NDArray[np.float32]]
THREE_CLASSES = ("N", "S", "V")


@dataclass(frozen=True)
class Scores:
    """For annotated and for detected R peaks: what the card says of them; and of trials."""

    annotated_peaks: dict[str, Any]
    detected_peaks: dict[str, Any]
    trials: dict[str, Any]


def scores(annotated: Sequence[Row], detected: Sequence[Row], trials: dict[str, Any]) -> Scores:
    """EC57 figures over all records together, in per cent; one row a record.

    trials: `made.composite.composite`.
    """
    return Scores(_figures(annotated), _figures(detected), trials)


def _figures(rows: Sequence[Row]) -> dict[str, Any]:
    per_record = np.stack([_confusion(row) for row in rows])
    matrix = per_record.sum(axis=0)
    f1 = ec57.f1(matrix)
    label = np.concatenate([beats.label for _, beats, _ in rows])
    probabilities = np.concatenate([probability for *_, probability in rows])
    known = label >= 0
    return {
        "f1": _by_class(f1),
        "sensitivity": _by_class(ec57.sensitivity(matrix)),
        "positive_predictivity": _by_class(ec57.positive_predictivity(matrix)),
        "macro_f1_n_s_v": _percent(ec57.macro_f1(matrix, THREE_CLASSES)),
        "expected_calibration_error": round(
            expected_calibration_error(probabilities[known], label[known]), 4
        ),
        "confusion": matrix.tolist(),
        "f1_by_record": {
            beats.record: _by_class(ec57.f1(each))
            for (_, beats, _), each in zip(rows, per_record, strict=True)
        },
    }


def _confusion(row: Row) -> NDArray[np.int64]:
    annotations, beats, probability = row
    answers = ec57.LabelledBeats(beats.peaks, probability.argmax(axis=1).astype(np.int64))
    return ec57.record_confusion(annotations, answers, sampling_rate_hz=beats.sampling_rate_hz)


def _by_class(values: NDArray[np.float64]) -> dict[str, float | None]:
    return dict(zip(AAMI_CLASSES, (_percent(value) for value in values), strict=True))


def _percent(value: Any) -> float | None:
    return round(100 * float(value), 1) if np.isfinite(value) else None

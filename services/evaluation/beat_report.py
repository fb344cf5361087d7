"""The report of beat labels: several models beside each other on the same test patients.

Conventions are those of `services.evaluation.beats` (ANSI/AAMI EC57, from minute 0), and with the
five AAMI classes the figures and intervals are those of `ectopy ec57` on the same records.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.ecg.labels import AAMI_CLASSES, BINARY_CLASSES
from services.ecg.record import Annotations, IntArray
from services.evaluation import beats
from services.evaluation.beats import LabelledBeats
from services.evaluation.bootstrap import DRAWS, SEED, Sampled, plain
from services.evaluation.report import FEW_BEATS
from services.evaluation.report import FEW_PATIENTS as FEW_PATIENTS_OF_A_CLASS
from services.evaluation.report_parts import (
    SHOWN_NAMES,
    Compared,
    common_cautions,
    differences,
    mean_of_there,
    model_json,
)

MACRO_F1 = "macro_f1"


@dataclass(frozen=True)
class BeatsTested:
    """One record and what each model made of it.

    matrices: a confusion matrix (6, 6) for each model, in the order of the report's models.
    """

    record_id: str
    name: str
    patient: str
    matrices: tuple[IntArray, ...]


def matrix_of(
    annotations: Annotations,
    found: LabelledBeats,
    *,
    sampling_rate_hz: float,
    binary: bool,
) -> IntArray:
    """The confusion matrix of one record; binary ones use the first two rows and columns."""
    matrix = beats.record_confusion(annotations, found, sampling_rate_hz=sampling_rate_hz)
    return binary_matrix(matrix) if binary else matrix


def binary_matrix(matrix: IntArray) -> IntArray:
    """Normal (N) and abnormal (every other class) at index 0 and 1; (..., 6, 6) -> (..., 6, 6)."""
    merged = np.zeros_like(matrix)
    groups = (slice(0, 1), slice(1, beats.N_CLASSES), slice(beats.FALSE, beats.FALSE + 1))
    places = (0, 1, beats.FALSE)
    for row, into in zip(groups, places, strict=True):
        for column, across in zip(groups, places, strict=True):
            merged[..., into, across] = matrix[..., row, column].sum(axis=(-2, -1))
    return merged


def beat_report(
    models: Sequence[Compared],
    tested: Sequence[BeatsTested],
    *,
    binary: bool = False,
    draws: int = DRAWS,
    seed: int = SEED,
) -> dict[str, Any]:
    """Everything about the labels of the tested records, JSON-ready.

    binary: the classes are normal and abnormal. Raises ValueError without any record.
    """
    if not tested:
        raise ValueError("a report needs at least one tested record")
    classes = BINARY_CLASSES if binary else AAMI_CLASSES
    ids = [record.record_id for record in tested]
    patients = [record.patient for record in tested]
    all_matrices = [np.stack([record.matrices[n] for record in tested]) for n in range(len(models))]
    counts = all_matrices[0][:, : len(classes), :].sum(axis=2)
    present = counts.sum(axis=0) > 0
    evaluated = [
        _Evaluated(matrices, beats.resampled_by_patient(matrices, patients, draws=draws, seed=seed))
        for matrices in all_matrices
    ]
    macro = [each.macro_f1(present) for each in evaluated]
    return {
        "task": "beats",
        "classes": list(classes),
        "records": len(tested),
        "patients": len(set(patients)),
        "beats": int(counts.sum()),
        "models": [
            model_json(model, ids) | each.as_json(classes, macro_f1) | {"by_record": rows}
            for model, each, macro_f1, rows in zip(
                models,
                evaluated,
                macro,
                [_record_rows(tested, n, classes) for n in range(len(models))],
                strict=True,
            )
        ],
        "differences": differences(models, macro, figure=MACRO_F1),
        "cautions": [
            *common_cautions(models, ids, patients),
            *_class_cautions(classes, counts, tested),
        ],
        "bootstrap": {"draws": draws, "seed": seed, "by": "patient", "level": 0.95},
    }


@dataclass(frozen=True)
class _Evaluated:
    """One model's matrices: (n_records, 6, 6), and summed over each bootstrap sample."""

    matrices: IntArray
    drawn: IntArray

    def figure(self, function: Any) -> Sampled:
        return Sampled(float(function(self.matrices.sum(axis=0))), function(self.drawn))

    def macro_f1(self, present: NDArray[np.bool_]) -> Sampled:
        """Mean F1 of the classes that the tested records have."""
        at = np.flatnonzero(present)
        return self.figure(lambda matrix: mean_of_there(beats.f1(matrix)[..., at]))

    def as_json(self, classes: Sequence[str], macro_f1: Sampled) -> dict[str, Any]:
        total = self.matrices.sum(axis=0)
        kept = [*range(len(classes)), beats.FALSE]
        return {
            "detection": {
                "sensitivity": self.figure(beats.detection_sensitivity).as_json(),
                "positive_predictivity": self.figure(beats.detection_predictivity).as_json(),
            },
            "per_class": [self._class_json(name, at) for at, name in enumerate(classes)],
            MACRO_F1: macro_f1.as_json(),
            "accuracy": plain(float(beats.accuracy(total))),
            "confusion": {
                "rows": [*classes, "false detection"],
                "columns": [*classes, "missed"],
                "counts": total[np.ix_(kept, kept)].tolist(),
            },
        }

    def _class_json(self, name: str, at: int) -> dict[str, Any]:
        def column(function: Any) -> dict[str, Any]:
            return self.figure(lambda matrix: function(matrix)[..., at]).as_json()

        return {
            "label": name,
            "beats": int(self.matrices[:, at, :].sum()),
            "sensitivity": column(beats.sensitivity),
            "positive_predictivity": column(beats.positive_predictivity),
            "f1": column(beats.f1),
        }


def _record_rows(
    tested: Sequence[BeatsTested], model: int, classes: Sequence[str]
) -> list[dict[str, Any]]:
    rows = []
    for record in tested:
        matrix = record.matrices[model]
        f1 = beats.f1(matrix)
        rows.append(
            {
                "record_id": record.record_id,
                "name": record.name,
                "patient": record.patient,
                "beats": int(matrix[: beats.N_CLASSES].sum()),
                "missed": int(matrix[:, beats.MISSED].sum()),
                "false": int(matrix[beats.FALSE].sum()),
                "accuracy": plain(float(beats.accuracy(matrix))),
                "f1": {name: plain(float(f1[at])) for at, name in enumerate(classes)},
            }
        )
    return rows


def _class_cautions(
    classes: Sequence[str], counts: IntArray, tested: Sequence[BeatsTested]
) -> list[str]:
    """Classes that are not there, or rest on few beats or patients."""
    cautions = []
    for name, column in zip(classes, counts.T, strict=True):
        n_beats = int(column.sum())
        who = sorted({r.patient for r, n in zip(tested, column, strict=True) if n})
        if n_beats == 0:
            cautions.append(f"{name}: no beat of this class was tested; nothing is known of it")
        elif n_beats < FEW_BEATS or len(who) < FEW_PATIENTS_OF_A_CLASS:
            named = ", ".join(who[:SHOWN_NAMES])
            cautions.append(f"{name}: only {n_beats} beats of {len(who)} patients ({named})")
    return cautions

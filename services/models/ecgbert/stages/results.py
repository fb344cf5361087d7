"""Step 4's figures: how beats of the patients that validate are labelled, by record and patient.

`metrics.json` and `report.html` are the report of services.evaluation; `confusion.csv`,
`by_record.csv` and `by_patient.csv` are the same counts for a spreadsheet. Rows of the matrix are
the reference's classes and detections that stand for no beat, columns the answers and missed beats.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.ecg.record import IntArray
from services.evaluation import beats as ec57
from services.evaluation.beat_report import BeatsTested, beat_report, matrix_of
from services.evaluation.beats import LabelledBeats
from services.evaluation.report_html import report_html
from services.evaluation.report_parts import NEW, Compared
from services.models.ecgbert.guide.sentences import NO_LABEL
from services.models.ecgbert.spec import SAMPLING_RATE_HZ
from services.models.ecgbert.stages.preprocessing import Prepared
from services.models.ecgbert.stages.settings import VALIDATION

METRICS, REPORT, CONFUSION = "metrics.json", "report.html", "confusion.csv"
BY_RECORD, BY_PATIENT = "by_record.csv", "by_patient.csv"


def write_results(
    folder: Path,
    prepared: Prepared,
    answers: Mapping[str, LabelledBeats],
    *,
    model_name: str,
    cautions: Sequence[str],
    more: Mapping[str, Any],
) -> dict[str, Any]:
    """Writes the five files and returns the report.

    answers: record -> beats at 360 Hz with their class, of every record that validates. cautions,
    more: what else metrics.json shall say.
    """
    binary = len(prepared.classes) == 2  # normal and abnormal
    tested = []
    for record in prepared.of_part(VALIDATION):
        matrix = matrix_of(
            prepared.annotations(record),
            answers[record.name],
            sampling_rate_hz=SAMPLING_RATE_HZ,
            binary=binary,
        )
        tested.append(BeatsTested(record.name, record.name, record.patient, (matrix,)))
    report = beat_report([Compared(NEW, model_name)], tested, binary=binary) | dict(more)
    report["cautions"] = [*cautions, *report["cautions"]]
    (folder / METRICS).write_text(json.dumps(report, indent=1) + "\n")
    (folder / REPORT).write_text(report_html(report))
    _write_counts(folder, tested, prepared.classes)
    return report


def token_figures(
    answers: Sequence[IntArray], labels: Sequence[IntArray], *, n_classes: int
) -> dict[str, float]:
    """What the original prints: over tokens, averaged over the classes (quirk 20)."""
    answer, label = np.concatenate(list(answers)), np.concatenate(list(labels))
    known = label != NO_LABEL
    counts = np.zeros((n_classes, n_classes), dtype=np.int64)
    np.add.at(counts, (label[known], answer[known]), 1)
    right = np.diagonal(counts)
    silent = counts.sum() - counts.sum(axis=0) - counts.sum(axis=1) + right
    return {
        "accuracy": float(right.sum() / counts.sum()),
        "precision": float(np.mean(right / (counts.sum(axis=0) + _NOTHING))),
        "recall": float(np.mean(right / (counts.sum(axis=1) + _NOTHING))),
        "specificity": float(
            np.mean(silent / (counts.sum() - counts.sum(axis=1) + _NOTHING)),
        ),
    }


_NOTHING = 1e-8  # the original's guard against a class that never occurs


def _write_counts(folder: Path, tested: Sequence[BeatsTested], classes: tuple[str, ...]) -> None:
    total = np.sum([record.matrices[0] for record in tested], axis=0)
    columns = [*classes, "missed"]
    kept = [*range(len(classes)), ec57.FALSE]
    rows = [
        [name, *total[row, kept].tolist()]
        for name, row in zip([*classes, "false detection"], kept, strict=True)
    ]
    _write_csv(folder / CONFUSION, ["reference", *columns], rows)
    head = ["beats", "accuracy", *(f"f1_{name}" for name in classes)]
    by_record = [[each.name, each.patient, *_figures(each.matrices[0], classes)] for each in tested]
    _write_csv(folder / BY_RECORD, ["record", "patient", *head], by_record)
    patients = sorted({each.patient for each in tested})
    of_patient = {
        patient: np.sum([each.matrices[0] for each in tested if each.patient == patient], axis=0)
        for patient in patients
    }
    rows = [[patient, *_figures(matrix, classes)] for patient, matrix in of_patient.items()]
    _write_csv(folder / BY_PATIENT, ["patient", *head], rows)


def _figures(matrix: NDArray[np.int64], classes: tuple[str, ...]) -> list[Any]:
    n_beats = int(matrix[: len(classes)].sum())
    f1 = ec57.f1(matrix)[: len(classes)]
    return [n_beats, *(_rounded(value) for value in (ec57.accuracy(matrix), *f1))]


def _rounded(value: Any) -> float | str:
    return round(float(value), 4) if np.isfinite(value) else ""


def _write_csv(path: Path, head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(rows)

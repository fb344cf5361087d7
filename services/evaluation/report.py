"""The EC57 figures of a set of records as one object: counts, intervals, averages and cautions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.ecg.labels import AAMI_CLASSES
from services.ecg.record import IntArray
from services.evaluation import beats

# mean F1 is given over these sets of classes
MACRO_SETS = (("N", "S", "V"), ("N", "S", "V", "F"), AAMI_CLASSES)
# fewer beats or patients than this say little about a class
FEW_BEATS = 100
FEW_PATIENTS = 5
LARGE_SHARE = 0.5


@dataclass(frozen=True)
class RecordScore:
    """One record's confusion matrix (6, 6), as `services.evaluation.beats` makes it."""

    record: str
    patient: str
    matrix: IntArray


@dataclass(frozen=True)
class Figure:
    """Over all records together, with its 95 % bootstrap interval; mean over the records."""

    gross: float
    low: float
    high: float
    average: float


@dataclass(frozen=True)
class ClassRow:
    """One class: its beats, and how well they are told."""

    name: str
    n_beats: int
    sensitivity: Figure
    predictivity: Figure
    f1: Figure


@dataclass(frozen=True)
class RecordRow:
    """One record's detection: its beats, those missed, and detections that stand for none."""

    record: str
    n_beats: int
    missed: int
    false: int
    sensitivity: float
    predictivity: float


@dataclass(frozen=True)
class ClassificationTable:
    """Everything about labels, from the summed confusion matrix.

    confusion: rows N S V F Q and false detections, columns N S V F Q and missed.
    macro_f1: by the classes averaged, "N S V" and so on; the F and Q beats stay in the matrix.
    three_class_macro_f1: N, S, V with F and Q reference beats left out, as some authors count.
    aami_predictivity: V and S as EC57 has it, without F and Q beats (V) or Q beats (S).
    """

    classes: tuple[ClassRow, ...]
    macro_f1: dict[str, Figure]
    three_class_macro_f1: Figure
    aami_predictivity: dict[str, float]
    accuracy: float
    confusion: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Table:
    """The figures of a set of records, from a start time on."""

    records: tuple[str, ...]
    start_s: float
    n_beats: int
    detection_sensitivity: Figure
    detection_predictivity: Figure
    by_record: tuple[RecordRow, ...]
    classification: ClassificationTable | None
    cautions: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values; a figure that does not exist is null."""
        return {name: _plain(value) for name, value in asdict(self).items()}


def table(
    scores: Sequence[RecordScore],
    *,
    start_s: float,
    with_classes: bool = True,
    draws: int = 2000,
    seed: int = 0,
) -> Table:
    """The table of some records; intervals from `draws` bootstrap samples of their patients.

    Raises ValueError without records.
    """
    if not scores:
        raise ValueError("a table needs at least one record")
    matrices = np.stack([score.matrix for score in scores])
    patients = [score.patient for score in scores]
    drawn = beats.resampled_by_patient(matrices, patients, draws=draws, seed=seed)
    figures = _Figures(matrices, drawn)
    return Table(
        records=tuple(score.record for score in scores),
        start_s=start_s,
        n_beats=int(matrices[:, : beats.N_CLASSES].sum()),
        detection_sensitivity=figures.of(beats.detection_sensitivity),
        detection_predictivity=figures.of(beats.detection_predictivity),
        by_record=tuple(_record_row(score) for score in scores),
        classification=_classification(figures) if with_classes else None,
        cautions=_cautions(scores) if with_classes else (),
    )


class _Figures:
    """Figures of a function of confusion matrices: gross, interval and average at once."""

    def __init__(self, matrices: IntArray, drawn: IntArray) -> None:
        self.matrices, self.drawn = matrices, drawn
        self.total: IntArray = matrices.sum(axis=0)

    def of(self, function: Any, **options: Any) -> Figure:
        return self.each(lambda matrix: function(matrix, **options)[..., None])[0]

    def each(self, function: Any) -> list[Figure]:
        """For a function that gives several figures along its last axis."""
        gross, drawn = function(self.total), function(self.drawn)
        average = beats.average(function(self.matrices))
        return [
            Figure(float(gross[i]), *beats.interval(drawn[:, i]), float(average[i]))
            for i in range(gross.shape[-1])
        ]


def _classification(figures: _Figures) -> ClassificationTable:
    n_beats = figures.total[: beats.N_CLASSES].sum(axis=1)
    columns = (
        figures.each(beats.sensitivity),
        figures.each(beats.positive_predictivity),
        figures.each(beats.f1),
    )
    rows = zip(AAMI_CLASSES, n_beats.tolist(), *columns, strict=True)

    def three_classes(matrix: IntArray) -> NDArray[np.float64]:
        return beats.macro_f1(beats.without_reference(matrix, ("F", "Q")), ("N", "S", "V"))

    return ClassificationTable(
        classes=tuple(ClassRow(*row) for row in rows),
        macro_f1={
            " ".join(names): figures.of(beats.macro_f1, classes=names) for names in MACRO_SETS
        },
        three_class_macro_f1=figures.of(three_classes),
        aami_predictivity={
            name: float(beats.aami_predictivity(figures.total, name)) for name in ("S", "V")
        },
        accuracy=float(beats.accuracy(figures.total)),
        confusion=tuple(tuple(row) for row in figures.total.tolist()),
    )


def _record_row(score: RecordScore) -> RecordRow:
    matrix = score.matrix
    return RecordRow(
        record=score.record,
        n_beats=int(matrix[: beats.N_CLASSES].sum()),
        missed=int(matrix[:, beats.MISSED].sum()),
        false=int(matrix[beats.FALSE].sum()),
        sensitivity=float(beats.detection_sensitivity(matrix)),
        predictivity=float(beats.detection_predictivity(matrix)),
    )


def _cautions(scores: Sequence[RecordScore]) -> tuple[str, ...]:
    """Where a class rests on few beats or patients, or on one record."""
    counts = np.stack([s.matrix[: beats.N_CLASSES].sum(axis=1) for s in scores])
    found = []
    for name, column in zip(AAMI_CLASSES, counts.T, strict=True):
        n_beats = int(column.sum())
        patients = {s.patient for s, n in zip(scores, column, strict=True) if n}
        if n_beats < FEW_BEATS or len(patients) < FEW_PATIENTS:
            found.append(f"{name}: only {n_beats} beats of {len(patients)} patients")
        elif column.max() > LARGE_SHARE * n_beats:
            found.append(_one_record_caution(scores, int(np.argmax(column)), name, n_beats))
    return tuple(found)


def _one_record_caution(
    scores: Sequence[RecordScore], largest: int, name: str, n_beats: int
) -> str:
    others = sum(
        (s.matrix for i, s in enumerate(scores) if i != largest), np.zeros_like(scores[0].matrix)
    )
    column = AAMI_CLASSES.index(name)
    figures = (beats.sensitivity, beats.positive_predictivity, beats.f1)
    se, pp, f1 = (100 * float(figure(others)[column]) for figure in figures)
    held = int(scores[largest].matrix[column].sum())
    return (
        f"{name}: record {scores[largest].record} holds {held} of the {n_beats} beats; "
        f"without it Se {se:.1f}, +P {pp:.1f}, F1 {f1:.1f} %"
    )


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value

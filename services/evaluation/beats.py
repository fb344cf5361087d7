"""How good beat labels are: one confusion matrix a record, and every figure computed from it.

A matrix is (6, 6) int64: rows are reference classes N S V F Q and a last row for detections that
stand for no beat; columns are predicted classes N S V F Q and a last column for missed beats.
Conventions: ANSI/AAMI EC57:2012. Beats within 150 ms pair one to one; ventricular flutter is left
out; a missed beat counts against the sensitivity of its class, a false detection against the
positive predictivity of the class that it was given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.ecg.labels import AAMI_CLASSES, aami_class_indices, is_beat
from services.ecg.record import Annotations, IntArray
from services.evaluation.matching import (
    WINDOW_S,
    BeatMatch,
    flutter_stretches,
    inside,
    matched_beats,
)

__all__ = ["BeatMatch", "LabelledBeats", "matched_beats", "record_confusion", "reference_beats"]

N_CLASSES = len(AAMI_CLASSES)
MISSED = FALSE = N_CLASSES  # the last column, the last row

FloatMatrix = NDArray[np.float64]


@dataclass(frozen=True)
class LabelledBeats:
    """Beats of one record: (n,) ascending sample indices, (n,) indices into AAMI_CLASSES."""

    sample: IntArray
    label: IntArray

    def __post_init__(self) -> None:
        if len(self.sample) != len(self.label):
            raise ValueError("as many beat labels as samples are needed")


def reference_beats(annotations: Annotations) -> LabelledBeats:
    """The annotations that mark a beat, with their AAMI class; rhythm and noise marks left out."""
    beats = np.array([is_beat(symbol) for symbol in annotations.symbol], dtype=bool)
    label = aami_class_indices(annotations.symbol)
    return LabelledBeats(annotations.sample[beats], label[beats])


def record_confusion(
    annotations: Annotations,
    detected: LabelledBeats,
    *,
    sampling_rate_hz: float,
    start_s: float = 0.0,
    window_s: float = WINDOW_S,
) -> IntArray:
    """One record's confusion matrix, (6, 6), from `start_s` on and without ventricular flutter."""
    reference = reference_beats(annotations)
    match = matched_beats(
        reference.sample, detected.sample, sampling_rate_hz=sampling_rate_hz, window_s=window_s
    )
    flutter, start = flutter_stretches(annotations), start_s * sampling_rate_hz
    counted = (reference.sample >= start) & ~inside(reference.sample, flutter)
    found = counted & (match.of_reference >= 0)
    false = (match.of_detected < 0) & (detected.sample >= start)
    false &= ~inside(detected.sample, flutter)
    return (
        _counts(reference.label[found], detected.label[match.of_reference[found]])
        + _counts(reference.label[counted & ~found], MISSED)
        + _counts(FALSE, detected.label[false])
    )


def detection_sensitivity(matrix: IntArray) -> FloatMatrix:
    """Found beats over all beats, whatever their class; NaN without beats. (..., 6, 6) -> (...)."""
    beats = matrix[..., :N_CLASSES, :].sum(axis=(-2, -1))
    return _ratio(beats - matrix[..., :N_CLASSES, MISSED].sum(axis=-1), beats)


def detection_predictivity(matrix: IntArray) -> FloatMatrix:
    """Detections that stand for a beat over all detections. (..., 6, 6) -> (...)."""
    detections = matrix[..., :N_CLASSES].sum(axis=(-2, -1))
    return _ratio(detections - matrix[..., FALSE, :N_CLASSES].sum(axis=-1), detections)


def sensitivity(matrix: IntArray) -> FloatMatrix:
    """Of each class's beats, those found and given that class. (..., 6, 6) -> (..., 5)."""
    return _ratio(_right(matrix), matrix[..., :N_CLASSES, :].sum(axis=-1))


def positive_predictivity(matrix: IntArray) -> FloatMatrix:
    """Of each class's answers, those that are right. (..., 6, 6) -> (..., 5)."""
    return _ratio(_right(matrix), matrix[..., :, :N_CLASSES].sum(axis=-2))


def f1(matrix: IntArray) -> FloatMatrix:
    """Harmonic mean of sensitivity and predictivity; NaN for a class never seen nor answered."""
    seen = matrix[..., :N_CLASSES, :].sum(axis=-1) + matrix[..., :, :N_CLASSES].sum(axis=-2)
    return _ratio(2 * _right(matrix), seen)


def macro_f1(matrix: IntArray, classes: Sequence[str]) -> FloatMatrix:
    """Mean F1 of these classes. (..., 6, 6) -> (...)."""
    columns = [AAMI_CLASSES.index(name) for name in classes]
    return np.asarray(f1(matrix)[..., columns].mean(axis=-1))


def accuracy(matrix: IntArray) -> FloatMatrix:
    """Of the beats that were found, those given their class. (..., 6, 6) -> (...)."""
    found = matrix[..., :N_CLASSES, :N_CLASSES].sum(axis=(-2, -1))
    return _ratio(_right(matrix).sum(axis=-1), found)


def without_reference(matrix: IntArray, classes: Sequence[str]) -> IntArray:
    """The matrix with the beats of these reference classes left out."""
    left = matrix.copy()
    left[..., [AAMI_CLASSES.index(name) for name in classes], :] = 0
    return left


def aami_predictivity(matrix: IntArray, name: str) -> FloatMatrix:
    """Predictivity of S or V as EC57 counts it: for V, F and Q beats called V are no mistakes.

    For S, Q beats called S are none (de Chazal 2004). (..., 6, 6) -> (...).
    """
    forgiven = {"V": ("F", "Q"), "S": ("Q",)}[name]
    column = AAMI_CLASSES.index(name)
    return positive_predictivity(without_reference(matrix, forgiven))[..., column]


def average(per_record: FloatMatrix) -> FloatMatrix:
    """Mean over the records (first axis) that have the figure; NaN where none has."""
    there = np.isfinite(per_record)
    return _ratio(np.where(there, per_record, 0.0).sum(axis=0), there.sum(axis=0))


def resampled_by_patient(
    matrices: IntArray, patients: Sequence[str], *, draws: int, seed: int
) -> IntArray:
    """Summed matrices of `draws` bootstrap samples of the patients, (draws, 6, 6).

    matrices: (n_records, 6, 6); patients: whose record each one is. All records of a patient are
    drawn together, as many patients as there are, with replacement.
    """
    _, member = np.unique(np.array(patients), return_inverse=True)
    n_patients = int(member.max()) + 1
    by_patient = np.zeros((n_patients, *matrices.shape[1:]), dtype=np.int64)
    np.add.at(by_patient, member, matrices)
    generator = np.random.default_rng(seed)
    times = generator.multinomial(n_patients, np.full(n_patients, 1 / n_patients), size=draws)
    return np.tensordot(times, by_patient, axes=1)


def interval(values: FloatMatrix, *, level: float = 0.95) -> tuple[float, float]:
    """Lower and upper percentile of the draws, (n_draws,), those without a figure left out."""
    there = values[np.isfinite(values)]
    if len(there) == 0:
        return float("nan"), float("nan")
    low, high = np.percentile(there, [50 * (1 - level), 50 * (1 + level)])
    return float(low), float(high)


def _counts(row: IntArray | int, column: IntArray | int) -> IntArray:
    """A matrix with 1 for each pair of row and column."""
    size = N_CLASSES + 1
    cell = np.asarray(np.asarray(row) * size + np.asarray(column), dtype=np.int64)
    return np.bincount(cell, minlength=size * size).reshape(size, size)


def _right(matrix: IntArray) -> IntArray:
    return np.diagonal(matrix[..., :N_CLASSES, :N_CLASSES], axis1=-2, axis2=-1)


def _ratio(part: FloatMatrix | IntArray, whole: FloatMatrix | IntArray) -> FloatMatrix:
    above, below = np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64)
    undefined = np.full(above.shape, np.nan)
    return np.asarray(np.divide(above, below, out=undefined, where=below > 0))

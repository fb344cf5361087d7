"""How good a risk is: whether it ranks, and whether it means what it says. Arrays in, arrays out.

All figures take weights, (..., n): how often each record counts. So a figure of thousands of
bootstrap samples is one call, and that of all records one with weights of 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.ecg.record import IntArray

Floats = NDArray[np.float64]
Figures = NDArray[np.float64]  # (...), NaN where a figure does not exist

CALIBRATION_BINS = 10


def auroc(label: IntArray, score: Floats, weights: Floats) -> Figures:
    """Chance that one with the event scores higher than one without; ties count half.

    label: (n,) 0 or 1; score: (n,); weights: (..., n).
    """
    positive, negative = _by_score(label, score, weights)
    below = np.cumsum(negative, axis=-1) - negative
    pairs = positive.sum(axis=-1) * negative.sum(axis=-1)
    return _ratio((positive * (below + negative / 2)).sum(axis=-1), pairs)


def auprc(label: IntArray, score: Floats, weights: Floats) -> Figures:
    """Average precision: precision at each threshold, by the sensitivity that it adds."""
    positive, negative = (part[..., ::-1] for part in _by_score(label, score, weights))
    found = np.cumsum(positive, axis=-1)
    flagged = found + np.cumsum(negative, axis=-1)
    precision = np.divide(found, flagged, out=np.zeros_like(found), where=flagged > 0)
    return _ratio((precision * positive).sum(axis=-1), positive.sum(axis=-1))


def brier(label: IntArray, risk: Floats, weights: Floats) -> Figures:
    """Mean squared distance of the risk from what happened."""
    return _ratio(weights @ (risk - label) ** 2, weights.sum(axis=-1))


def calibration_error(
    label: IntArray, risk: Floats, weights: Floats, *, n_bins: int = CALIBRATION_BINS
) -> Figures:
    """Expected calibration error: mean distance of risk and frequency, bin by bin.

    Bins hold as many records each, by their risk.
    """
    inside = _membership(calibration_bins(risk, n_bins=n_bins))
    gap = np.abs(weights @ (inside * (risk - label)[:, None]))
    return _ratio(gap.sum(axis=-1), weights.sum(axis=-1))


def calibration_bins(risk: Floats, *, n_bins: int = CALIBRATION_BINS) -> IntArray:
    """(n,) bin of each record, from the lowest risks up; the same risk is in the same bin."""
    order = np.sort(risk)
    edges = np.unique(order[np.arange(1, n_bins) * len(order) // n_bins]) if len(order) else order
    return np.searchsorted(edges, risk, side="right").astype(np.int64)


def operating_points(label: IntArray, risk: Floats, thresholds: Floats) -> IntArray:
    """(n_thresholds, 4): true and false positives, true and false negatives from each threshold.

    A record is flagged when its risk is the threshold or more.
    """
    flagged = risk[None, :] >= thresholds[:, None]
    event = label.astype(bool)[None, :]
    cells = (flagged & event, flagged & ~event, ~flagged & ~event, ~flagged & event)
    return np.stack([np.count_nonzero(cell, axis=1) for cell in cells], axis=1).astype(np.int64)


def drawn_operating_points(
    label: IntArray, risk: Floats, thresholds: Floats, weights: Floats
) -> Floats:
    """The same over samples of the records, (n_samples, n_thresholds, 4).

    weights: (n_samples, n_records), how often each record is in each sample.
    """
    flagged = risk[:, None] >= thresholds[None, :]
    event = label.astype(bool)[:, None]
    cells = (flagged & event, flagged & ~event, ~flagged & ~event, ~flagged & event)
    return np.stack([weights @ cell.astype(np.float64) for cell in cells], axis=2)


def roc_curve(label: IntArray, score: Floats) -> Floats:
    """(n_points, 2): false and true positive rate from (0, 0) to (1, 1), a point a threshold."""
    positive, negative = _by_score(label, score, np.ones(len(label)))
    rates = [np.cumsum(part[::-1]) / max(part.sum(), 1) for part in (negative, positive)]
    return np.concatenate([np.zeros((1, 2)), np.stack(rates, axis=1)])


def wilson(events: int, n: int, *, z: float = 1.959964) -> tuple[float, float]:
    """95 % interval of a share of n (Wilson 1927)."""
    if n == 0:
        return float("nan"), float("nan")
    share, spread = events / n, z * z / n
    middle = share + spread / 2
    half = z * np.sqrt(share * (1 - share) / n + spread / (4 * n))
    return float((middle - half) / (1 + spread)), float((middle + half) / (1 + spread))


def _by_score(label: IntArray, score: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Weights of those with and without the event at each different score, ascending."""
    values, starts = np.unique(np.sort(score), return_index=True)
    order = np.argsort(score, kind="stable")
    event = label[order].astype(np.float64)
    ordered = np.asarray(weights, np.float64)[..., order]
    if len(values) == 0:
        return ordered, ordered
    positive = np.add.reduceat(ordered * event, starts, axis=-1)
    negative = np.add.reduceat(ordered * (1 - event), starts, axis=-1)
    return positive, negative


def _membership(group: IntArray) -> Floats:
    """(n, n_groups) 1 where a record is in a group."""
    inside = np.zeros((len(group), int(group.max()) + 1 if len(group) else 0))
    inside[np.arange(len(group)), group] = 1.0
    return inside


def _ratio(part: Floats, whole: Floats) -> Figures:
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    return np.asarray(np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0))

"""A patient's own ordinary beat, found without labels, and how much each beat is like it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.ecg.record import FloatArray, IntArray
from services.models.ecgbert.spec import R_POINT, WINDOW_POINTS, WINDOW_STEP

MIN_IN_STEP = 20  # fewer beats in step than this, and all beats stand for the ordinary one
MOST_BEATS = 4096  # of a long record, evenly chosen: enough for a median
ROUNDS = 2
_AROUND_QRS = slice(R_POINT - 12, R_POINT + 18)  # 100 ms before R to 150 ms after it
_COMPARED = slice(R_POINT - 24, R_POINT + 42)  # 200 ms before R to 350 ms after it

# parts of the window that are compared with the ordinary beat, in points of 1/120 s around R:
# two views of the P wave, the QRS, the T wave, and nearly all
_PARTS = ((-40, -8), (-32, -12), (-9, 9), (9, 52), (-24, 24))
SIMILARITY_FEATURES = 2 * len(_PARTS) + 2
_FLOOR = 1e-4  # squared units of the ordinary QRS height: what counts as no difference
_STEEP = 0.3  # share of the steepest slope from which a point counts to the QRS


def windows(lead_signals: FloatArray, r_peaks: IntArray) -> FloatArray:
    """The signal around each R peak, (n_beats, n_leads, 120), every third sample.

    lead_signals: (n_leads, n_samples) at 360 Hz, no NaN; beyond its ends the end value is repeated.
    """
    offsets = (np.arange(WINDOW_POINTS) - R_POINT) * WINDOW_STEP
    at = np.clip(r_peaks[:, None] + offsets[None, :], 0, lead_signals.shape[1] - 1)
    return np.ascontiguousarray(lead_signals[:, at].transpose(1, 0, 2), dtype=np.float32)


def ordinary_beat(beats: FloatArray, step: NDArray[np.bool_]) -> FloatArray:
    """The median of the beats that come in step and look like most of those, (n_leads, 120).

    beats: (n_beats, n_leads, 120), at least one; step: (n_beats,) `rhythm.in_step`.
    """
    chosen = beats[step] if step.sum() >= MIN_IN_STEP else beats
    chosen = chosen[:: -(-len(chosen) // MOST_BEATS)]
    median = np.median(chosen, axis=0)
    for _ in range(ROUNDS):
        likeness = correlation(chosen[..., _COMPARED], median[None, :, _COMPARED]).mean(axis=1)
        median = np.median(chosen[likeness >= np.median(likeness)], axis=0)
    return np.asarray(median, dtype=np.float32)


def qrs_height(ordinary: FloatArray) -> FloatArray:
    """Height of the ordinary QRS from its lowest to its highest point, (n_leads,), same unit."""
    return np.asarray(np.ptp(ordinary[:, _AROUND_QRS], axis=-1), dtype=np.float32)


def similarity(beats: FloatArray, ordinary: FloatArray) -> FloatArray:
    """How each beat compares with the ordinary one, (n_beats, n_leads, 12) float32.

    For each part (P wave twice, QRS, T, nearly all): correlation, and logarithm of the mean square
    difference. Then the logarithm of the QRS's spread against the ordinary one's, and its width.
    beats: (n_beats, n_leads, 120), ordinary: (n_leads, 120), both in ordinary QRS heights.
    """
    columns = []
    for first, end in _PARTS:
        part, model = beats[..., R_POINT + first : R_POINT + end], ordinary[None]
        model = model[..., R_POINT + first : R_POINT + end]
        columns.append(correlation(part, model))
        columns.append(np.log((part - model).var(axis=-1) + _FLOOR))
    qrs = slice(R_POINT - 9, R_POINT + 9)
    spread = (beats[..., qrs].std(axis=-1) + 0.01) / (ordinary[None, :, qrs].std(axis=-1) + 0.01)
    columns += [np.log(spread), _width(beats)]
    return np.stack(columns, axis=-1).astype(np.float32)


def correlation(a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.floating]:
    """Pearson's correlation over the last axis; 0 where either is flat."""
    a = a - a.mean(axis=-1, keepdims=True)
    b = b - b.mean(axis=-1, keepdims=True)
    power = (a * a).sum(axis=-1) * (b * b).sum(axis=-1)
    return np.asarray((a * b).sum(axis=-1) / np.sqrt(power + 1e-9))


def _width(beats: FloatArray) -> FloatArray:
    """Points around R that are steep, in tens: a wide QRS is steep for longer."""
    slope = np.abs(np.diff(beats, axis=-1))
    steepest = slope[..., R_POINT - 8 : R_POINT + 8].max(axis=-1, keepdims=True)
    steep = slope[..., _AROUND_QRS] > _STEEP * steepest
    return np.asarray(steep.sum(axis=-1) / 10.0, dtype=np.float32)

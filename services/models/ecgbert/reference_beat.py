"""A patient's own ordinary beat, found without labels, and how much each beat is like it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.ecg.record import FloatArray, IntArray
from services.models.ecgbert.rhythm import running_median
from services.models.ecgbert.spec import R_POINT, WINDOW_POINTS, WINDOW_STEP

MIN_IN_STEP = 20  # fewer beats in step than this, and all beats stand for the ordinary one
MOST_BEATS = 4096  # of a long record, evenly chosen: enough for a median
ROUNDS = 2
MOST_SHIFT = 4  # points of 1/120 s
_STAY = 0.01
_AROUND_QRS = slice(R_POINT - 12, R_POINT + 18)  # 100 ms before R to 150 ms after it
_ALIGNED = slice(R_POINT - 12, R_POINT + 14)  # 100 ms before R to 117 ms after it
_COMPARED = slice(R_POINT - 24, R_POINT + 42)  # 200 ms before R to 350 ms after it

# parts of the window that are compared with the ordinary beat, in points of 1/120 s around R:
# two views of the P wave, the QRS, the T wave, and nearly all
_PARTS = ((-40, -8), (-32, -12), (-9, 9), (9, 52), (-24, 24))
_P_CORRELATION = 2  # column of the similarity features: the closer view of the P wave
SURROUNDINGS_BEATS = (8, 25)  # on either side
SIMILARITY_FEATURES = 2 * len(_PARTS) + 2 + len(SURROUNDINGS_BEATS)
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


def aligned(beats: FloatArray, ordinary: FloatArray) -> FloatArray:
    """The beats, each moved by up to 33 ms to where it correlates best with the ordinary one.

    Detectors and annotators do not put their mark at quite the same place of every beat.
    beats: (n_beats, n_leads, 120), ordinary: (n_leads, 120); all leads of a beat move together.
    """
    shifts = range(-MOST_SHIFT, MOST_SHIFT + 1)
    model = ordinary[None, :, _ALIGNED]
    likeness = [
        correlation(beats[..., _ALIGNED.start + by : _ALIGNED.stop + by], model).mean(axis=1)
        for by in shifts
    ]
    # a beat that correlates no better elsewhere stays where it is
    likeness[MOST_SHIFT] = likeness[MOST_SHIFT] + _STAY
    best = np.argmax(np.stack(likeness), axis=0) - MOST_SHIFT
    at = np.clip(np.arange(WINDOW_POINTS) + best[:, None], 0, WINDOW_POINTS - 1)
    moved = np.take_along_axis(beats, at[:, None, :], axis=-1)
    return np.asarray(moved, dtype=np.float32)


def qrs_height(ordinary: FloatArray) -> FloatArray:
    """Height of the ordinary QRS from its lowest to its highest point, (n_leads,), same unit."""
    return np.asarray(np.ptp(ordinary[:, _AROUND_QRS], axis=-1), dtype=np.float32)


def similarity(beats: FloatArray, ordinary: FloatArray) -> FloatArray:
    """How each beat compares with the ordinary one, (n_beats, n_leads, 14) float32.

    For each part (P wave twice, QRS, T, nearly all): correlation, and logarithm of the mean square
    difference. Then the logarithm of the QRS's spread against the ordinary one's, and its width.
    Last, how well the P waves of the beats around agree with the ordinary one: the running median
    of that correlation, high in sinus rhythm and low in atrial fibrillation.
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
    columns += [_running_median(columns[_P_CORRELATION], n) for n in SURROUNDINGS_BEATS]
    return np.stack(columns, axis=-1).astype(np.float32)


def _running_median(by_lead: NDArray[np.floating], beside: int) -> NDArray[np.floating]:
    """(n_beats, n_leads) in and out."""
    leads = [running_median(lead, beside=beside) for lead in by_lead.T.astype(np.float64)]
    return np.stack(leads, axis=1)


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

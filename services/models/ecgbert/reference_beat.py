"""A patient's own ordinary beat, found without labels, and how much each beat is like it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.ecg.record import FloatArray, IntArray
from services.models.ecgbert.rhythm import running_median
from services.models.ecgbert.spec import R_POINT, WINDOW_POINTS, WINDOW_STEP

MIN_IN_STEP = 20  # fewer beats in step than this, and all beats stand for the ordinary one
MOST_BEATS = 1024  # of a long record, evenly chosen: enough for a median
MOST_GROUPED = 600  # of a record, evenly chosen, to find its shapes of QRS
MOST_GROUPS = 6
ROUNDS = 2
MOST_SHIFT = 4  # points of 1/120 s
_STAY = 0.01
_AROUND_QRS = slice(R_POINT - 12, R_POINT + 18)  # 100 ms before R to 150 ms after it
_ALIGNED = slice(R_POINT - 12, R_POINT + 14)  # 100 ms before R to 117 ms after it
_COMPARED = slice(R_POINT - 24, R_POINT + 42)  # 200 ms before R to 350 ms after it
_BEFORE_QRS = slice(R_POINT - 30, R_POINT - 10)  # 250 to 83 ms before R

# correlations of the QRS from which two beats are of one shape, or too near to make another group
_ALIKE, _NEARLY_ALIKE = 0.9, 0.85
_FEWEST, _SMALLEST_SHARE = 3, 0.04  # beats of a group
_SHARE_FLOOR = 0.02
_WIDTH_WEIGHT = 0.16  # a point: three points more of QRS (25 ms) outweigh 1.6 times the beats
_STEP_WEIGHT = 0.5
_STEEP_TOGETHER = 0.25

# parts of the window that are compared with the ordinary beat, in points of 1/120 s around R:
# two views of the P wave, the QRS, the T wave, and nearly all
_PARTS = ((-40, -8), (-32, -12), (-9, 9), (9, 52), (-24, 24))
P_CORRELATION = 2  # column of the similarity features: the closer view of the P wave
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
    """The beat of the patient's own sinus rhythm as the signal itself tells it, (n_leads, 120).

    Beats fall into groups of one QRS shape. The ordinary group need not be the largest, for every
    second beat of a record may be ectopic: a narrow QRS, a P wave that all beats of the group share
    and beats that come in step speak for it beside its size. The group's median is the answer;
    where there is one group only, that of the beats in step that look like most of those.
    beats: (n_beats, n_leads, 120), at least one; step: (n_beats,) `rhythm.in_step`.
    """
    groups = _groups(beats)
    if len(groups) < 2:
        return _common_beat(beats, step)
    total = sum(len(group) for group in groups)
    worth = [_worth(beats[group], step[group], len(group) / total) for group in groups]
    return np.asarray(np.median(beats[groups[int(np.argmax(worth))]], axis=0), dtype=np.float32)


def _groups(beats: FloatArray) -> list[NDArray[np.int64]]:
    """Indices of beats of one QRS shape, the largest group first; odd ones are in none.

    Each group gathers round the beat that most of those left are like.
    """
    at = np.arange(0, len(beats), -(-len(beats) // MOST_GROUPED))
    qrs = beats[at][..., _AROUND_QRS]
    qrs = (qrs - qrs.mean(axis=-1, keepdims=True)).reshape(len(at), -1)
    qrs = qrs / np.sqrt((qrs * qrs).sum(axis=1, keepdims=True) + 1e-9)
    likeness = qrs @ qrs.T
    left, groups = np.ones(len(at), dtype=bool), []
    for _ in range(MOST_GROUPS):
        alike = ((likeness > _ALIKE) & left).sum(axis=1) * left
        middle = int(alike.argmax())
        if alike[middle] < max(_FEWEST, _SMALLEST_SHARE * len(at)):
            break
        groups.append(at[(likeness[middle] > _ALIKE) & left])
        left &= likeness[middle] <= _NEARLY_ALIKE
    return groups


def _worth(group: FloatArray, step: NDArray[np.bool_], share: float) -> float:
    """How much speaks for a group of beats being the ordinary ones; compared within a record."""
    median = np.median(group, axis=0)
    p_waves = correlation(group[..., _BEFORE_QRS], median[None, :, _BEFORE_QRS]).max(axis=1)
    return float(
        np.log(share + _SHARE_FLOOR)
        - _WIDTH_WEIGHT * _steep_points(median)
        + np.median(p_waves)
        + _STEP_WEIGHT * step.mean()
    )


def _steep_points(beat: FloatArray) -> int:
    """Points around R at which any lead is steep, (n_leads, 120) -> width of the QRS."""
    slope = np.abs(np.diff(beat[:, R_POINT - 20 : R_POINT + 24], axis=-1))
    slope = slope / (slope.max(axis=-1, keepdims=True) + 1e-9)
    together = np.sqrt((slope**2).sum(axis=0))
    return int((together > _STEEP_TOGETHER * together.max()).sum())


def _common_beat(beats: FloatArray, step: NDArray[np.bool_]) -> FloatArray:
    """The median of the beats that come in step and look like most of those, (n_leads, 120)."""
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
    columns += [_running_median(columns[P_CORRELATION], n) for n in SURROUNDINGS_BEATS]
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

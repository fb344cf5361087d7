"""Wide ordinary beats: what a blocked bundle branch makes of a patient's own narrow ones.

Few patients of DS1 have a block, and a network learns of them that a QRS wider than the patient's
ordinary one is ventricular. Here the QRS and the T wave of ordinary beats are changed; their P wave
and the time from it to the QRS stay. Ventricular beats are made in the same way of beats without a
P wave, so that its absence and their time tell them and not their width alone. A patient's block
has one form: each function draws one and gives it to all beats. Training and trials have their own.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from services.ecg.record import FloatArray

# (beats (n, n_leads, points) mV, seconds from R of each point (points,), rng) -> beats, same shape
BlockForm = Callable[[FloatArray, NDArray[np.float64], np.random.Generator], FloatArray]

_ONSET_S, _END_S = -0.055, 0.075  # of a narrow QRS around R
_RISE_S = 0.012  # over which what is changed takes the place of what stays
_AROUND_QRS_S = (-0.1, 0.1)

# for training
_LATE_SHARE = 0.5  # of blocks that add late forces to a narrow QRS; the others slow all of it
_LATE_AT_S, _LATE_WIDTH_S, _LATE_HEIGHT = (0.04, 0.1), (0.012, 0.028), (0.15, 0.9)
_EARLY_LEFT = (0.5, 1.1)
_STRETCH, _SLUR_S, _LEAD_GAIN = (1.3, 2.0), (0.001, 0.012), (0.5, 1.5)
_TURNED = 0.2  # of the leads
_VENTRICULAR_STRETCH, _VENTRICULAR_TURNED = (1.5, 2.3), 0.5
_ST_S, _T_LEFT = 0.04, (-1.2, 1.0)
_T_AT_S, _T_WIDTH_S, _T_HEIGHT = (0.2, 0.34), (0.035, 0.07), (0.0, 0.35)

# for trials
_DELAY_S, _SPREAD_S, _SHARE = (0.04, 0.075), (0.006, 0.016), (0.4, 0.7)
_SECOND_GAIN = (-1.3, 1.3)
_T_LAG_S, _T_BREADTH_S, _T_DEPTH = (0.2, 0.27), 0.045, (0.1, 0.35)


def blocked(beats: FloatArray, time_s: NDArray[np.float64], rng: np.random.Generator) -> FloatArray:
    """For training: late forces after the QRS, or all of it slow; another T wave in either."""
    if rng.random() < _LATE_SHARE:
        return _late_forces(beats, time_s, rng)
    return _slow(beats, time_s, rng, stretch=rng.uniform(*_STRETCH), turned=_TURNED)


def ventricular(
    beats: FloatArray, time_s: NDArray[np.float64], rng: np.random.Generator
) -> FloatArray:
    """For training: a QRS that is slow from its start; beats: ordinary ones without a P wave."""
    stretch = rng.uniform(*_VENTRICULAR_STRETCH)
    return _slow(beats, time_s, rng, stretch=stretch, turned=_VENTRICULAR_TURNED)


def second_ventricle_late(
    beats: FloatArray, time_s: NDArray[np.float64], rng: np.random.Generator
) -> FloatArray:
    """For trials: part of the QRS comes once more, later, slower and seen from another side."""
    size = (1, beats.shape[1], 1)
    step_s = time_s[1] - time_s[0]
    inside = _gate(time_s, _ONSET_S) * (1 - _gate(time_s, _END_S + 0.02))
    qrs, rest = beats * inside, beats * (1 - inside)
    share = rng.uniform(*_SHARE)
    delayed = _later(qrs, round(rng.uniform(*_DELAY_S) / step_s))
    late = gaussian_filter1d(delayed, rng.uniform(*_SPREAD_S) / step_s)
    second = 2 * share * rng.uniform(*_SECOND_GAIN, size=size) * late
    lag = round(rng.uniform(*_T_LAG_S) / step_s)
    area = gaussian_filter1d(_later(second, lag), _T_BREADTH_S / step_s)
    largest = np.abs(area).max(axis=-1, keepdims=True) + 1e-6
    against = area / largest * np.abs(second).max(axis=-1, keepdims=True)
    wide = rest + (1 - share / 2) * qrs + second - rng.uniform(*_T_DEPTH) * against
    return np.asarray(wide, dtype=np.float32)


def _late_forces(
    beats: FloatArray, time_s: NDArray[np.float64], rng: np.random.Generator
) -> FloatArray:
    size = (1, beats.shape[1], 1)
    side = rng.choice((-1.0, 1.0), size=size)
    early = _gate(time_s, _ONSET_S) * (1 - _gate(time_s, _END_S))
    left = 1 + (rng.uniform(*_EARLY_LEFT) - 1) * early
    late = _bump(time_s, rng.uniform(*_LATE_AT_S), rng.uniform(*_LATE_WIDTH_S))
    height = _height(beats, time_s)
    qrs = beats * left + height * side * rng.uniform(*_LATE_HEIGHT, size=size) * late
    return _with_other_t_wave(qrs, height * side, time_s, _END_S, rng)


def _slow(
    beats: FloatArray,
    time_s: NDArray[np.float64],
    rng: np.random.Generator,
    *,
    stretch: float,
    turned: float,
) -> FloatArray:
    """turned: chance that the QRS of a lead points the other way."""
    size = (1, beats.shape[1], 1)
    slowed = _slowed(beats, time_s, stretch)
    slurred = gaussian_filter1d(slowed, rng.uniform(*_SLUR_S) / (time_s[1] - time_s[0]))
    side = np.where(rng.random(size) < turned, -1.0, 1.0)
    before = 1 - _gate(time_s, _ONSET_S * stretch)
    qrs = slowed * before + slurred * side * rng.uniform(*_LEAD_GAIN, size=size) * (1 - before)
    middle = int(np.abs(time_s).argmin())
    up = np.sign(qrs[..., middle : middle + 1].mean(axis=0, keepdims=True))
    return _with_other_t_wave(qrs, _height(beats, time_s) * up, time_s, _END_S * stretch, rng)


def _with_other_t_wave(
    qrs: FloatArray,
    forces: FloatArray,
    time_s: NDArray[np.float64],
    ends_s: float,
    rng: np.random.Generator,
) -> FloatArray:
    """The T wave weaker, stronger or turned, with a share that points against the late forces."""
    size = (1, qrs.shape[1], 1)
    after = _gate(time_s, ends_s + _ST_S)
    against = _bump(time_s, rng.uniform(*_T_AT_S), rng.uniform(*_T_WIDTH_S))
    t_wave = qrs * rng.uniform(*_T_LEFT, size=size)
    t_wave = t_wave - forces * rng.uniform(*_T_HEIGHT, size=size) * against
    return np.asarray(qrs * (1 - after) + t_wave * after, dtype=np.float32)


def _height(beats: FloatArray, time_s: NDArray[np.float64]) -> FloatArray:
    """Of the QRS, between a lead's own and the largest: late forces may be high where it is low."""
    first, last = _AROUND_QRS_S
    own = np.ptp(beats[..., (time_s >= first) & (time_s <= last)], axis=-1, keepdims=True)
    return np.asarray(np.sqrt(own * own.max(axis=1, keepdims=True)), dtype=np.float32)


def _gate(time_s: NDArray[np.float64], at_s: float) -> NDArray[np.float64]:
    """0 before, 1 after, (points,)."""
    return 1 / (1 + np.exp(-4 * (time_s - at_s) / _RISE_S))


def _bump(time_s: NDArray[np.float64], at_s: float, width_s: float) -> NDArray[np.float64]:
    return np.asarray(np.exp(-0.5 * ((time_s - at_s) / width_s) ** 2))


def _slowed(beats: FloatArray, time_s: NDArray[np.float64], stretch: float) -> FloatArray:
    """The QRS drawn out around R; what lies before moves forward, what lies after is pressed."""
    first, last = time_s[0], time_s[-1]
    now = (first, _ONSET_S * stretch, _END_S * stretch, last)
    then = (first - _ONSET_S * (stretch - 1), _ONSET_S, _END_S, last)
    at = (np.interp(time_s, now, then) - first) / (time_s[1] - time_s[0])
    low = np.clip(at.astype(np.int64), 0, len(time_s) - 2)
    share = (at - low).astype(np.float32)
    return np.asarray(beats[..., low] * (1 - share) + beats[..., low + 1] * share)


def _later(beats: NDArray[np.floating], by: int) -> NDArray[np.floating]:
    moved = np.zeros_like(beats)
    moved[..., by:] = beats[..., :-by]
    return moved

"""Rhythms made from beats in sinus rhythm, for training: atrial fibrillation, and atrial ectopy.

DS1 holds two patients in atrial fibrillation, too few to learn from them that an early beat without
a P wave is an ordinary one there; and most of its S beats come from four patients. Beats of other
patients are given the signs of either: other intervals, and what then lies before the QRS.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from services.ecg.labels import AAMI_CLASSES
from services.ecg.record import FloatArray, IntArray
from services.ecg.segmentation import P
from services.models.ecgbert.rhythm import (
    STEP_BEATS,
    irregularity,
    running_median,
)
from services.models.ecgbert.spec import R_POINT, WINDOW_POINTS, WINDOW_RATE_HZ
from services.models.ecgbert.training_set import LabelledShapes

Maker = Callable[[LabelledShapes, np.random.Generator], LabelledShapes]

NORMAL = AAMI_CLASSES.index("N")
SUPRAVENTRICULAR = AAMI_CLASSES.index("S")
VENTRICULAR = AAMI_CLASSES.index("V")
SHORTEST_RR_S, LONGEST_RR_S = 0.33, 1.8
MEAN_RR_S = (0.5, 1.0)  # of a record, drawn between these
RR_SPREAD = (0.15, 0.28)  # of the log of the intervals, drawn between these
WAVE_HZ = (4.0, 9.0)  # fibrillatory waves
WAVE_MV = (0.01, 0.1)
MOSTLY = 0.7
LARGEST_IRREGULARITY = 0.08
EARLY_STARTS = 0.05  # share of beats at which an early beat or a run begins
EARLY_SHARE = (0.5, 0.88)  # of the usual interval
PAUSE_SHARE = (0.95, 1.3)
P_BEFORE_S = (0.1, 0.2)
P_HEIGHT = (-0.12, 0.15)  # of the beat's largest value; near 0 hides it
P_ENDS_S = 0.07  # before R: from here to R the signal is the QRS's and stays
_FADE_POINTS = 5


def made_rhythms(
    records: Sequence[LabelledShapes], makers: Sequence[Maker], *, seed: int
) -> list[LabelledShapes]:
    """What each maker makes of each record in steady sinus rhythm; a seed repeats the beats."""
    steady = [beats for beats in records if _is_steady(beats)]
    return [
        maker(beats, np.random.default_rng([seed, place, *beats.record.encode()]))
        for place, maker in enumerate(makers)
        for beats in steady
    ]


def _is_steady(beats: LabelledShapes) -> bool:
    """Mostly normal beats, at intervals that do not wander as they do in atrial fibrillation."""
    if len(beats.peaks) == 0 or np.mean(beats.label == NORMAL) < MOSTLY:
        return False
    found = irregularity(beats.peaks, sampling_rate_hz=beats.sampling_rate_hz)
    return bool(np.median(found) < LARGEST_IRREGULARITY)


def fibrillating(beats: LabelledShapes, rng: np.random.Generator) -> LabelledShapes:
    """The record's beats with fibrillatory waves for P waves and drawn RR intervals.

    Normal and ventricular beats keep their label; what others would be is not known: -1.
    """
    shapes = beats.shapes
    waves = _fibrillatory(shapes.windows.shape, rng)
    fade = _fade()
    windows = shapes.windows * (1 - fade) + waves * fade
    points = shapes.points.copy()
    p_waves = np.flatnonzero(shapes.kind == P)
    points[:, p_waves] = rng.normal(0, np.mean(WAVE_MV) / 2, points[:, p_waves].shape)
    return replace(
        beats,
        peaks=_irregular(len(beats.peaks), beats.sampling_rate_hz, rng),
        label=np.where(np.isin(beats.label, (NORMAL, VENTRICULAR)), beats.label, -1),
        shapes=replace(
            shapes, windows=windows.astype(np.float32), points=points.astype(np.float32)
        ),
    )


def _fade() -> NDArray[np.float64]:
    """1 where the P wave is, 0 from the QRS on, (120,)."""
    ends = R_POINT - round(P_ENDS_S * WINDOW_RATE_HZ)
    return np.clip((ends - np.arange(WINDOW_POINTS)) / _FADE_POINTS, 0.0, 1.0)


def _fibrillatory(shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
    """Waves of one pace and height a record, of another phase each beat. (n_beats, n_leads, 120)"""
    n_beats, n_leads, points = shape
    time_s = np.arange(points) / WINDOW_RATE_HZ
    pace = rng.uniform(*WAVE_HZ) * np.exp(rng.normal(0, 0.1, (n_beats, 1, 1)))
    height = rng.uniform(*WAVE_MV, (1, n_leads, 1))
    phase = rng.uniform(0, 2 * np.pi, (n_beats, 1, 1))
    return np.asarray(height * np.sin(2 * np.pi * pace * time_s + phase), dtype=np.float32)


def _irregular(n_beats: int, sampling_rate_hz: float, rng: np.random.Generator) -> IntArray:
    mean_s, spread = rng.uniform(*MEAN_RR_S), rng.uniform(*RR_SPREAD)
    intervals_s = mean_s * np.exp(rng.normal(0, spread, n_beats))
    clipped = np.clip(intervals_s, SHORTEST_RR_S, LONGEST_RR_S)
    return np.asarray(np.cumsum(clipped) * sampling_rate_hz, dtype=np.int64)


def ectopic(beats: LabelledShapes, rng: np.random.Generator) -> LabelledShapes:
    """The record with early atrial beats, alone, in pairs and in runs, made of its normal ones.

    An early beat keeps its QRS and T wave. Before them lies what an early beat meets: the end of
    the beat before it, and a P wave of another form or none. Beats that stay keep their label; an
    early beat made of a normal one is S.
    """
    early = _chosen_early(len(beats.peaks), rng) & (beats.label == NORMAL)
    intervals_s = _with_early(beats, early, rng)
    shapes = beats.shapes
    unit = np.abs(np.median(shapes.windows, axis=0)).max(axis=-1)
    ordinary = np.median(shapes.windows[beats.label == NORMAL], axis=0)
    windows = shapes.windows.copy()
    for beat in np.flatnonzero(early):
        windows[beat] = _early_window(windows[beat], ordinary, unit, intervals_s[beat], rng)
    points = shapes.points.copy()
    p_of_early = shapes.waves[early, 1]
    points[:, p_of_early[p_of_early >= 0]] *= rng.uniform(-1.0, 0.6)
    peaks = np.cumsum(intervals_s) * beats.sampling_rate_hz
    return replace(
        beats,
        peaks=np.asarray(peaks, dtype=np.int64),
        label=np.where(early, SUPRAVENTRICULAR, beats.label),
        shapes=replace(shapes, windows=windows, points=points),
    )


def _chosen_early(n_beats: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Single beats mostly, some pairs, a few runs."""
    early = np.zeros(n_beats, dtype=bool)
    starts = np.flatnonzero(rng.random(n_beats) < EARLY_STARTS)
    lengths = rng.choice([1, 2, 6, 40], size=len(starts), p=[0.8, 0.12, 0.06, 0.02])
    for start, length in zip(starts, lengths, strict=True):
        early[start : start + length] = True
    return early


def _with_early(
    beats: LabelledShapes, early: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Interval before each beat, (n_beats,) s: early beats come sooner, the next one does not."""
    before = np.diff(beats.peaks, prepend=beats.peaks[:1] - int(beats.sampling_rate_hz))
    intervals_s = before / beats.sampling_rate_hz
    usual_s = running_median(intervals_s, beside=STEP_BEATS)
    run = np.cumsum(np.diff(early, prepend=False) & early)  # beats of a run are alike early
    share = rng.uniform(*EARLY_SHARE, run.max() + 1)[run] * np.exp(rng.normal(0, 0.03, len(run)))
    pause = rng.uniform(*PAUSE_SHARE, len(run))
    after = np.concatenate([[False], early[:-1]]) & ~early
    made = np.where(early, usual_s * share, np.where(after, usual_s * pause, intervals_s))
    return np.clip(made, SHORTEST_RR_S, None)


def _early_window(
    window: FloatArray,
    ordinary: FloatArray,
    unit: FloatArray,
    interval_s: float,
    rng: np.random.Generator,
) -> FloatArray:
    """(n_leads, 120): the beat's own from the QRS on; before it, the ordinary beat `interval_s`
    earlier, a P wave of another form, and the noise of the beat itself."""
    points = np.arange(WINDOW_POINTS)
    then = points + round(interval_s * WINDOW_RATE_HZ)
    past = np.where(then < WINDOW_POINTS, ordinary[:, np.minimum(then, WINDOW_POINTS - 1)], 0.0)
    at = R_POINT - rng.uniform(*P_BEFORE_S) * WINDOW_RATE_HZ
    bump = np.exp(-0.5 * ((points - at) / rng.uniform(1.5, 3.5)) ** 2)
    p_wave = unit[:, None] * rng.uniform(*P_HEIGHT, (len(unit), 1)) * bump
    noise = window - ordinary
    fade = _fade()
    return np.asarray(window * (1 - fade) + (past + p_wave + noise) * fade, dtype=np.float32)

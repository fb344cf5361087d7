"""Records made of one record's beats as they are: cut into pieces, thinned, and fused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from services.ecg.labels import AAMI_CLASSES
from services.ecg.record import IntArray
from services.models.ecgbert.made.signal import FEWEST_VENTRICULAR
from services.models.ecgbert.training_set import LabelledShapes

NORMAL, VENTRICULAR, FUSION = (AAMI_CLASSES.index(name) for name in "NVF")
FEWEST_ECTOPIC = 12  # of a class, for a thinned record
FEWEST_NORMAL = 100  # for a record with fused beats
FEWEST_OF_A_CUT = 3
MOST_FUSED, FUSED_SHARE = 300, 6  # beats; one in so many of the normal ones
MIXED = (0.3, 0.65)  # how much of a fused beat is ventricular
APART = 3  # points of 1/120 s that the two halves of a fused beat lie apart at most
EARLIER = 0.1  # share of the interval that a fused beat comes early at most


def of_beats(
    beats: LabelledShapes, at: IntArray, *, peaks: IntArray | None = None
) -> LabelledShapes:
    """These beats as a record of their own, at other places where `peaks` has them."""
    shapes = beats.shapes
    waves = shapes.waves[at]
    used = np.unique(waves[waves >= 0])
    place = np.full(shapes.points.shape[1] + 1, -1, dtype=np.int64)  # the last stands for none: -1
    place[used] = np.arange(len(used))
    return replace(
        beats,
        peaks=beats.peaks[at] if peaks is None else peaks,
        label=beats.label[at],
        shapes=replace(
            shapes,
            windows=shapes.windows[at],
            points=shapes.points[:, used],
            kind=shapes.kind[used],
            waves=place[waves],
        ),
    )


def cut_up(beats: LabelledShapes, *, duration_s: float, n_samples: int) -> Iterator[LabelledShapes]:
    """The beats of each whole piece of this length, in turn; pieces with hardly any left out."""
    length = round(duration_s * beats.sampling_rate_hz)
    for start in range(0, n_samples - length + 1, length):
        inside = np.flatnonzero((beats.peaks >= start) & (beats.peaks < start + length))
        if len(inside) >= FEWEST_OF_A_CUT:
            yield of_beats(beats, inside)


def thinned(
    beats: LabelledShapes, classes: tuple[int, ...], rng: np.random.Generator
) -> LabelledShapes | None:
    """Most beats that have no ectopic neighbour taken out, so that ectopic ones are about half.

    Every beat that is left keeps the interval before it. None where too few are of the classes.
    """
    ectopic = np.isin(beats.label, classes)
    if ectopic.sum() < FEWEST_ECTOPIC:
        return None
    before = np.diff(beats.peaks, prepend=beats.peaks[:1] - round(0.8 * beats.sampling_rate_hz))
    near = ectopic | np.append(ectopic[1:], False) | np.append(False, ectopic[:-1])
    kept = np.flatnonzero(near | (rng.random(len(near)) < 0.1 * ectopic.mean()))
    return of_beats(beats, kept, peaks=np.cumsum(before[kept]))


def fused(beats: LabelledShapes, rng: np.random.Generator) -> LabelledShapes | None:
    """Some normal beats become mixtures with the patient's own ventricular ones, of class F.

    All fusion beats of DS1 but a few are of one patient. None where beats of either kind are few.
    """
    wide, normal = (np.flatnonzero(beats.label == kind) for kind in (VENTRICULAR, NORMAL))
    normal = normal[(normal > 0) & (normal < len(beats.peaks) - 1)]
    if len(wide) < FEWEST_VENTRICULAR or len(normal) < FEWEST_NORMAL:
        return None
    count = min(len(normal) // FUSED_SHARE, MOST_FUSED)
    chosen = np.sort(rng.choice(normal, count, replace=False))
    label, peaks, windows = beats.label.copy(), beats.peaks.copy(), beats.shapes.windows.copy()
    share = rng.uniform(*MIXED, (count, 1, 1)).astype(np.float32)
    other = _moved(windows[rng.choice(wide, count)], rng.integers(-APART, APART + 1, count))
    windows[chosen] = (1 - share) * windows[chosen] + share * other
    label[chosen] = FUSION
    interval = beats.peaks[chosen] - beats.peaks[chosen - 1]
    peaks[chosen] -= (rng.uniform(0, EARLIER, count) * interval).astype(np.int64)
    shapes = replace(beats.shapes, windows=windows)
    return replace(beats, peaks=peaks, label=label, shapes=shapes)


def _moved(windows: NDArray[np.float32], by: IntArray) -> NDArray[np.float32]:
    points = windows.shape[-1]
    at = np.clip(np.arange(points) + by[:, None], 0, points - 1)
    return np.take_along_axis(windows, at[:, None, :], axis=-1)

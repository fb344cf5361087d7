"""Which stretches of a signal are QRS complexes, judged over all leads at once.

The steps: each lead is thinned to 110-220 Hz and split into a sharp and a slow band, where narrow
and wide QRS complexes have their energy; each band's envelope is divided by the usual height of its
own beats; the bands of all leads are added, weighted by how far beats stand out in each. Peaks of
that sum are kept when they are tall enough against their neighbors; T waves and small peaks in the
middle of an ordinary interval go, and a gap too long for the rhythm is searched again.

All numbers were chosen on DS1 of the MIT-BIH Arrhythmia Database alone: both leads, either lead by
itself, and both with made noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.ndimage
import scipy.signal
from numpy.typing import NDArray

from services.ecg.envelope import band_envelopes, thinned
from services.ecg.record import FloatArray, IntArray

BoolArray = NDArray[np.bool_]

BANDS_HZ = ((9.0, 30.0), (3.0, 10.0))
SMOOTHED_S = 0.12

# a band's beat height: median over this many stretches of each stretch's largest value
STRETCH_S = 2.0
HEIGHT_STRETCHES = 11
SMALLEST_FLOOR_MV = 2e-3
SMALLEST_HEIGHT_MV = 1e-3
SMALLEST_CONTRAST, LARGEST_CONTRAST = 0.05, 10.0
# a stretch whose largest value is less than this share of the lead's beat height has lost the lead
LOST_SHARE = 0.15
LOST_WEIGHT = 0.01
# a lead is straight where four blocks in a row bend less than any ECG recorder's step
BLOCK_S = 0.25
STRAIGHT_BLOCKS = 4
STRAIGHT_MV = 1e-4
SMALLEST_TOTAL = 1e-6

REFRACTORY_S = 0.25
SMALLEST_PEAK = 0.12
# of the median height of so many beats around
ENOUGH_OF_HEIGHT = 0.36
NEIGHBORS = 25
T_WAVE_S = 0.36
T_WAVE_SHARE = 0.5
# a peak this small against its neighbors, in an interval shorter than two such shares of the usual
SPLITTING_SHARE = 0.7
SPLIT_INTERVAL = 0.65
RHYTHM_BEATS = 9
LONG_GAP = 1.5
ENOUGH_IN_GAP = 0.25


@dataclass(frozen=True)
class QrsPositions:
    """Where QRS complexes are.

    position: (n_beats,) ascending sample indices near the middle of each one's energy.
    clearest_lead: the row of the signal in which beats stand out most.
    """

    position: IntArray
    clearest_lead: int


@dataclass(frozen=True)
class _Candidates:
    """Peaks of the beat sum: (n,) samples at the thinned rate, (n,) heights, 1 for a usual beat."""

    position: IntArray
    height: NDArray[np.float64]
    rate_hz: float


def qrs_positions(signal: FloatArray, *, sampling_rate_hz: float) -> QrsPositions:
    """QRS complexes of a signal without gaps, (n_leads, n_samples) float32 mV, 1 s or longer."""
    slow, step = thinned(signal, sampling_rate_hz=sampling_rate_hz)
    rate_hz = sampling_rate_hz / step
    slow = slow - np.median(slow[:, :: max(1, slow.shape[-1] // 1000)], axis=-1, keepdims=True)
    beat_sum, clearest_lead = _beat_sum(slow, rate_hz)
    peaks, found = scipy.signal.find_peaks(
        beat_sum, height=SMALLEST_PEAK, distance=max(1, round(REFRACTORY_S * rate_hz))
    )
    candidates = _Candidates(peaks, found["peak_heights"].astype(np.float64), rate_hz)
    kept, relative = _tall_enough(candidates)
    kept = _without_t_waves(candidates, kept)
    kept = _without_splitting(candidates, kept, relative)
    kept = _with_gaps_filled(candidates, kept, relative)
    position = candidates.position[kept] * step + step // 2
    return QrsPositions(position=position.astype(np.int64), clearest_lead=clearest_lead)


def _beat_sum(signal: FloatArray, rate_hz: float) -> tuple[FloatArray, int]:
    """One envelope of all leads and bands, (n_samples,), 1 at a usual beat; the clearest lead."""
    bands = [
        band_envelopes(signal, band_hz=band, smoothed_s=SMOOTHED_S, sampling_rate_hz=rate_hz)
        for band in BANDS_HZ
    ]
    envelopes = np.concatenate(bands)
    there = _there(signal, rate_hz)
    if there is not None:
        there = np.tile(there, (len(BANDS_HZ), 1))
    size = min(max(1, round(STRETCH_S * rate_hz)), envelopes.shape[-1])
    height, weight = _heights_and_weights(envelopes, there, size)
    clearest = int(np.argmax(weight[: len(signal)].mean(axis=1)))
    # roots, so that a spike in one lead alone counts less than a beat in both
    roots, n_samples = np.sqrt(envelopes), envelopes.shape[-1]
    gain = _interpolated(weight / np.sqrt(height), size, n_samples)
    if there is None:
        return np.einsum("ij,ij->j", roots, gain) ** 2, clearest
    total = np.einsum("ij,ij->j", _interpolated(weight, size, n_samples), there)
    root_sum = np.einsum("ij,ij,ij->j", roots, gain, there)
    return (root_sum / np.maximum(total, SMALLEST_TOTAL)) ** 2, clearest


def _there(signal: FloatArray, rate_hz: float) -> BoolArray | None:
    """Where each lead holds more than a straight line, the shape of the signal; None: everywhere.

    A lead that came off is flat, a bridged gap is straight; no ECG is either for a second.
    """
    size = max(1, round(BLOCK_S * rate_hz))
    bend = np.abs(np.diff(signal, n=2, prepend=signal[:, :1], append=signal[:, -1:]))
    bent = np.maximum.reduceat(bend, np.arange(0, bend.shape[-1], size), axis=-1) > STRAIGHT_MV
    straight = scipy.ndimage.binary_opening(~bent, structure=np.ones((1, STRAIGHT_BLOCKS)))
    if not straight.any():
        return None
    return np.asarray(~np.repeat(straight, size, axis=-1)[:, : signal.shape[-1]])


def _heights_and_weights(
    envelopes: FloatArray, there: BoolArray | None, size: int
) -> tuple[FloatArray, FloatArray]:
    """Usual beat height and weight of each row in each stretch; a stretch's weights add up to 1."""
    n_rows, n = len(envelopes), envelopes.shape[-1] // size
    stretches = envelopes[:, : n * size].reshape(n_rows, n, size)
    largest = stretches.max(axis=-1)
    known = largest
    if there is not None:
        share = there[:, : n * size].reshape(n_rows, n, size).mean(axis=-1)
        known = _over_gaps(largest, share > 0.5)
    height = scipy.ndimage.median_filter(known, size=(1, HEIGHT_STRETCHES), mode="reflect")
    floor = np.median(stretches[:, :, ::3], axis=-1)
    contrast = height / np.maximum(floor, SMALLEST_FLOOR_MV) - 1
    weight = np.clip(contrast, SMALLEST_CONTRAST, LARGEST_CONTRAST) ** 2
    weight = np.where(largest < LOST_SHARE * height, LOST_WEIGHT * weight, weight)
    return np.maximum(height, SMALLEST_HEIGHT_MV), weight / weight.sum(axis=0)


def _over_gaps(values: FloatArray, known: BoolArray) -> FloatArray:
    """The values with each unknown one taken from the nearest known in its row."""
    filled = values.copy()
    for row, there in zip(filled, known, strict=True):
        at = np.flatnonzero(there)
        if len(at):
            every = np.arange(len(row))
            row[:] = row[at[np.searchsorted((at[1:] + at[:-1]) / 2, every)]]
    return filled


def _interpolated(values: NDArray[np.floating[Any]], size: int, n_samples: int) -> FloatArray:
    """Values in the middle of each stretch -> values at each sample, (n_rows, n_samples)."""
    centers = (np.arange(values.shape[-1]) + 0.5) * size
    at = np.arange(n_samples)
    return np.stack([np.interp(at, centers, row) for row in values]).astype(np.float32)


def _tall_enough(candidates: _Candidates) -> tuple[BoolArray, NDArray[np.float64]]:
    """Which candidates are tall against the kept ones around them; all heights against those."""
    relative = candidates.height
    kept = relative > ENOUGH_OF_HEIGHT
    for _ in range(2):
        relative = candidates.height / _usual_height(candidates, kept)
        kept = relative > ENOUGH_OF_HEIGHT
    return kept, relative


def _usual_height(candidates: _Candidates, kept: BoolArray) -> NDArray[np.float64]:
    """Median height of the kept neighbors of each candidate."""
    if not kept.any():
        return np.ones(len(kept))
    medians = _running_median(candidates.height[kept], NEIGHBORS)
    return np.asarray(np.interp(candidates.position, candidates.position[kept], medians))


def _without_t_waves(candidates: _Candidates, kept: BoolArray) -> BoolArray:
    """Drops a peak that follows or precedes one twice its height within 0.36 s."""
    at = np.flatnonzero(kept)
    height = candidates.height[at]
    near = np.diff(candidates.position[at]) < T_WAVE_S * candidates.rate_hz
    small = np.zeros(len(at), dtype=bool)
    small[1:] |= near & (height[1:] < T_WAVE_SHARE * height[:-1])
    small[:-1] |= near & (height[:-1] < T_WAVE_SHARE * height[1:])
    return _without(kept, at[small])


def _without_splitting(
    candidates: _Candidates, kept: BoolArray, relative: NDArray[np.float64]
) -> BoolArray:
    """Drops a small peak that parts what would be an ordinary interval: noise, not a beat."""
    at = np.flatnonzero(kept)
    if len(at) < 5:
        return kept
    interval = np.diff(candidates.position[at])
    usual = _running_median(interval, RHYTHM_BEATS)[:-1]
    height = relative[at]
    smaller = height[1:-1] < SPLITTING_SHARE * np.minimum(np.minimum(height[:-2], height[2:]), 1)
    splits = interval[:-1] + interval[1:] < 2 * SPLIT_INTERVAL * usual
    return _without(kept, at[1:-1][smaller & splits])


def _with_gaps_filled(
    candidates: _Candidates, kept: BoolArray, relative: NDArray[np.float64]
) -> BoolArray:
    """Takes the tallest peak in each gap that is too long for the rhythm around it."""
    at = np.flatnonzero(kept)
    if len(at) < 4:
        return kept
    position, edges = candidates.position, candidates.position[at]
    interval = np.diff(edges)
    long = interval > LONG_GAP * _running_median(interval, RHYTHM_BEATS)
    gap = np.clip(np.searchsorted(edges, position, side="right") - 1, 0, len(interval) - 1)
    away = T_WAVE_S * candidates.rate_hz
    possible = ~kept & long[gap] & (relative > ENOUGH_IN_GAP)
    possible &= (position - edges[gap] > away) & (edges[gap + 1] - position > away)
    choice = np.flatnonzero(possible)
    tallest_first = choice[np.lexsort((-relative[choice], gap[choice]))]
    _, first = np.unique(gap[tallest_first], return_index=True)
    filled = kept.copy()
    filled[tallest_first[first]] = True
    return filled


def _without(kept: BoolArray, dropped: IntArray) -> BoolArray:
    left = kept.copy()
    left[dropped] = False
    return left


def _running_median(values: NDArray[np.float64] | IntArray, size: int) -> NDArray[np.float64]:
    return np.asarray(scipy.ndimage.median_filter(values, size=size, mode="reflect"))

"""Which stretches of a signal are QRS complexes, judged over all leads at once.

The steps: each lead is thinned to 110-220 Hz and band-passed to where QRS complexes have their
energy; its envelope is divided by the usual height of its own beats; the leads are added, each
weighted by how far its beats stand out of what lies between them. Peaks of that sum are kept when
they are tall enough against their neighbours; T waves go, and a gap that is too long for the rhythm
is searched again. All numbers were chosen on DS1 of the MIT-BIH Arrhythmia Database alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.ndimage
import scipy.signal
from numpy.typing import NDArray

from services.ecg.convolution import convolved, symmetric_taps
from services.ecg.record import FloatArray, IntArray

THINNED_HZ = 110.0
BAND_HZ = (8.0, 20.0)
BAND_ORDER = 2
BAND_HALF_WIDTH_S = 0.5
ENVELOPE_S = 0.12

# a lead's beat height: median over this many stretches of each stretch's largest value
STRETCH_S = 2.0
HEIGHT_STRETCHES = 11
FLOOR_STRETCHES = 3
SMALLEST_FLOOR_MV = 2e-3
SMALLEST_HEIGHT_MV = 1e-3
LARGEST_CONTRAST = 15.0
# a stretch whose largest value is less than this share of the lead's beat height has lost the lead
LOST_SHARE = 0.15
LOST_WEIGHT = 0.01

REFRACTORY_S = 0.22
SMALLEST_PEAK = 0.12
ENOUGH_OF_HEIGHT = 0.38
NEIGHBORS = 15
T_WAVE_S = 0.36
T_WAVE_SHARE = 0.5
LONG_GAP = 1.6
RHYTHM_BEATS = 9
ENOUGH_IN_GAP = 0.2


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
    position: IntArray
    height: NDArray[np.float64]
    sampling_rate_hz: float


def qrs_positions(signal: FloatArray, *, sampling_rate_hz: float) -> QrsPositions:
    """QRS complexes of a signal without gaps, (n_leads, n_samples) float32 mV, 1 s or longer."""
    step = max(1, int(sampling_rate_hz // THINNED_HZ))
    thinned, rate_hz = _thinned(signal, step), sampling_rate_hz / step
    beat_sum, clearest_lead = _beat_sum(_envelopes(thinned, rate_hz), rate_hz)
    peaks, found = scipy.signal.find_peaks(
        beat_sum, height=SMALLEST_PEAK, distance=max(1, round(REFRACTORY_S * rate_hz))
    )
    candidates = _Candidates(peaks, found["peak_heights"].astype(np.float64), rate_hz)
    kept = _tall_enough(candidates)
    position = candidates.position[kept] * step + step // 2
    return QrsPositions(position=position.astype(np.int64), clearest_lead=clearest_lead)


def _thinned(signal: FloatArray, step: int) -> FloatArray:
    """Means of `step` samples: an anti-alias filter good enough below a quarter of the new rate."""
    n = signal.shape[-1] // step
    whole = signal[:, : n * step].reshape(signal.shape[0], n, step)
    return np.asarray(whole.mean(axis=-1), dtype=np.float32)


def _envelopes(signal: FloatArray, rate_hz: float) -> FloatArray:
    """Root of the smoothed power in the QRS band, the shape of the signal."""

    def band(hz: NDArray[np.float64]) -> NDArray[np.float64]:
        rising = (hz / BAND_HZ[0]) ** (2 * BAND_ORDER)
        falling = (hz / BAND_HZ[1]) ** (2 * BAND_ORDER)
        return rising / (1 + rising) / (1 + falling)

    half_width = round(BAND_HALF_WIDTH_S * rate_hz)
    taps = symmetric_taps(band, sampling_rate_hz=rate_hz, half_width=half_width)
    in_band = convolved(signal, taps)
    half = max(1, round(ENVELOPE_S * rate_hz / 2))
    bell = np.hanning(2 * half + 3)[1:-1]
    power = convolved(in_band * in_band, bell / bell.sum())
    return np.sqrt(np.maximum(power, 0, out=power), out=power)


def _beat_sum(envelopes: FloatArray, rate_hz: float) -> tuple[FloatArray, int]:
    """The leads' envelopes in units of their beats' height, weighted and added; its clearest."""
    n_leads, n_samples = envelopes.shape
    size = min(max(1, round(STRETCH_S * rate_hz)), n_samples)
    n = n_samples // size
    stretches = envelopes[:, : n * size].reshape(n_leads, n, size)
    largest = stretches.max(axis=-1)
    height = _running_median(largest, HEIGHT_STRETCHES)
    floor = _running_median(np.median(stretches[:, :, ::3], axis=-1), FLOOR_STRETCHES)
    contrast = height / np.maximum(floor, SMALLEST_FLOOR_MV)
    weight = np.clip(contrast - 1, 0.05, LARGEST_CONTRAST) ** 2
    weight = np.where(largest < LOST_SHARE * height, LOST_WEIGHT * weight, weight)
    weight /= weight.sum(axis=0)
    gain = weight / np.maximum(height, SMALLEST_HEIGHT_MV)
    centers = (np.arange(n) + 0.5) * size
    at = np.arange(n_samples)
    gains = np.stack([np.interp(at, centers, lead) for lead in gain]).astype(np.float32)
    return np.einsum("ij,ij->j", envelopes, gains), int(np.argmax(weight.mean(axis=1)))


def _running_median(values: FloatArray, size: int) -> FloatArray:
    return np.asarray(scipy.ndimage.median_filter(values, size=(1, size), mode="nearest"))


def _tall_enough(candidates: _Candidates) -> NDArray[np.bool_]:
    height = candidates.height
    kept = height > ENOUGH_OF_HEIGHT
    relative = height
    for _ in range(2):
        relative = height / _usual_height(candidates, kept)
        kept = relative > ENOUGH_OF_HEIGHT
    kept = _without_t_waves(candidates, kept)
    return _with_gaps_filled(candidates, kept, relative)


def _usual_height(candidates: _Candidates, kept: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Median height of the kept neighbors of each candidate."""
    if not kept.any():
        return np.ones(len(kept))
    medians = scipy.ndimage.median_filter(candidates.height[kept], size=NEIGHBORS, mode="nearest")
    return np.asarray(np.interp(candidates.position, candidates.position[kept], medians))


def _without_t_waves(candidates: _Candidates, kept: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Drops a peak that follows or precedes one twice its height within 0.36 s."""
    at = np.flatnonzero(kept)
    height = candidates.height[at]
    near = np.diff(candidates.position[at]) < T_WAVE_S * candidates.sampling_rate_hz
    small = np.zeros(len(at), dtype=bool)
    small[1:] |= near & (height[1:] < T_WAVE_SHARE * height[:-1])
    small[:-1] |= near & (height[:-1] < T_WAVE_SHARE * height[1:])
    left = kept.copy()
    left[at[small]] = False
    return left


def _with_gaps_filled(
    candidates: _Candidates, kept: NDArray[np.bool_], relative: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Takes the tallest peak in each gap that is too long for the rhythm around it."""
    at = np.flatnonzero(kept)
    if len(at) < 3:
        return kept
    position, rate_hz = candidates.position, candidates.sampling_rate_hz
    interval = np.diff(position[at])
    usual = scipy.ndimage.median_filter(interval, size=RHYTHM_BEATS, mode="nearest")
    before = np.clip(np.searchsorted(position[at], position, side="right") - 1, 0, len(at) - 2)
    possible = (
        ~kept
        & (interval > LONG_GAP * usual)[before]
        & (relative > ENOUGH_IN_GAP)
        & (position - position[at][before] > T_WAVE_S * rate_hz)
        & (position[at][before + 1] - position > T_WAVE_S * rate_hz)
    )
    choice = np.flatnonzero(possible)
    order = choice[np.lexsort((-relative[choice], before[choice]))]
    _, first = np.unique(before[order], return_index=True)
    filled = kept.copy()
    filled[order[first]] = True
    return filled

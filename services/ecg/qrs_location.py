"""Which sample of a QRS complex is its R peak: the largest deflection of the clearest lead."""

from __future__ import annotations

import numpy as np

from services.ecg.record import FloatArray, IntArray

# a QRS complex, wide ones included, reaches this far from the middle of its energy
REACH_S = (0.08, 0.08)
# its baseline is the median of the signal this far around it
BASELINE_REACH_S = 0.25
# deflections of the record's usual direction count this much more, so that a biphasic complex is
# marked on the same wave each time (chosen on DS1)
USUAL_DIRECTION_GAIN = 1.5


def located_r_peaks(
    signal: FloatArray,
    positions: IntArray,
    *,
    lead: int,
    sampling_rate_hz: float,
    reach_s: tuple[float, float] = REACH_S,
) -> IntArray:
    """The R peak next to each position: (n_beats,) ascending sample indices, no two the same.

    signal: (n_leads, n_samples) without gaps; positions: (n_beats,) ascending, near each QRS
    complex; lead: the row of the signal that is read; reach_s: how far the R peak may lie before
    and after the position.
    """
    if len(positions) == 0:
        return np.empty(0, dtype=np.int64)
    before, after = (max(1, round(side_s * sampling_rate_hz)) for side_s in reach_s)
    around = _windows(signal[lead], positions, round(BASELINE_REACH_S * sampling_rate_hz))
    baseline = np.median(around[:, :: max(1, round(sampling_rate_hz / 100))], axis=1)
    middle = around.shape[1] // 2
    deflection = around[:, middle - before : middle + after + 1] - baseline[:, None]
    upright = np.median(deflection.max(axis=1)) >= np.median(-deflection.min(axis=1))
    usual = deflection if upright else -deflection
    size = np.where(usual > 0, usual * USUAL_DIRECTION_GAIN, -usual)
    at = positions + np.argmax(size, axis=1) - before
    return np.unique(np.clip(at, 0, signal.shape[-1] - 1)).astype(np.int64)


def _windows(lead: FloatArray, positions: IntArray, reach: int) -> FloatArray:
    """(n_beats, 2 * reach + 1) samples around each position, the end values going on outside."""
    padded = np.pad(lead, reach, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)[positions]
    return np.asarray(windows, dtype=np.float32)

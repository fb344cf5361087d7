"""What is taken off a raw signal: mains interference and the wandering of the baseline.

The guide's filters (a 50-60 Hz band stop, baseline removal) with what its code got wrong put right:
cut-offs in Hz whatever the rate, a stop band that holds 50 and 60 Hz inside it, and the slow part
removed rather than kept. Both are zero phase, so no wave moves.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from services.ecg.convolution import FrequencyResponse, convolved, symmetric_taps
from services.ecg.gaps import bridged, gap_mask, with_gaps
from services.ecg.record import FloatArray

# half-power frequencies of the stop band: 50 and 60 Hz lie inside it, more than 25 dB down
STOP_LOW_HZ = 46.5
STOP_HIGH_HZ = 64.5
STOP_ORDER = 3
# half power of the high pass: the customary limit below which the ST segment stays true when the
# filter is zero phase (AHA/ACC/HRS 2007 recommends 0.67 Hz for linear-phase filters)
BASELINE_HZ = 0.5
BASELINE_ORDER = 2

BANDSTOP_MARGIN_S = 0.5
BASELINE_MARGIN_S = 4.0
# a filtered sample depends on nothing farther away than this: the overlap that pieces of a long
# record need for results that do not depend on where it was cut
MARGIN_S = max(BANDSTOP_MARGIN_S, BASELINE_MARGIN_S)


def bandstopped(signal: FloatArray, *, sampling_rate_hz: float) -> FloatArray:
    """The signal without 50 to 60 Hz; a plain copy where `bandstop_not_needed` gives a reason.

    signal: (n_leads, n_samples) float32, any unit; gaps (NaN) are bridged and marked again.
    """
    return _filtered(signal, sampling_rate_hz, (_mains_gain,), BANDSTOP_MARGIN_S)


def without_baseline(signal: FloatArray, *, sampling_rate_hz: float) -> FloatArray:
    """The signal without what is slower than 0.5 Hz: baseline wander and offset.

    signal: (n_leads, n_samples) float32, any unit; gaps (NaN) are bridged and marked again.
    """
    return _filtered(signal, sampling_rate_hz, (_baseline_gain,), BASELINE_MARGIN_S)


def denoised(signal: FloatArray, *, sampling_rate_hz: float) -> FloatArray:
    """`bandstopped` and `without_baseline` in one pass; shapes and gaps as theirs."""
    return _filtered(signal, sampling_rate_hz, (_mains_gain, _baseline_gain), MARGIN_S)


def bandstop_not_needed(sampling_rate_hz: float) -> str | None:
    """Why the band stop leaves a signal of this rate alone, or None where it works."""
    if sampling_rate_hz / 2 > STOP_LOW_HZ:
        return None
    return (
        f"{sampling_rate_hz:g} samples a second hold nothing above {sampling_rate_hz / 2:g} Hz, "
        "so there is no 50-60 Hz band to stop"
    )


def _mains_gain(hz: NDArray[np.float64]) -> NDArray[np.float64]:
    # squared magnitude of an analog Butterworth band stop: what forwards and backwards makes of it
    center_squared = STOP_LOW_HZ * STOP_HIGH_HZ
    distance = hz**2 - center_squared
    width = hz * (STOP_HIGH_HZ - STOP_LOW_HZ)
    return distance ** (2 * STOP_ORDER) / (distance ** (2 * STOP_ORDER) + width ** (2 * STOP_ORDER))


def _baseline_gain(hz: NDArray[np.float64]) -> NDArray[np.float64]:
    ratio = (hz / BASELINE_HZ) ** (2 * BASELINE_ORDER)
    return ratio / (1 + ratio)


def _filtered(
    signal: FloatArray,
    sampling_rate_hz: float,
    gains: tuple[FrequencyResponse, ...],
    margin_s: float,
) -> FloatArray:
    if bandstop_not_needed(sampling_rate_hz):
        gains = tuple(gain for gain in gains if gain is not _mains_gain)
    if not gains or signal.shape[-1] < 2:
        return np.array(signal, dtype=np.float32)
    gaps = gap_mask(signal)
    filled = bridged(signal, gaps)
    # float32 arithmetic on a large offset would lose the small waves
    offset = np.median(filled[:, :: max(1, filled.shape[-1] // 1000)], axis=-1, keepdims=True)
    filled -= offset
    out = convolved(filled, _taps(gains, sampling_rate_hz, margin_s))
    if _baseline_gain not in gains:
        out += offset
    return with_gaps(out, gaps)


@lru_cache(maxsize=32)
def _taps(
    gains: tuple[FrequencyResponse, ...], sampling_rate_hz: float, margin_s: float
) -> NDArray[np.float64]:
    def response(hz: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.prod([gain(hz) for gain in gains], axis=0))

    half_width = max(1, round(margin_s * sampling_rate_hz))
    taps = symmetric_taps(response, sampling_rate_hz=sampling_rate_hz, half_width=half_width)
    if _baseline_gain in gains:
        taps -= taps.sum() / len(taps)  # the cut-off tails must not let the offset through
    return np.asarray(taps)

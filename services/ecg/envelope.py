"""How strong a signal is in a band of frequencies, over time, at a rate enough for beats."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from services.ecg.convolution import convolved, symmetric_taps
from services.ecg.record import FloatArray

THINNED_HZ = 110.0
BAND_ORDER = 2
BAND_HALF_WIDTH_S = 0.5


def thinned(signal: FloatArray, *, sampling_rate_hz: float) -> tuple[FloatArray, int]:
    """Means of `step` neighboring samples, which leave 110 samples a second or more; and the step.

    signal: (n_leads, n_samples). Averaging keeps what would fold into the lower quarter of the new
    band 15 dB down or better, and is many times quicker than a sharper filter.
    """
    step = max(1, int(sampling_rate_hz // THINNED_HZ))
    n = signal.shape[-1] // step
    if step == 1:
        return signal, 1
    # one strided sum after another: numpy's mean over a short last axis is five times slower
    total = signal[:, : n * step : step].copy()
    for offset in range(1, step):
        total += signal[:, offset : n * step : step]
    total *= np.float32(1.0 / step)
    return total, step


def band_envelopes(
    signal: FloatArray, *, band_hz: tuple[float, float], smoothed_s: float, sampling_rate_hz: float
) -> FloatArray:
    """Root of the power in a band, smoothed under a bell `smoothed_s` long; the signal's shape.

    signal: (n_leads, n_samples) without gaps; the result is in the signal's unit.
    """
    in_band = convolved(signal, _band_taps(band_hz, sampling_rate_hz))
    half = max(1, round(smoothed_s * sampling_rate_hz / 2))
    bell = np.hanning(2 * half + 3)[1:-1]
    power = convolved(in_band * in_band, bell / bell.sum())
    return np.sqrt(np.maximum(power, 0, out=power), out=power)


@lru_cache(maxsize=32)
def _band_taps(band_hz: tuple[float, float], sampling_rate_hz: float) -> NDArray[np.float64]:
    def response(hz: NDArray[np.float64]) -> NDArray[np.float64]:
        rising = (hz / band_hz[0]) ** (2 * BAND_ORDER)
        falling = (hz / band_hz[1]) ** (2 * BAND_ORDER)
        return np.asarray(rising / (1 + rising) / (1 + falling))

    half_width = round(BAND_HALF_WIDTH_S * sampling_rate_hz)
    return symmetric_taps(response, sampling_rate_hz=sampling_rate_hz, half_width=half_width)

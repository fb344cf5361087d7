"""The original's denoising, rounding included: a stop at 0.3 Hz and a low pass near 45 Hz."""

from __future__ import annotations

import importlib

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, lfilter

from services.errors import UnusableInput
from services.models.ecgbert.reference.spec import (
    BANDSTOP_HIGH_HZ,
    BANDSTOP_LOW_HZ,
    BANDSTOP_ORDER,
    BASELINE_LEVEL,
    WAVELET,
)

Signal = NDArray[np.float64]


def bandstopped(signal: Signal, *, sampling_rate_hz: float) -> Signal:
    """Each lead through the original's band stop, forwards and backwards. (n_leads, n_samples) mV.

    Quirk 1: the cut-offs are divided by half the sampling rate *and* the rate is given, so at
    360 Hz it stops 0.278 to 0.333 Hz and lets 50 to 60 Hz pass. In float64 and as a transfer
    function on purpose: with poles this near to 1 every other form rounds differently.
    Raises UnusableInput for a signal that is too short to be padded, or that has missing samples.
    """
    half_rate_hz = sampling_rate_hz / 2
    cut_offs = [BANDSTOP_LOW_HZ / half_rate_hz, BANDSTOP_HIGH_HZ / half_rate_hz]
    b, a = butter(BANDSTOP_ORDER, cut_offs, btype="bandstop", fs=sampling_rate_hz)
    padding = 3 * len(a)  # what scipy.signal.filtfilt pads by default
    if signal.shape[-1] <= padding:
        raise UnusableInput(
            f"the signal has {signal.shape[-1]} samples; the reference needs more than {padding}"
        )
    if not np.isfinite(signal).all():
        raise UnusableInput("the signal has missing samples; the reference leaves such records out")
    return np.stack([_there_and_back(b, a, lead, padding) for lead in signal])


def without_details(signal: Signal) -> Signal:
    """The original's "baseline removal", (n_leads, n_samples) mV.

    Quirk 2: it zeroes the wavelet approximation, rebuilds the details from the rest and subtracts
    *those*. What is left is everything below about 45 Hz, the baseline wander included.
    """
    # imported here: whoever only reads the numbers of this package needs no wavelets
    pywt = importlib.import_module("pywt")

    def smooth(lead: Signal) -> Signal:
        coefficients = pywt.wavedec(lead, WAVELET, level=BASELINE_LEVEL)
        coefficients[0] = np.zeros_like(coefficients[0])
        details = pywt.waverec(coefficients, WAVELET)[: len(lead)]
        return np.asarray(lead - details, dtype=np.float64)

    return np.stack([smooth(lead) for lead in signal])


def _there_and_back(b: Signal, a: Signal, lead: Signal, padding: int) -> Signal:
    """scipy.signal.filtfilt with its default padding, and a start state of our own solving."""
    before = 2 * lead[0] - lead[padding:0:-1]
    after = 2 * lead[-1] - lead[-2 : -padding - 2 : -1]
    padded = np.concatenate([before, lead, after])
    start = np.array(_steady_state(b.tolist(), a.tolist()))
    forward, _ = lfilter(b, a, padded, zi=start * padded[0])
    backward, _ = lfilter(b, a, forward[::-1], zi=start * forward[-1])
    return np.asarray(backward[::-1][padding:-padding], dtype=np.float64)


def _steady_state(b: list[float], a: list[float]) -> list[float]:
    """scipy.signal.lfilter_zi by plain Gaussian elimination with partial pivoting.

    scipy leaves this 4 x 4 system to LAPACK, whose kernels for AVX-512 round it otherwise than all
    others do; the poles are so close to 1 that the filtered signal then differs by 7e-7 mV, which
    can flip a rare token. This order of operations gives the golden files' bits everywhere.
    """
    n = len(a) - 1
    rows = [[float(i == j) for j in range(n)] + [b[i + 1] - a[i + 1] * b[0]] for i in range(n)]
    for i in range(n):
        rows[i][0] += a[i + 1]
        if i + 1 < n:
            rows[i][i + 1] -= 1.0
    for k in range(n):
        pivot = max(range(k, n), key=lambda i: abs(rows[i][k]))
        rows[k], rows[pivot] = rows[pivot], rows[k]
        for i in range(k + 1, n):
            factor = rows[i][k] / rows[k][k]
            for j in range(k + 1, n + 1):
                rows[i][j] -= factor * rows[k][j]
    state = [0.0] * n
    for i in reversed(range(n)):
        rest = rows[i][n]
        for j in reversed(range(i + 1, n)):
            rest -= rows[i][j] * state[j]
        state[i] = rest / rows[i][i]
    return state

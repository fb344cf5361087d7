"""Zero-phase filtering of long signals by their frequency response, block by block.

A zero-phase filter is given as its magnitude over frequency. Its impulse response is cut at a
stated half width, so that a filtered sample depends on nothing farther away than that: a long
record may be filtered in pieces that overlap by the half width, with the same result.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from services.ecg.record import FloatArray

FrequencyResponse = Callable[[NDArray[np.float64]], NDArray[np.float64]]

# blocks filtered at a time: enough to keep the processors busy, small enough to bound the memory
BLOCKS_AT_A_TIME = 64
WORKERS = 2


def symmetric_taps(
    response: FrequencyResponse, *, sampling_rate_hz: float, half_width: int
) -> NDArray[np.float64]:
    """Taps of the symmetric filter with this magnitude; shape (2 * half_width + 1,).

    response: gain at each frequency in Hz, real. Its impulse response fades out over its last
    fifth on either side, so a sharp or very low response needs a wide filter.
    """
    n = scipy.fft.next_fast_len(16 * half_width + 16)
    gain = response(scipy.fft.rfftfreq(n, 1.0 / sampling_rate_hz))
    one_side = scipy.fft.irfft(gain, n)[: half_width + 1]
    fade = np.clip((half_width + 1 - np.arange(half_width + 1)) / (0.2 * half_width + 1), 0, 1)
    one_side = one_side * (0.5 - 0.5 * np.cos(np.pi * fade))
    return np.concatenate([one_side[:0:-1], one_side])


def convolved(signal: FloatArray, taps: NDArray[np.float64]) -> FloatArray:
    """The signal under a symmetric filter: same shape, zero phase, float32.

    signal: (n_leads, n_samples) without gaps; it is continued at both ends by its point reflection,
    as `scipy.signal.filtfilt` does.
    """
    half = len(taps) // 2
    n_samples = signal.shape[-1]
    if n_samples == 0:
        return signal.copy()
    n_fft = scipy.fft.next_fast_len(max(8192, 8 * half), real=True)
    step = n_fft - 2 * half
    n_blocks = -(-n_samples // step)
    padded = _reflected(signal, before=half, after=n_blocks * step - n_samples + half)
    spectrum = _spectrum(taps, n_fft)
    out = np.empty((signal.shape[0], n_blocks, step), dtype=np.float32)
    blocks = np.lib.stride_tricks.sliding_window_view(padded, n_fft, axis=-1)[:, ::step]
    for first in range(0, n_blocks, BLOCKS_AT_A_TIME):
        part = slice(first, first + BLOCKS_AT_A_TIME)
        bins = scipy.fft.rfft(blocks[:, part], axis=-1, workers=WORKERS)
        bins *= spectrum
        filtered = scipy.fft.irfft(bins, n_fft, axis=-1, overwrite_x=True, workers=WORKERS)
        out[:, part] = filtered[..., half : half + step]
    return out.reshape(signal.shape[0], -1)[:, :n_samples]


def _spectrum(taps: NDArray[np.float64], n_fft: int) -> FloatArray:
    """The real response of symmetric taps, their middle at time 0."""
    half = len(taps) // 2
    centered = np.zeros(n_fft)
    centered[: half + 1] = taps[half:]
    centered[n_fft - half :] = taps[:half]
    return np.asarray(scipy.fft.rfft(centered).real, dtype=np.float32)


def _reflected(signal: FloatArray, *, before: int, after: int) -> FloatArray:
    """The signal continued by its point reflection, then by the last value reached."""
    n_samples = signal.shape[-1]
    reach = n_samples - 1
    left, right = min(before, reach), min(after, reach)
    head = 2 * signal[:, :1] - signal[:, left:0:-1]
    tail = 2 * signal[:, -1:] - signal[:, n_samples - 2 : n_samples - 2 - right : -1]
    if right == reach:
        tail = 2 * signal[:, -1:] - signal[:, :reach][:, ::-1]
    whole = np.concatenate([head, signal, tail], axis=-1)
    return np.pad(whole, ((0, 0), (before - left, after - right)), mode="edge")

"""How a signal reaches another sampling rate, and sample indices go there and back."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

import numpy as np
import scipy.signal
from numpy.typing import NDArray

from services.ecg.gaps import bridged, gap_mask, with_gaps
from services.ecg.record import FloatArray, IntArray

# a rate such as 257.5 becomes the nearest fraction; over 24 h that is less than a sample away
MAX_DENOMINATOR = 10_000
# the anti-alias filter: zero crossings kept on either side, Kaiser window, pass band edge as a
# share of the lower Nyquist frequency; 60 dB down from that Nyquist frequency on
ZERO_CROSSINGS = 16
KAISER_BETA = 6.0
CUT_OFF = 0.88


def rate_ratio(*, from_hz: float, to_hz: float) -> Fraction:
    """`to_hz` over `from_hz` as a fraction of small whole numbers; both must be positive."""
    if not (from_hz > 0 and to_hz > 0):
        raise ValueError(f"sampling rates must be positive, not {from_hz} and {to_hz}")
    return (Fraction(to_hz) / Fraction(from_hz)).limit_denominator(MAX_DENOMINATOR)


def resampled_length(n_samples: int, *, from_hz: float, to_hz: float) -> int:
    """Samples that `resampled` gives for so many."""
    ratio = rate_ratio(from_hz=from_hz, to_hz=to_hz)
    return -(-n_samples * ratio.numerator // ratio.denominator)


def resampled(signal: FloatArray, *, from_hz: float, to_hz: float) -> FloatArray:
    """The signal at another rate, anti-aliased, without delay: sample 0 stays sample 0.

    signal: (n_leads, n_samples) float32, NaN where missing (NaN in the result over the same time).
    Returns (n_leads, ceil(n_samples * to_hz / from_hz)) float32.
    """
    ratio = rate_ratio(from_hz=from_hz, to_hz=to_hz)
    if ratio == 1 or signal.shape[-1] == 0:
        return np.array(signal, dtype=np.float32)
    gaps = gap_mask(signal)
    out = _polyphase(bridged(signal, gaps), ratio)
    if gaps is None:
        return out
    nearest = indices_at_rate(
        np.arange(out.shape[-1]), from_hz=to_hz, to_hz=from_hz, n_samples=signal.shape[-1]
    )
    return with_gaps(out, gaps[:, nearest])


def indices_at_rate(indices: IntArray, *, from_hz: float, to_hz: float, n_samples: int) -> IntArray:
    """Sample indices at another rate: the nearest sample, clipped to [0, n_samples).

    indices: (n,) at `from_hz`; n_samples: length of the signal at `to_hz`.
    """
    ratio = rate_ratio(from_hz=from_hz, to_hz=to_hz)
    there = np.rint(np.asarray(indices) * (ratio.numerator / ratio.denominator))
    return np.asarray(np.clip(there, 0, max(n_samples - 1, 0)), dtype=np.int64)


def _polyphase(signal: FloatArray, ratio: Fraction) -> FloatArray:
    # a line from the first sample to the last is taken off, so that the ends meet silence
    line = np.linspace(signal[:, 0], signal[:, -1], signal.shape[-1], axis=-1, dtype=np.float32)
    out: FloatArray = scipy.signal.resample_poly(
        signal - line, ratio.numerator, ratio.denominator, axis=-1, window=_low_pass(ratio)
    )
    at = np.arange(out.shape[-1]) * (ratio.denominator / ratio.numerator)
    share = (at / max(signal.shape[-1] - 1, 1)).astype(np.float32)
    out += signal[:, :1] + (signal[:, -1:] - signal[:, :1]) * share
    return out


@lru_cache(maxsize=32)
def _low_pass(ratio: Fraction) -> NDArray[np.float32]:
    slower = max(ratio.numerator, ratio.denominator)
    half_width = ZERO_CROSSINGS * slower
    taps = scipy.signal.firwin(2 * half_width + 1, CUT_OFF / slower, window=("kaiser", KAISER_BETA))
    return np.asarray(taps, dtype=np.float32)

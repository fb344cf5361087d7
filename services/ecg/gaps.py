"""How missing samples (NaN) are bridged before arithmetic on a signal and marked again after it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.ecg.record import FloatArray


def gap_mask(signal: FloatArray) -> NDArray[np.bool_] | None:
    """Where samples are missing or infinite, (n_leads, n_samples) bool; None when none are."""
    # a sum is ten times quicker than a mask, and NaN or infinity anywhere shows in it
    if np.isfinite(signal.sum(axis=-1, dtype=np.float64)).all():
        return None
    return ~np.isfinite(signal)


def bridged(signal: FloatArray, gaps: NDArray[np.bool_] | None) -> FloatArray:
    """A copy of the signal with straight lines over its gaps; a lead that is all gap becomes 0.

    signal, gaps: (n_leads, n_samples); gaps as `gap_mask` returns them.
    """
    filled = np.array(signal, dtype=np.float32)
    if gaps is None:
        return filled
    for lead, missing in zip(filled, gaps, strict=True):
        _bridge_lead(lead, missing)
    return filled


def _bridge_lead(lead: FloatArray, missing: NDArray[np.bool_]) -> None:
    present = np.flatnonzero(~missing)
    if len(present) == 0:
        lead[:] = 0.0
    elif len(present) < len(lead):
        where = np.flatnonzero(missing)
        lead[where] = np.interp(where, present, lead[present])


def with_gaps(signal: FloatArray, gaps: NDArray[np.bool_] | None) -> FloatArray:
    """The signal with NaN at its gaps. Works in place: for an array of the caller's own making."""
    if gaps is not None:
        signal[gaps] = np.nan
    return signal

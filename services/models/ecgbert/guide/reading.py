"""A record on its way to sentences: cleaned, its waves found, each wave given its token.

What training and prediction have in common; both read a record in exactly this way.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.ecg import filtering
from services.ecg.record import FloatArray, IntArray
from services.ecg.resampling import resampled
from services.ecg.rpeaks import OWN_METHOD, r_peaks
from services.ecg.segmentation import (
    P_BEFORE_QRS_S,
    QRS,
    QRS_HALF_WIDTH_S,
    T_AFTER_QRS_S,
    WaveIntervals,
    wave_intervals,
)
from services.models.ecgbert.clusters import Clusters, wave_points
from services.models.ecgbert.spec import SAMPLING_RATE_HZ, TOKEN_POINTS

SMALLEST_HEIGHT_MV = 0.01  # a QRS lower than this is no beat's


def cleaned(signal: FloatArray, *, sampling_rate_hz: float) -> FloatArray:
    """Without mains interference and baseline wander, at 360 Hz; missing samples as zeros.

    signal: (n_leads, n_samples) float32 mV.
    """
    clean = filtering.denoised(
        np.asarray(signal, dtype=np.float32), sampling_rate_hz=sampling_rate_hz
    )
    clean = resampled(clean, from_hz=sampling_rate_hz, to_hz=SAMPLING_RATE_HZ)
    return np.nan_to_num(clean, copy=False)


def missing_around(
    signal: FloatArray, beats: IntArray, *, sampling_rate_hz: float
) -> NDArray[np.bool_]:
    """(n_beats,) whether a lead lacks samples within a beat's P, QRS or T: it then teaches nothing.

    signal: (n_leads, n_samples) as it was read, NaN where missing. beats: samples of the same rate.
    """
    missing = np.concatenate([[0], np.cumsum(np.isnan(signal).any(axis=0))])
    before_s, after_s = QRS_HALF_WIDTH_S + P_BEFORE_QRS_S, QRS_HALF_WIDTH_S + T_AFTER_QRS_S
    bounds = [beats - round(before_s * sampling_rate_hz), beats + round(after_s * sampling_rate_hz)]
    first, end = (np.clip(bound, 0, signal.shape[1]) for bound in bounds)
    return np.asarray(missing[end] > missing[first])


def peaks_and_waves(
    clean: FloatArray, *, method: str = OWN_METHOD
) -> tuple[IntArray, WaveIntervals]:
    """R peaks of the record and the waves around them, the same for all leads.

    clean: (n_leads, n_samples) of `cleaned`, preferred lead first.
    """
    peaks = r_peaks(clean, sampling_rate_hz=SAMPLING_RATE_HZ, method=method)
    waves = wave_intervals(peaks, n_samples=clean.shape[1], sampling_rate_hz=SAMPLING_RATE_HZ)
    return peaks, waves


def wave_ids(lead: NDArray[np.floating], waves: WaveIntervals, clusters: Clusters) -> IntArray:
    """Token of each wave of a lead, (n_waves,). lead: (n_samples,) mV at 360 Hz."""
    points_of = _first_points if clusters.points == "first" else spread_points
    return clusters.tokens(points_of(lead, waves), waves.kind)


def spread_points(lead: NDArray[np.floating], waves: WaveIntervals) -> FloatArray:
    """Ten points of each wave in units of the lead's ordinary QRS height, (n_waves, 10)."""
    points = wave_points(np.asarray(lead, dtype=np.float32)[None], waves)[0]
    return np.asarray(points / np.float32(qrs_height_mv(lead, waves)))


def qrs_height_mv(lead: NDArray[np.floating], waves: WaveIntervals) -> float:
    """What lies between the ends of a lead's QRS, mV: the median over its beats."""
    chosen = np.flatnonzero(waves.kind == QRS)
    if not len(chosen):
        return SMALLEST_HEIGHT_MV
    bounds = np.stack([waves.start[chosen], waves.end[chosen]], axis=1).reshape(-1)
    padded = np.append(lead, lead[-1:])  # the bound behind the last must be an index too
    height = np.maximum.reduceat(padded, bounds)[::2] - np.minimum.reduceat(padded, bounds)[::2]
    return max(float(np.median(height)), SMALLEST_HEIGHT_MV)


def _first_points(lead: NDArray[np.floating], waves: WaveIntervals) -> NDArray[np.float64]:
    """The first ten samples of each wave, mV, zeros behind a shorter one: (n_waves, 10)."""
    at = waves.start[:, None] + np.arange(TOKEN_POINTS)
    samples = lead[np.minimum(at, len(lead) - 1)].astype(np.float64)
    return np.where(at < waves.end[:, None], samples, 0.0)

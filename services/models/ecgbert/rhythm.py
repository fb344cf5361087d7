"""What the timing of a beat says of it: RR intervals against the patient's own rhythm."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.ecg.record import FloatArray, IntArray

SHORTEST_RR_S = 0.1
LONGEST_RR_S = 4.0
NEAR_BEATS = 5  # on either side: the running median of 11 intervals
FAR_BEATS = 25  # on either side: 51 intervals, most of a minute
# runs of early beats move medians, and the slower intervals remain the sinus rhythm's
AROUND_BEATS = 60  # on either side; every third interval is enough
AROUND_STEP = 3
QUARTILES = (0.25, 0.75)
SLOWEST = 0.9
SLOW_AROUND = 0.8

# names of the columns, in order; all are natural logarithms, so a ratio is a difference
RHYTHM_FEATURES = (
    "pre", "post", "pre_pre", "post_post",
    "pre_to_near", "post_to_near", "pre_to_far", "post_to_far", "pre_to_record", "post_to_record",
    "pre_pre_to_far", "post_post_to_far", "pre_to_post", "pre_to_pre_pre", "post_to_post_post",
    "near", "far", "record", "irregularity",
    "pre_to_slow", "pre_to_slowest", "record_spread", "pre_to_slow_around", "spread_around",
)  # fmt: skip
ABSOLUTE_FEATURES = tuple(
    RHYTHM_FEATURES.index(name)
    for name in ("pre", "post", "pre_pre", "post_post", "near", "far", "record")
)


def rr_intervals_s(r_peaks: IntArray, *, sampling_rate_hz: float) -> NDArray[np.float64]:
    """Interval before each beat, then after the last: (n_beats + 1,) seconds.

    Both ends, which nothing precedes or follows, are given the record's median interval.
    """
    between = np.diff(r_peaks) / sampling_rate_hz
    median = float(np.median(between)) if len(between) else 1.0
    around = np.concatenate([[median], between, [median]])
    return np.asarray(np.clip(around, SHORTEST_RR_S, LONGEST_RR_S))


def running_median(values: NDArray[np.float64], *, beside: int) -> NDArray[np.float64]:
    """Median over each value and `beside` on either side; the ends are repeated. Same shape."""
    padded = np.pad(values, beside, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * beside + 1)
    return np.asarray(np.median(windows, axis=1))


def rhythm_features(r_peaks: IntArray, *, sampling_rate_hz: float) -> FloatArray:
    """RHYTHM_FEATURES of each beat, (n_beats, 24) float32, natural logarithms of seconds or ratios.

    r_peaks: (n_beats,) ascending sample indices. Sources: de Chazal 2004 for intervals against
    local and record means (medians here, which ectopic beats do not move); search for the rest.
    """
    if len(r_peaks) == 0:
        return np.empty((0, len(RHYTHM_FEATURES)), dtype=np.float32)
    log_rr = np.log(rr_intervals_s(r_peaks, sampling_rate_hz=sampling_rate_hz))
    pre, post = log_rr[:-1], log_rr[1:]
    pre_pre = np.concatenate([pre[:1], pre[:-1]])
    post_post = np.concatenate([post[1:], post[-1:]])
    near = running_median(pre, beside=NEAR_BEATS)
    far = running_median(pre, beside=FAR_BEATS)
    record = np.full_like(pre, np.median(pre))
    irregularity = running_median(np.abs(pre - far), beside=FAR_BEATS)
    columns = (
        pre, post, pre_pre, post_post,
        pre - near, post - near, pre - far, post - far, pre - record, post - record,
        pre_pre - far, post_post - far, pre - post, pre - pre_pre, post - post_post,
        near, far, record, irregularity, *_against_slow(pre),
    )  # fmt: skip
    return np.stack(columns, axis=1).astype(np.float32)


def _against_slow(pre: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """The last five features, each (n_beats,): against quantiles of the record and of 2 minutes."""
    low, slow, slowest = np.quantile(pre, (*QUARTILES, SLOWEST))
    padded = np.pad(pre, AROUND_BEATS, mode="edge")
    width = 2 * AROUND_BEATS + 1
    around = np.lib.stride_tricks.sliding_window_view(padded, width)[:, ::AROUND_STEP]
    low_around, high_around, slow_around = np.quantile(around, (*QUARTILES, SLOW_AROUND), axis=1)
    spread = np.full_like(pre, slow - low)
    return pre - slow, pre - slowest, spread, pre - slow_around, high_around - low_around


def in_step(
    r_peaks: IntArray, *, sampling_rate_hz: float, within: float = 0.15
) -> NDArray[np.bool_]:
    """Whether a beat comes in the patient's step, neither early nor before a pause: (n_beats,)."""
    features = rhythm_features(r_peaks, sampling_rate_hz=sampling_rate_hz)
    names = ("pre_to_far", "post_to_far")
    off = np.abs(features[:, [RHYTHM_FEATURES.index(name) for name in names]])
    return np.asarray((off < within).all(axis=1))

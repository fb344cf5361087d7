"""What the timing of a beat says of it: RR intervals against the patient's own rhythm."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.ecg.record import FloatArray, IntArray

SHORTEST_RR_S = 0.1
LONGEST_RR_S = 4.0
# intervals on either side: 11, 41 and 81 of them
NEAR_BEATS, FAR_BEATS, WIDE_BEATS = 5, 20, 40
STEP_BEATS = 25  # on either side, for `in_step`
CHANGE = 0.08  # of the log of the interval: more than the breath's
LARGEST_CHANGE = 0.3

# names of the columns, in order; natural logarithms of ratios but for the two of irregularity
RHYTHM_FEATURES = (
    "pre_to_record", "post_to_record", "pre_to_near", "post_to_near",
    "pre_to_far", "post_to_far", "pre_to_wide", "post_to_wide",
    "post_to_pre", "pre_to_pre_pre", "post_post_to_post",
    "pre_pre_to_far", "post_post_to_far", "pre_pre_to_record", "post_post_to_record",
    "change", "changes", "median_to_record", "pre_to_median", "near_to_record", "far_to_record",
)  # fmt: skip


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


def running_mean(values: NDArray[np.float64], *, beside: int) -> NDArray[np.float64]:
    """Mean over each value and as many of `beside` on either side as there are. Same shape."""
    at = np.arange(len(values))
    first, end = np.maximum(at - beside, 0), np.minimum(at + beside + 1, len(values))
    total = np.concatenate([[0.0], np.cumsum(values)])
    return np.asarray((total[end] - total[first]) / (end - first))


def rhythm_features(r_peaks: IntArray, *, sampling_rate_hz: float) -> FloatArray:
    """RHYTHM_FEATURES of each beat, (n_beats, 21) float32: no interval in seconds among them.

    r_peaks: (n_beats,) ascending sample indices. Intervals are compared with means, as de Chazal
    2004 has it, not with medians: where early beats are the most, the median interval is theirs,
    and pauses still lengthen the mean. Source of the rest: search.
    """
    if len(r_peaks) == 0:
        return np.empty((0, len(RHYTHM_FEATURES)), dtype=np.float32)
    around = rr_intervals_s(r_peaks, sampling_rate_hz=sampling_rate_hz)
    intervals = around[:-1]
    pre, post = np.log(around[:-1]), np.log(around[1:])
    pre_pre, post_post = np.append(pre[:1], pre[:-1]), np.append(post[1:], post[-1:])
    near, far, wide = (
        np.log(running_mean(intervals, beside=beside))
        for beside in (NEAR_BEATS, FAR_BEATS, WIDE_BEATS)
    )
    record = np.full_like(pre, np.log(intervals.mean()))
    median = np.full_like(pre, np.median(pre))
    change = np.abs(pre - pre_pre)
    columns = (
        pre - record, post - record, pre - near, post - near,
        pre - far, post - far, pre - wide, post - wide,
        post - pre, pre - pre_pre, post_post - post,
        pre_pre - far, post_post - far, pre_pre - record, post_post - record,
        running_mean(np.minimum(change, LARGEST_CHANGE), beside=FAR_BEATS),
        running_mean((change > CHANGE).astype(np.float64), beside=FAR_BEATS),
        median - record, pre - median, near - record, far - record,
    )  # fmt: skip
    return np.stack(columns, axis=1).astype(np.float32)


def irregularity(r_peaks: IntArray, *, sampling_rate_hz: float) -> NDArray[np.float64]:
    """How far intervals lie from those around, a median over 51: (n_beats,) of log ratios."""
    interval, usual = _against_usual(r_peaks, sampling_rate_hz)
    return running_median(np.abs(interval - usual)[:-1], beside=STEP_BEATS)


def in_step(
    r_peaks: IntArray, *, sampling_rate_hz: float, within: float = 0.15
) -> NDArray[np.bool_]:
    """Whether a beat comes in the patient's step, neither early nor before a pause: (n_beats,)."""
    interval, usual = _against_usual(r_peaks, sampling_rate_hz)
    usual = usual[:-1]
    early, late = np.abs(interval[:-1] - usual), np.abs(interval[1:] - usual)
    return np.asarray((early < within) & (late < within))


def _against_usual(
    r_peaks: IntArray, sampling_rate_hz: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Log intervals, (n_beats + 1,), and the medians of the 51 around each."""
    intervals = np.log(rr_intervals_s(r_peaks, sampling_rate_hz=sampling_rate_hz))
    usual = running_median(intervals[:-1], beside=STEP_BEATS)
    return intervals, np.append(usual, usual[-1:])

"""Whether two recordings show the same heart beats: how alike the stretch is that both cover."""

from __future__ import annotations

import numpy as np
import scipy.ndimage

from services.ecg.leads import standard_name
from services.ecg.record import EcgRecord, FloatArray
from services.ecg.resampling import resampled

RATE_HZ = 100.0
STRETCH_S = 30.0  # of the shared part, from its middle
SHORTEST_S = 4.0
BASELINE_S = 0.6
SHIFT = 3  # samples of RATE_HZ to either side, for beats found a little apart
LEADS_COMPARED = 3
# between crops of MIT-BIH records and those records (95 % above) and other records whose beats fall
# together by chance (all below 0.90): tests/services/ecg/test_same_waveform.py
SAME = 0.94


def likeness(first: EcgRecord, second: EcgRecord, *, lag_s: float) -> float:
    """Correlation over the shared stretch, 1 for copies whatever their gain; NaN if too short.

    lag_s: what is at `t` in the first is at `t - lag_s` in the second. Leads of the same name are
    compared, the least alike of them counts; where no name is shared, the most alike two leads do.
    """
    start = max(0.0, lag_s)
    end = min(first.duration_s, second.duration_s + lag_s)
    if end - start < SHORTEST_S:
        return float("nan")
    middle, length = (start + end) / 2, min(end - start, STRETCH_S)
    begin = middle - length / 2
    shared = _shared_leads(first, second)
    if shared:
        one = _coarse(first, [i for i, _ in shared], begin, length)
        other = _coarse(second, [i for _, i in shared], begin - lag_s, length)
        return min(_best_correlation(a, b) for a, b in zip(one, other, strict=True))
    one = _coarse(first, list(first.ecg_lead_indices[:LEADS_COMPARED]), begin, length)
    other = _coarse(second, list(second.ecg_lead_indices[:LEADS_COMPARED]), begin - lag_s, length)
    return max((_best_correlation(a, b) for a in one for b in other), default=float("nan"))


def _shared_leads(first: EcgRecord, second: EcgRecord) -> list[tuple[int, int]]:
    there = {standard_name(second.lead_names[i]): i for i in second.ecg_lead_indices}
    pairs = [
        (i, there[name])
        for i in first.ecg_lead_indices
        if (name := standard_name(first.lead_names[i])) in there
    ]
    return pairs[:LEADS_COMPARED]


def _coarse(record: EcgRecord, leads: list[int], start_s: float, length_s: float) -> FloatArray:
    """(n_leads, n) of a stretch at RATE_HZ, without baseline."""
    first = max(0, round(start_s * record.sampling_rate_hz))
    last = first + round(length_s * record.sampling_rate_hz)
    stretch = np.nan_to_num(np.asarray(record.signal[leads, first:last], np.float32))
    coarse = resampled(stretch, from_hz=record.sampling_rate_hz, to_hz=RATE_HZ)
    width = round(BASELINE_S * RATE_HZ)
    return np.asarray(coarse - scipy.ndimage.uniform_filter1d(coarse, width, axis=-1))


def _best_correlation(first: FloatArray, second: FloatArray) -> float:
    n = min(len(first), len(second))
    shifts = range(-SHIFT, SHIFT + 1)
    pairs = [(first[max(0, s) : n + min(0, s)], second[max(0, -s) : n - max(0, s)]) for s in shifts]
    return max(_correlation(a.astype(np.float64), b.astype(np.float64)) for a, b in pairs)


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    a, b = first - first.mean(), second - second.mean()
    power = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / power if power > 0 else 0.0

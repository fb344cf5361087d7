"""Which detected beat stands for which reference beat, by ANSI/AAMI EC57."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.ecg.record import Annotations, IntArray

WINDOW_S = 0.15  # ANSI/AAMI EC57:2012, beat-by-beat comparison


@dataclass(frozen=True)
class BeatMatch:
    """One-to-one pairs of reference and detected beats, as positions in the matched arrays.

    of_reference: (n_reference,) position of its detected beat, -1 when it was missed.
    of_detected:  (n_detected,) position of its reference beat, -1 when it is false.
    """

    of_reference: IntArray
    of_detected: IntArray

    @property
    def true_positives(self) -> int:
        """Reference beats that were found."""
        return int(np.count_nonzero(self.of_reference >= 0))

    @property
    def false_negatives(self) -> int:
        """Reference beats that were missed."""
        return int(np.count_nonzero(self.of_reference < 0))

    @property
    def false_positives(self) -> int:
        """Detections that stand for no reference beat."""
        return int(np.count_nonzero(self.of_detected < 0))


def matched_beats(
    reference: IntArray,
    detected: IntArray,
    *,
    sampling_rate_hz: float,
    window_s: float = WINDOW_S,
) -> BeatMatch:
    """Pairs each reference beat with the detection nearest to it, at most `window_s` away.

    reference, detected: (n,), (m,) ascending sample indices. Two beats pair when each is the
    other's nearest; what is left over pairs among itself in the same way. Ties go to the earlier
    one. Counts agree with `wfdb.processing.compare_annotations`, whose window excludes its border.
    """
    reference = np.asarray(reference, dtype=np.int64)
    detected = np.asarray(detected, dtype=np.int64)
    window = window_s * sampling_rate_hz + 1e-6
    of_reference = np.full(len(reference), -1, dtype=np.int64)
    of_detected = np.full(len(detected), -1, dtype=np.int64)
    while True:
        left_r, left_d = np.flatnonzero(of_reference < 0), np.flatnonzero(of_detected < 0)
        pair_r, pair_d = _mutual_nearest(reference[left_r], detected[left_d], window)
        if len(pair_r) == 0:
            return BeatMatch(of_reference=of_reference, of_detected=of_detected)
        of_reference[left_r[pair_r]] = left_d[pair_d]
        of_detected[left_d[pair_d]] = left_r[pair_r]


def flutter_stretches(annotations: Annotations) -> IntArray:
    """(n, 2) first and last sample of each stretch of ventricular flutter or fibrillation.

    They lie between the marks `[` and `]`; one that never ends reaches to the last annotation.
    """
    symbols = np.array(annotations.symbol, dtype="U4")
    starts, ends = annotations.sample[symbols == "["], annotations.sample[symbols == "]"]
    if len(starts) == 0:
        return np.empty((0, 2), dtype=np.int64)
    padded = np.append(ends, annotations.sample[-1])
    closing = padded[np.minimum(np.searchsorted(ends, starts), len(ends))]
    return np.stack([starts, closing], axis=1)


def inside(samples: IntArray, stretches: IntArray) -> NDArray[np.bool_]:
    """Which samples lie in one of the stretches, both of whose ends count. Shape (n,) bool."""
    after_start = np.searchsorted(stretches[:, 0], samples, side="right")
    after_end = np.searchsorted(stretches[:, 1], samples, side="left")
    return np.asarray(after_start > after_end)


def _mutual_nearest(
    reference: IntArray, detected: IntArray, window: float
) -> tuple[IntArray, IntArray]:
    if len(reference) == 0 or len(detected) == 0:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    nearest_d = _nearest(reference, detected)
    nearest_r = _nearest(detected, reference)
    at = np.arange(len(reference))
    good = (nearest_r[nearest_d] == at) & (np.abs(detected[nearest_d] - reference) <= window)
    return at[good], nearest_d[good]


def _nearest(of: IntArray, among: IntArray) -> IntArray:
    """Position in `among` nearest to each of `of`; the earlier one of two equally near."""
    after = np.clip(np.searchsorted(among, of), 1, max(len(among) - 1, 1))
    if len(among) == 1:
        return np.zeros(len(of), dtype=np.int64)
    before = after - 1
    return np.where(of - among[before] <= among[after] - of, before, after).astype(np.int64)

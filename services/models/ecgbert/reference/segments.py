"""P, QRS, T and background segments with the original's borders, and the samples it slices there.

Everywhere else in Ectopy intervals are half-open. Here `end` is the original's: the last sample of
the slice, so neighbours share one (quirk 4). `first` and `last` are what is really sliced.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.ecg.record import IntArray
from services.ecg.segmentation import BACKGROUND, QRS, P, T
from services.models.ecgbert.reference.spec import (
    P_BEFORE_QRS_S,
    QRS_HALF_WIDTH_S,
    SEGMENTATION_RATE_HZ,
    T_AFTER_QRS_S,
)

# 18, 36 and 54 samples, at 360 Hz whatever the record's rate is (quirk 5)
QRS_HALF_WIDTH = int(QRS_HALF_WIDTH_S * SEGMENTATION_RATE_HZ)
P_LENGTH = int(P_BEFORE_QRS_S * SEGMENTATION_RATE_HZ)
T_LENGTH = int(T_AFTER_QRS_S * SEGMENTATION_RATE_HZ)


@dataclass(frozen=True)
class WaveSlices:
    """The waves of one lead in the order of their tokens.

    start, end: (n_waves,) the original's borders, before anything is swapped or clamped.
    kind: (n_waves,) P 0, QRS 1, T 2, background 3.
    first, last: (n_waves,) first and last sample of the slice, last **included**.
    """

    start: IntArray
    end: IntArray
    kind: IntArray
    first: IntArray
    last: IntArray

    def __len__(self) -> int:
        return len(self.start)


def wave_segments(peaks: IntArray, *, n_samples: int) -> tuple[IntArray, ...]:
    """P, QRS, T and background borders, four arrays (n, 2), clipped to [0, n_samples].

    peaks: (n_beats,), at least one. Background runs from 0 to the first P, from each T's end to the
    next P, and from the last T's end to the end. Quirk 8: where beats are closer than 0.35 s it
    starts after its end, and stays so.
    """
    r = np.asarray(peaks, dtype=np.int64)[:, None]
    before, after = -QRS_HALF_WIDTH, QRS_HALF_WIDTH
    waves = [
        np.clip(r + np.array(offsets), 0, n_samples)
        for offsets in ((before - P_LENGTH, before), (before, after), (after, after + T_LENGTH))
    ]
    silent = np.stack([np.append(0, waves[T][:, 1]), np.append(waves[P][:, 0], n_samples)], axis=1)
    return (*waves, silent)


def wave_slices(segments: tuple[IntArray, ...], *, n_samples: int) -> WaveSlices:
    """The waves in the order of the sentence, and what is sliced for each.

    Ordered by the unswapped start; waves that start together in the order P, QRS, T, background.
    Borders are clamped to the last sample; a background that starts after its end is swapped
    (quirk 8).
    """
    borders = np.concatenate(segments)
    kind = np.repeat([P, QRS, T, BACKGROUND], [len(part) for part in segments])
    order = np.argsort(borders[:, 0], kind="stable")
    borders, kind = borders[order], kind[order]
    inside = np.minimum(borders, n_samples - 1)
    return WaveSlices(
        start=borders[:, 0],
        end=borders[:, 1],
        kind=kind,
        first=inside.min(axis=1),
        last=inside.max(axis=1),
    )


def slice_means(lead: NDArray[np.float64], slices: WaveSlices) -> NDArray[np.float64]:
    """Mean of each slice, (n_waves,) mV: the "signal" that the network is given for a token."""
    bounds = np.stack([slices.first, slices.last + 1], axis=1).reshape(-1)
    # a sample more, because the bound behind the last one must be an index too
    sums = np.add.reduceat(np.append(lead, 0.0), bounds)[::2]
    return np.asarray(sums / (slices.last + 1 - slices.first), dtype=np.float64)

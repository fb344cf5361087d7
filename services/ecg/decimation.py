"""Which few samples stand for a long signal in a drawing: each stretch's smallest and largest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from services.ecg.record import FloatArray, IntArray

# samples of one lead in memory at a time, so that a mapped record is read in passing
CHUNK_SAMPLES = 1 << 20


@dataclass(frozen=True)
class MinMaxEnvelope:
    """Points to draw.

    sample: (n_leads, n_points) ascending sample indices in the signal that was given.
    value: (n_leads, n_points) float32 the signal there, NaN where a whole stretch is missing.
    """

    sample: IntArray
    value: FloatArray


def min_max_envelope(signal: FloatArray, *, max_points: int) -> MinMaxEnvelope:
    """At most `max_points` points a lead that keep every extreme; all samples if they are no more.

    signal: (n_leads, n_samples) float32, may be a memory map and hold NaN. The signal is cut into
    stretches of equal length; each gives its smallest and its largest sample in order of time.
    Raises ValueError for fewer than 2 points.
    """
    if max_points < 2:
        raise ValueError(f"an envelope needs at least 2 points, not {max_points}")
    n_leads, n_samples = signal.shape
    if n_samples <= max_points:
        every = np.broadcast_to(np.arange(n_samples), (n_leads, n_samples))
        return MinMaxEnvelope(sample=every.astype(np.int64), value=np.array(signal, np.float32))
    size = -(-n_samples // (max_points // 2))
    chosen = [np.concatenate(list(_extremes(lead, size))) for lead in signal]
    sample = np.stack(chosen) if chosen else np.empty((0, 0), dtype=np.int64)
    if n_samples % size == 1:
        sample = sample[:, :-1]  # the last stretch is one sample, both smallest and largest
    value = np.stack([lead[at] for lead, at in zip(signal, sample, strict=True)])
    return MinMaxEnvelope(sample=sample, value=value.astype(np.float32))


def _extremes(lead: FloatArray, size: int) -> Iterator[IntArray]:
    """Indices of each stretch's extremes, in order of time, chunk by chunk."""
    chunk = max(1, CHUNK_SAMPLES // size) * size
    for start in range(0, len(lead), chunk):
        part = np.asarray(lead[start : start + chunk], dtype=np.float32)
        rows = np.pad(part, (0, -len(part) % size), constant_values=np.nan).reshape(-1, size)
        missing = np.isnan(rows)
        lowest = np.argmin(np.where(missing, np.inf, rows), axis=1)
        # the last of equals, so that a flat stretch gives its first and its last sample
        highest = size - 1 - np.argmax(np.where(missing, -np.inf, rows)[:, ::-1], axis=1)
        pairs = np.sort(np.stack([lowest, highest], axis=1), axis=1)
        at = pairs + (start + np.arange(len(rows)) * size)[:, None]
        yield np.minimum(at, len(lead) - 1).reshape(-1).astype(np.int64)

"""Where P, QRS, T and background lie around the R peaks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from services.ecg.record import IntArray

P, QRS, T, BACKGROUND = range(4)
WAVE_NAMES = ("P", "QRS", "T", "BG")

# ECGBERT fine-tuning guide, step 2
QRS_HALF_WIDTH_S = 0.05
P_BEFORE_QRS_S = 0.10
T_AFTER_QRS_S = 0.15


@dataclass(frozen=True)
class WaveIntervals:
    """Intervals in ascending order, touching, none empty, together covering [0, n_samples).

    start, end: (n,) sample indices, half-open [start, end).
    kind: (n,) P 0, QRS 1, T 2, background 3.
    beat: (n,) index of the R peak that the wave belongs to, -1 for background.
    """

    start: IntArray
    end: IntArray
    kind: IntArray
    beat: IntArray

    def __len__(self) -> int:
        return len(self.start)


def wave_intervals(r_peaks: IntArray, *, n_samples: int, sampling_rate_hz: float) -> WaveIntervals:
    """P, QRS, T and background intervals around each R peak.

    r_peaks: (n_beats,) ascending sample indices in [0, n_samples). The intervals are half-open and
    clipped to the signal; together they cover [0, n_samples). Waves of beats that are too close
    meet halfway, and what that leaves empty is dropped. Offsets: fine-tuning guide, step 2 (QRS
    50 ms either side of R, P 100 ms before it, T 150 ms after it).
    """
    borders = _wave_borders(np.asarray(r_peaks, dtype=np.int64), n_samples, sampling_rate_hz)
    n_beats = borders.shape[1]
    start = np.concatenate([*borders[:3], [0], borders[3]])
    end = np.concatenate([*borders[1:], borders[0], [n_samples]])
    kind = np.repeat(np.arange(4), [n_beats, n_beats, n_beats, n_beats + 1])
    beat = np.concatenate([np.tile(np.arange(n_beats), 3), np.full(n_beats + 1, -1)])
    kept = np.flatnonzero(end > start)
    order = kept[np.argsort(start[kept], kind="stable")]
    return WaveIntervals(start=start[order], end=end[order], kind=kind[order], beat=beat[order])


def _wave_borders(r_peaks: IntArray, n_samples: int, sampling_rate_hz: float) -> IntArray:
    """Start of P, of QRS, end of QRS, of T: (4, n_beats), kept within each beat's own stretch."""
    half_s = QRS_HALF_WIDTH_S
    offsets_s = np.array([-half_s - P_BEFORE_QRS_S, -half_s, half_s, half_s + T_AFTER_QRS_S])
    offsets = np.rint(offsets_s * sampling_rate_hz).astype(np.int64)
    borders = r_peaks[None, :] + offsets[:, None]
    meeting = _meeting_points(r_peaks, borders)
    first = np.concatenate([[0], meeting])[: len(r_peaks)]
    last = np.concatenate([meeting, [n_samples]])[: len(r_peaks)]
    clipped: IntArray = np.clip(borders, first, last)
    return clipped


def _meeting_points(r_peaks: IntArray, borders: IntArray) -> IntArray:
    """Where each beat's stretch ends and the next one's begins, (n_beats - 1,)."""
    p_start, qrs_start, qrs_end, t_end = borders
    halfway = (t_end[:-1] + p_start[1:]) // 2
    between_qrs = np.clip(halfway, qrs_end[:-1], qrs_start[1:])
    # QRS complexes that would overlap (RR under 100 ms) part in the middle between their R peaks
    overlap = qrs_end[:-1] > qrs_start[1:]
    meeting = np.where(overlap, (r_peaks[:-1] + r_peaks[1:] + 1) // 2, between_qrs)
    return np.asarray(meeting, dtype=np.int64)

"""What predictors return: plain arrays and numbers, no torch."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from services.ecg.record import IntArray


@dataclass(frozen=True)
class BeatResult:
    """One label a beat.

    sample: (n_beats,) ascending int64, R peaks in the record's own sampling rate.
    labels: the class names that a column of `probabilities` stands for.
    probabilities: (n_beats, n_labels) float32, each row sums to 1.
    label_index: (n_beats,) int64 into `labels`.
    leads_used: names of the leads that the model read.
    unreadable: (n_beats,) bool, beats inside stretches whose signal is too poor to judge.
    notes: what a person should know (a lead left out, a stretch unreadable).
    """

    sampling_rate_hz: float
    leads_used: tuple[str, ...]
    labels: tuple[str, ...]
    sample: IntArray
    label_index: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    unreadable: NDArray[np.bool_]
    notes: tuple[str, ...] = field(default=())

    def counts(self) -> dict[str, int]:
        """Beats a label, every label present."""
        found = np.bincount(self.label_index, minlength=len(self.labels))
        return {name: int(found[i]) for i, name in enumerate(self.labels)}

    def mean_heart_rate_bpm(self) -> float | None:
        """60 over the mean RR interval; None with fewer than two beats."""
        if len(self.sample) < 2:
            return None
        span_s = float(self.sample[-1] - self.sample[0]) / self.sampling_rate_hz
        return 60.0 * (len(self.sample) - 1) / span_s if span_s > 0 else None


@dataclass(frozen=True)
class RiskResult:
    """One risk a record, and one for each window it came from.

    synthetic: made with weights that have learned nothing; the figures are no risk.
    """

    risk: float
    logit: float
    threshold: float
    calibrated: bool
    window_start_s: NDArray[np.float64]
    window_risk: NDArray[np.float64]
    notes: tuple[str, ...] = field(default=())
    synthetic: bool = False

    @property
    def label(self) -> str:
        """`high` from the threshold on, else `low`."""
        return "high" if self.risk >= self.threshold else "low"

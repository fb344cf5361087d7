"""What a model said about a record, as the writers of files take it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from services.ecg.record import FloatArray, IntArray

RESEARCH_USE = "Research use only. Not a medical device."


@dataclass(frozen=True)
class BeatFindings:
    """Labelled beats.

    sample: (n,) ascending int64, R peaks in the record's own rate. labels: n class names.
    probabilities: (n,) of the label given. classes: every class that the model knows, in order.
    leads_used: what the model read. model: `name@version`.
    """

    sample: IntArray
    labels: tuple[str, ...]
    probabilities: FloatArray
    classes: tuple[str, ...]
    leads_used: tuple[str, ...]
    model: str
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not len(self.sample) == len(self.labels) == len(self.probabilities):
            raise ValueError("as many labels and probabilities as beats are needed")

    def counts(self) -> dict[str, int]:
        """Beats a class, every class present."""
        return {name: self.labels.count(name) for name in self.classes}

    def mean_heart_rate_bpm(self, sampling_rate_hz: float) -> float | None:
        """60 over the mean RR interval; None with fewer than two beats."""
        steps = np.diff(self.sample)
        return 60.0 * sampling_rate_hz / float(steps.mean()) if len(steps) else None


@dataclass(frozen=True)
class RiskFinding:
    """One risk, its threshold, and whether the probability is calibrated. model: `name@version`."""

    risk: float
    threshold: float
    is_calibrated: bool
    model: str
    notes: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """`high` from the threshold on."""
        return "high" if self.risk >= self.threshold else "low"


def distinct(notes: Sequence[str]) -> list[str]:
    """Each note once, in order."""
    return list(dict.fromkeys(notes))

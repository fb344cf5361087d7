"""Bootstrap by patient: how often each patient is drawn, and intervals of what comes of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.ecg.record import IntArray
from services.evaluation.beats import interval

DRAWS = 2000
SEED = 0


@dataclass(frozen=True)
class Sampled:
    """A figure over all patients, and the same over each bootstrap sample of them, (n_draws,)."""

    value: float
    draws: NDArray[np.float64]

    def as_json(self) -> dict[str, Any]:
        """The value with its 95 % interval; null for what does not exist."""
        low, high = interval(self.draws)
        return {"value": plain(self.value), "low": plain(low), "high": plain(high)}

    def minus(self, other: Sampled) -> Sampled:
        """The paired difference: both over the same samples of the same patients."""
        return Sampled(self.value - other.value, self.draws - other.draws)


def drawn_patients(
    patients: Sequence[str], *, draws: int = DRAWS, seed: int = SEED
) -> tuple[IntArray, IntArray]:
    """How many times each patient is in each sample, and whose each record is.

    Returns (draws, n_patients) and (n_records,) indices into its columns: as many patients as
    there are, with replacement, all records of a patient together.
    """
    _, member = np.unique(np.array(patients), return_inverse=True)
    n_patients = int(member.max()) + 1
    generator = np.random.default_rng(seed)
    even = np.full(n_patients, 1 / n_patients)
    return generator.multinomial(n_patients, even, size=draws), np.asarray(member, np.int64)


def plain(value: float) -> float | None:
    """For JSON: a figure that does not exist is null."""
    return float(value) if math.isfinite(value) else None


def verdict(difference: Sampled, *, larger_is_better: bool = True) -> str:
    """`better` or `worse` where the interval of a difference leaves out 0, else `no different`."""
    low, high = interval(difference.draws)
    if not (math.isfinite(low) and math.isfinite(high)) or low <= 0 <= high:
        return "no different"
    return "better" if (low > 0) == larger_is_better else "worse"

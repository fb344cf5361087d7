"""Samples as 16-bit whole numbers, at a scale that keeps what most recorders can tell apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.ecg.record import EcgRecord, FloatArray
from services.errors import UnusableInput

HIGHEST = 32000

# Counts a unit. 1000 and 200 are the usual ones, and those above 1000 are multiples of both, so
# what was stored at one of them comes back exactly. What the highest count stands for is a whole
# number of units, in seven digits: EDF has room for eight characters and would round others.
_GAINS = (16000.0, 8000.0, 4000.0, 2000.0, 1000.0, 200.0, 100.0, 50.0, 20.0, 10.0, 5.0, 2.0, 1.0)
_COARSE_GAINS = (0.1, 0.01)


@dataclass(frozen=True)
class Scale:
    """Counts a unit of one lead."""

    gain: float

    @property
    def physical_max(self) -> int:
        """What the highest count stands for."""
        return round(HIGHEST / self.gain)

    def counts(self, lead: FloatArray, *, missing: int) -> NDArray[np.int16]:
        """(n,) counts; `missing` for NaN."""
        wide = np.asarray(lead, dtype=np.float64) * self.gain
        return np.where(np.isnan(wide), missing, np.rint(wide)).astype(np.int16)


def scales(record: EcgRecord) -> tuple[Scale, ...]:
    """The finest scale that holds each lead; UnusableInput for a lead that none holds."""
    return tuple(
        _scale(name, lead) for name, lead in zip(record.lead_names, record.signal, strict=True)
    )


def _scale(name: str, lead: FloatArray) -> Scale:
    lowest, highest = np.fmin.reduce(lead), np.fmax.reduce(lead)
    peak = 0.0 if np.isnan(highest) else float(max(abs(lowest), abs(highest)))
    for gain in (*_GAINS, *_COARSE_GAINS):
        if peak * gain <= HIGHEST:
            return Scale(gain)
    raise UnusableInput(f"lead {name} reaches {peak:g}, too much for a file of 16 bits")

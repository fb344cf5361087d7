"""What an ECG recording is to the rest of the code: arrays, lead names, units, a rate."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]

MILLIVOLT = "mV"


@dataclass(frozen=True)
class Annotations:
    """Reference annotations that came with a record.

    sample: (n,) ascending int64, indices in the record's own rate, 0 is the first sample.
    symbol: n annotation symbols of the WFDB table (`N`, `V`, `+`, ...).
    note:   n auxiliary strings, empty where there is none (`(AFIB`, ...).
    """

    sample: IntArray
    symbol: tuple[str, ...]
    note: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.sample) != len(self.symbol):
            raise ValueError("as many annotation samples as symbols are needed")
        if self.note and len(self.note) != len(self.symbol):
            raise ValueError("as many annotation notes as symbols are needed")

    def __len__(self) -> int:
        return len(self.sample)


@dataclass(frozen=True)
class EcgRecord:
    """One recording.

    signal: (n_leads, n_samples) float32, in each lead's `units`; ECG leads are always millivolts,
            NaN where a sample is missing. May be a read-only memory map.
    lead_names: standard names where they are known (`II`, `MLII`, `V1`), else as the file has them.
    units: one a lead: `mV` for an ECG, otherwise what the file says (`mmHg`).
    sampling_rate_hz: of every lead.
    """

    signal: FloatArray
    lead_names: tuple[str, ...]
    sampling_rate_hz: float
    units: tuple[str, ...] = ()
    name: str = ""
    format: str = ""
    annotations: Annotations | None = None
    start_time: datetime | None = None
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.signal.ndim != 2:
            raise ValueError("signal must have the shape (n_leads, n_samples)")
        if len(self.lead_names) != self.signal.shape[0]:
            raise ValueError("as many lead names as leads are needed")
        if not self.units:
            object.__setattr__(self, "units", (MILLIVOLT,) * self.signal.shape[0])
        if len(self.units) != self.signal.shape[0]:
            raise ValueError("as many units as leads are needed")
        if not self.sampling_rate_hz > 0:
            raise ValueError("sampling_rate_hz must be positive")

    @property
    def n_leads(self) -> int:
        """Rows of the signal."""
        return int(self.signal.shape[0])

    @property
    def n_samples(self) -> int:
        """Samples of each lead."""
        return int(self.signal.shape[1])

    @property
    def duration_s(self) -> float:
        """Seconds from the first sample to the end of the last."""
        return self.n_samples / self.sampling_rate_hz

    @property
    def ecg_lead_indices(self) -> tuple[int, ...]:
        """The leads that hold a voltage; what is in other units is not an ECG."""
        return tuple(i for i, unit in enumerate(self.units) if unit == MILLIVOLT)

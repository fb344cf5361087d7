"""Which leads of a record the model reads, and where they can be read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.ecg.leads import similar_standard_lead
from services.ecg.quality import (
    lead_faults,
    quality_notes,
    readable_seconds,
    require_usable_lead,
    unreadable_beats,
)
from services.ecg.record import EcgRecord, FloatArray, IntArray
from services.errors import UnusableInput
from services.models.ecgbert.spec import MAX_LEADS, MIN_DURATION_S

# the leads of the database that the model is trained on first: most like lead II, then like V1
PREFERRED = ("II", "V1", "V5", "V2", "I", "V4", "V3", "V6", "aVF", "aVR", "III", "aVL")


@dataclass(frozen=True)
class ChosenLeads:
    """rows: of the signal, at most two, the preferred one first. notes: why others are not."""

    rows: tuple[int, ...]
    notes: tuple[str, ...]

    def signal(self, record: EcgRecord) -> FloatArray:
        """(n_leads, n_samples): the record's own array, unread, where it is all of it."""
        if self.rows == tuple(range(record.n_leads)):
            return record.signal
        return record.signal[list(self.rows)]


def readable_leads(record: EcgRecord) -> ChosenLeads:
    """The leads to read; UnusableInput when the record is too short or no ECG lead is usable."""
    if record.duration_s < MIN_DURATION_S:
        raise UnusableInput(
            f"the record lasts {record.duration_s:.2f} s; beats need at least {MIN_DURATION_S:g} s"
        )
    rows = record.ecg_lead_indices
    ecg = record.signal if len(rows) == record.n_leads else record.signal[list(rows)]
    faults = {
        rows[f.lead]: f.reason for f in lead_faults(ecg, sampling_rate_hz=record.sampling_rate_hz)
    }
    usable = [row for row in rows if row not in faults] or list(require_usable_lead(record))
    order = sorted(usable, key=lambda row: _rank(record.lead_names[row]))
    notes = tuple(f"lead {record.lead_names[row]} {reason}" for row, reason in faults.items())
    return ChosenLeads(tuple(order[:MAX_LEADS]), notes)


def poor_stretches(
    record: EcgRecord, leads: ChosenLeads, peaks: IntArray
) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """Which beats lie where the chosen leads cannot be read, (n_beats,), and notes on them."""
    rate_hz = record.sampling_rate_hz
    readable = readable_seconds(leads.signal(record), sampling_rate_hz=rate_hz)
    names = [record.lead_names[row] for row in leads.rows]
    notes = quality_notes(names, (), readable)
    return unreadable_beats(peaks, readable, sampling_rate_hz=rate_hz), notes


def _rank(name: str) -> int:
    known = similar_standard_lead(name)
    return PREFERRED.index(known) if known in PREFERRED else len(PREFERRED)

"""Whether a record that was read holds an ECG that anything can be said about."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from services.ecg.readers.base import Limits, listed
from services.ecg.record import EcgRecord, FloatArray
from services.errors import UnusableInput

MOST_CREDIBLE_MILLIVOLTS = 1e9  # more than any 32-bit sample at a usual gain can be


def usable(record: EcgRecord, *, limits: Limits) -> EcgRecord:
    """The record, with a note for each lead that is empty or flat.

    UnusableInput: shorter than `limits.min_duration_s`, no ECG lead, or none with a signal in it.
    """
    if record.duration_s < limits.min_duration_s:
        raise UnusableInput(
            f"the record lasts {record.duration_s:.3g} s ({record.n_samples} samples at "
            f"{record.sampling_rate_hz:g} Hz), at least {limits.min_duration_s:g} s are needed"
        )
    if not record.ecg_lead_indices:
        channels = [f"{n} ({u})" for n, u in zip(record.lead_names, record.units, strict=True)]
        raise UnusableInput(f"there is no ECG lead, in volts, among {listed(channels)}")
    return replace(record, notes=record.notes + _lead_notes(record))


def _lead_notes(record: EcgRecord) -> tuple[str, ...]:
    extremes = {i: _extremes(record.signal[i]) for i in record.ecg_lead_indices}
    for i, found in extremes.items():
        _check_credible(record.lead_names[i], found)
    faults = {i: fault for i, found in extremes.items() if (fault := _fault(found))}
    notes = tuple(f"lead {record.lead_names[i]} {fault}" for i, fault in faults.items())
    if len(faults) == len(record.ecg_lead_indices):
        raise UnusableInput(f"no ECG lead holds a signal: {'; '.join(notes[:12])}")
    return notes


@dataclass(frozen=True)
class _Extremes:
    """Of the samples that are not missing; NaN where all are."""

    lowest: np.float32
    highest: np.float32


def _extremes(lead: FloatArray) -> _Extremes:
    return _Extremes(np.fmin.reduce(lead), np.fmax.reduce(lead))


def _check_credible(name: str, found: _Extremes) -> None:
    """A scale or a sample that was damaged, found before it reaches a model."""
    for extreme in (found.lowest, found.highest):
        if abs(extreme) > MOST_CREDIBLE_MILLIVOLTS:  # False for NaN
            raise UnusableInput(
                f"lead {name} has a sample of {extreme:g} mV: its samples or scale are damaged"
            )


def _fault(found: _Extremes) -> str:
    """What is wrong with a lead as a whole, or nothing."""
    if np.isnan(found.lowest):
        return "has no valid sample, all are missing"
    if found.lowest == found.highest:
        return f"is flat, every sample is {found.lowest:g}"
    return ""

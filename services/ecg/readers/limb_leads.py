"""The limb leads that a device did not store because I and II determine them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from services.ecg.leads import DERIVED_LIMB_LEADS, derived_limb_leads, lead_indices
from services.ecg.record import MILLIVOLT, EcgRecord


def with_derived_limb_leads(record: EcgRecord) -> EcgRecord:
    """The record, with those of III, aVR, aVL and aVF that it lacks behind its own leads."""
    there = lead_indices(record.lead_names)
    missing = [name for name in DERIVED_LIMB_LEADS if name not in there]
    if not missing or not {"I", "II"} <= there.keys():
        return record
    if {record.units[there["I"]], record.units[there["II"]]} != {MILLIVOLT}:
        return record
    with np.errstate(invalid="ignore", over="ignore"):  # damaged samples are found later
        derived = derived_limb_leads(record.signal[there["I"]], record.signal[there["II"]])
    return replace(
        record,
        signal=np.vstack([record.signal, *(derived[name] for name in missing)]),
        lead_names=(*record.lead_names, *missing),
        units=(*record.units, *(MILLIVOLT for _ in missing)),
        notes=(*record.notes, f"derived from leads I and II: {', '.join(missing)}"),
    )

"""A made record and what a model could have said about it."""

from __future__ import annotations

from datetime import datetime

import numpy as np

from services.ecg.leads import STANDARD_12
from services.ecg.record import Annotations, EcgRecord
from services.ecg.writers.findings import BeatFindings, RiskFinding

RATE_HZ = 250.0


def made_record(n_leads: int = 2, *, n_samples: int = 5000, rate_hz: float = RATE_HZ) -> EcgRecord:
    """Leads of the standard twelve, a beat every 0.8 s, in steps of 1/200 mV."""
    phase_s = np.arange(n_samples) / rate_hz % 0.8
    beat = np.exp(-(((phase_s - 0.36) / 0.02) ** 2)) + 0.2 * np.exp(
        -(((phase_s - 0.6) / 0.05) ** 2)
    )
    signal = np.round(np.outer(1 + np.arange(n_leads) / 10, beat) * 200) / 200
    return EcgRecord(
        signal=signal.astype(np.float32),
        lead_names=STANDARD_12[:n_leads],
        sampling_rate_hz=rate_hz,
        name="made 1",
        start_time=datetime(2026, 3, 2, 13, 5),  # noqa: DTZ001
        annotations=Annotations(
            sample=np.array([90, 290, 490]), symbol=("N", "V", "+"), note=("", "", "(AFIB")
        ),
        notes=("made",),
    )


def made_beats(record: EcgRecord) -> BeatFindings:
    """N, S, V, F, Q and again, at the R peaks."""
    step = round(0.8 * record.sampling_rate_hz)
    sample = np.arange(round(0.36 * record.sampling_rate_hz), record.n_samples, step)
    labels = tuple("NSVFQ"[i % 5] for i in range(len(sample)))
    return BeatFindings(
        sample=sample,
        labels=labels,
        probabilities=np.full(len(sample), 0.9, dtype=np.float32),
        classes=tuple("NSVFQ"),
        leads_used=("II",),
        model="ecgbert@3",
        notes=("lead I was flat",),
    )


def made_risk(risk: float = 0.23, *, is_calibrated: bool = False) -> RiskFinding:
    return RiskFinding(risk, 0.2, is_calibrated, "deepecg@1", ("one window",))

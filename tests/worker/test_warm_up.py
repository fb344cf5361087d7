"""The trial record passes every stage of both tasks."""

from __future__ import annotations

from services.models.deepecg.windows import WindowSpec, risk_windows
from services.models.ecgbert.leads import readable_leads
from services.models.ecgbert.preparation import detected_peaks
from worker.warm_up import trial_record


def test_the_trial_record_has_windows_for_the_risk() -> None:
    assert len(risk_windows(trial_record(), window=WindowSpec()).signal) == 6


def test_the_trial_record_has_beats() -> None:
    record = trial_record()
    peaks = detected_peaks(record, readable_leads(record), method="ectopy")
    assert abs(len(peaks) - 75) <= 2

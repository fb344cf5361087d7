"""Which column of the signal the original applies a lead's R peaks to."""

from __future__ import annotations

import numpy as np
import pytest

from services.models.ecgbert.reference import peaks
from services.models.ecgbert.reference.peaks import lead_peaks, peaks_of_columns


def test_leads_behind_one_without_peaks_move_up(monkeypatch: pytest.MonkeyPatch) -> None:
    found = iter([np.array([], dtype=np.int64), np.array([5, 9])])
    monkeypatch.setattr(peaks, "lead_peaks", lambda lead: next(found))
    columns = peaks_of_columns(np.zeros((2, 20)))
    assert [(c.column, c.peaks.tolist()) for c in columns] == [(0, [5, 9])]


def test_hamilton_finds_regular_beats() -> None:
    lead = np.zeros(3600)
    beats = np.arange(400, 3600, 300)
    for offset, height in ((-2, 0.3), (-1, 0.8), (0, 1.0), (1, 0.7), (2, 0.2)):
        lead[beats + offset] = height
    found = lead_peaks(lead)
    assert np.diff(found).tolist() == [300] * (len(beats) - 1)
    assert np.abs(found - beats).max() < 36  # it answers late, but within a tenth of a second

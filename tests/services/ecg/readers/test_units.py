"""Spellings of volts."""

from __future__ import annotations

import pytest

from services.ecg.readers.units import millivolts_in


@pytest.mark.parametrize(
    ("unit", "millivolts"),
    [("mV", 1.0), ("mv", 1.0), (" uV ", 1e-3), ("\u03bcV", 1e-3), ("V", 1e3), ("nV", 1e-6)],
)
def test_voltages_are_known_in_any_spelling(unit: str, millivolts: float) -> None:
    assert millivolts_in(unit) == millivolts


@pytest.mark.parametrize("unit", ["mmHg", "NU", "", "bpm", "mVs"])
def test_other_units_are_no_voltages(unit: str) -> None:
    assert millivolts_in(unit) is None

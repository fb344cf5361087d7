"""Every format: the same samples come out of it, under any name, and nothing of the patient."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from services.ecg.leads import derived_limb_leads
from services.ecg.record import EcgRecord
from tests import ecg_files
from tests.services.ecg.readers.reading import read_file

ALL = pytest.mark.parametrize("kind", ecg_files.GOOD)
TIMED = ("edf", "bdf", "ishne", "ge-cardiosoft", "dicom", "fhir", "apple-watch")
DERIVING = ("ge-muse", "hl7-aecg", "philips-sierra", "ge-cardiosoft", "scp-ecg", "dicom")


def good(kind: str, folder: Path, *, name: str | None = None) -> EcgRecord:
    usual, make = ecg_files.GOOD[kind]
    return read_file(name or usual, make(), folder)


@ALL
def test_samples_are_millivolts_at_the_rate_of_the_file(kind: str, tmp_path: Path) -> None:
    record = good(kind, tmp_path)
    expected = ecg_files.made_mv()[: 1 if kind == "apple-watch" else 2]
    assert record.format == kind
    assert record.sampling_rate_hz == ecg_files.RATE_HZ
    assert record.lead_names[: len(expected)] == ecg_files.LEADS[: len(expected)]
    assert set(record.units) == {"mV"}
    np.testing.assert_allclose(record.signal[: len(expected)], expected, atol=1e-5)


@ALL
def test_a_format_is_told_by_its_content(kind: str, tmp_path: Path) -> None:
    record = good(kind, tmp_path, name="C:\\fakepath\\something.bin")
    assert record.format == kind
    assert record.name == "something"


@ALL
def test_nothing_of_the_patient_is_kept(kind: str, tmp_path: Path) -> None:
    shown = repr(dataclasses.replace(good(kind, tmp_path), signal=np.zeros((1, 1)), units=("mV",),
                                     lead_names=("I",)))  # fmt: skip
    for word in ("doe", "john", "1950", "male"):
        assert word not in shown.lower()


@pytest.mark.parametrize("kind", TIMED)
def test_the_start_is_kept_where_the_format_has_one(kind: str, tmp_path: Path) -> None:
    assert good(kind, tmp_path).start_time == datetime(2026, 3, 2, 13, 5)  # noqa: DTZ001


@pytest.mark.parametrize("kind", DERIVING)
def test_limb_leads_that_a_device_left_out_are_derived(kind: str, tmp_path: Path) -> None:
    record = good(kind, tmp_path)
    assert record.lead_names == ("I", "II", "III", "aVR", "aVL", "aVF")
    for name, lead in derived_limb_leads(record.signal[0], record.signal[1]).items():
        np.testing.assert_array_equal(record.signal[record.lead_names.index(name)], lead)
    assert record.notes == ("derived from leads I and II: III, aVR, aVL, aVF",)

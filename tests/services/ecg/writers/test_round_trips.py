"""What is written is read back: by our readers, and by the libraries of the formats."""

from __future__ import annotations

import io
import warnings
import zipfile
from dataclasses import replace
from pathlib import Path

import edfio
import numpy as np
import pytest
import wfdb

from services.ecg.record import EcgRecord
from services.ecg.writers.edf_writer import END, MISSING, edf_plus
from services.ecg.writers.wfdb_writer import wfdb_zip
from services.errors import UnusableInput
from tests.services.ecg.readers.reading import read_file
from tests.services.ecg.writers.findings_made import made_beats, made_record


def assert_same(found: EcgRecord, record: EcgRecord) -> None:
    np.testing.assert_array_equal(found.signal, record.signal)
    assert found.lead_names == record.lead_names
    assert found.units == record.units
    assert found.sampling_rate_hz == record.sampling_rate_hz
    assert found.start_time == record.start_time


@pytest.mark.parametrize("rate_hz", [250.0, 360.0, 500.0, 128.5])
@pytest.mark.parametrize("n_leads", [1, 12])
def test_a_record_comes_back_from_wfdb(n_leads: int, rate_hz: float, tmp_path: Path) -> None:
    record = made_record(n_leads, rate_hz=rate_hz)
    found = read_file("a.zip", wfdb_zip(record), tmp_path)
    assert_same(found, record)
    assert found.name == "made_1"
    assert found.annotations is not None
    assert record.annotations is not None
    assert found.annotations.symbol == record.annotations.symbol
    assert found.annotations.note == record.annotations.note
    assert found.annotations.sample.tolist() == [90, 290, 490]
    assert found.notes == ()


def test_the_wfdb_library_reads_record_and_beats(tmp_path: Path) -> None:
    record = made_record()
    beats = made_beats(record)
    with zipfile.ZipFile(io.BytesIO(wfdb_zip(record, beats=beats))) as archive:
        archive.extractall(tmp_path)
    found = wfdb.rdrecord(str(tmp_path / "made_1"))
    np.testing.assert_allclose(found.p_signal.T, record.signal, atol=1e-6)
    assert (found.sig_name, found.units) == (["I", "II"], ["mV", "mV"])
    own = wfdb.rdann(str(tmp_path / "made_1"), "ectopy")
    np.testing.assert_array_equal(own.sample, beats.sample)
    assert tuple(own.symbol) == beats.labels


@pytest.mark.parametrize(
    ("rate_hz", "n_samples"), [(250.0, 5040), (360.0, 7245), (500.0, 10_040), (128.0, 2600)]
)
def test_a_record_comes_back_from_edf_with_its_beats(
    rate_hz: float, n_samples: int, tmp_path: Path
) -> None:
    record = made_record(rate_hz=rate_hz, n_samples=n_samples)
    beats = made_beats(record)
    found = read_file("a.edf", edf_plus(record, beats=beats), tmp_path)
    assert_same(found, record)
    assert found.annotations is not None
    np.testing.assert_array_equal(found.annotations.sample, beats.sample)
    assert found.annotations.symbol == beats.labels


def test_the_edf_library_reads_the_same(tmp_path: Path) -> None:
    record = made_record()
    found = edfio.read_edf(io.BytesIO(edf_plus(record)))
    np.testing.assert_allclose(found.get_signal("ECG II").data, record.signal[1], atol=1e-6)
    assert [note.text for note in found.annotations] == ["N", "V", "+"]
    assert [note.onset for note in found.annotations] == pytest.approx([0.36, 1.16, 1.96])


def test_missing_samples_stay_missing_in_wfdb_and_are_marked_in_edf(tmp_path: Path) -> None:
    record = made_record()
    signal = record.signal.copy()
    signal[0, 100:200] = np.nan
    record = replace(record, signal=signal)
    assert_same(read_file("a.zip", wfdb_zip(record), tmp_path), record)
    notes = edfio.read_edf(io.BytesIO(edf_plus(record))).annotations
    gap = next(note for note in notes if note.text == MISSING)
    assert (gap.onset, gap.duration) == pytest.approx((0.4, 0.4))
    found = read_file("a.edf", edf_plus(record), tmp_path)
    assert not found.signal[0, 100:200].any()


def test_other_channels_keep_their_unit(tmp_path: Path) -> None:
    record = made_record()
    signal = record.signal.copy()
    signal[1] = np.linspace(60, 120, record.n_samples)
    record = replace(record, signal=signal, lead_names=("II", "ABP"), units=("mV", "mmHg"))
    for name, content in (("a.zip", wfdb_zip(record)), ("a.edf", edf_plus(record))):
        found = read_file(name, content, tmp_path)
        assert (found.lead_names, found.units) == (record.lead_names, record.units)
        np.testing.assert_allclose(found.signal[1], signal[1], atol=0.0026)


def test_a_length_that_no_data_record_divides_is_filled_and_marked(tmp_path: Path) -> None:
    record = made_record(n_samples=4999)  # a prime
    content = edf_plus(record)
    found = read_file("a.edf", content, tmp_path)
    np.testing.assert_array_equal(found.signal[:, :4999], record.signal)
    assert found.n_samples == 5000
    end = next(note for note in edfio.read_edf(io.BytesIO(content)).annotations if note.text == END)
    assert end.onset == pytest.approx(4999 / 250)


def test_what_16_bits_do_not_hold_is_refused() -> None:
    record = made_record()
    record = replace(record, signal=record.signal * np.float32(1e9))
    for write in (wfdb_zip, edf_plus):
        with pytest.raises(UnusableInput, match="too much for a file of 16 bits"):
            write(record)


def test_names_that_files_cannot_hold_are_changed(tmp_path: Path) -> None:
    record = replace(made_record(), name="../Müller 1", lead_names=("I", "x\ty\u00fc"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_file("a.zip", wfdb_zip(record), tmp_path).name == "___M_ller_1"
        assert read_file("a.edf", edf_plus(record), tmp_path).lead_names[1] == "x?y?"


def test_no_start_is_no_start(tmp_path: Path) -> None:
    record = replace(made_record(), start_time=None, annotations=None)
    assert_same(read_file("a.zip", wfdb_zip(record), tmp_path), record)
    assert_same(read_file("a.edf", edf_plus(record), tmp_path), record)

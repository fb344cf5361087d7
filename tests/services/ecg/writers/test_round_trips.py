"""What is written is read back: by our readers, and by the libraries of the formats."""

from __future__ import annotations

import io
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import time
from pathlib import Path
from typing import Any

import edfio
import numpy as np
import pytest
import wfdb

from services.ecg.record import Annotations, EcgRecord
from services.ecg.writers.counts import scales
from services.ecg.writers.edf_writer import (
    END,
    MISSING,
    MOST_ANNOTATION_BYTES,
    MOST_DATA_RECORDS,
    MOST_GAPS,
    edf_plus,
)
from services.ecg.writers.wfdb_writer import wfdb_zip
from services.errors import UnusableInput
from tests.services.ecg.readers.reading import read_file
from tests.services.ecg.writers.findings_made import made_beats, made_record


def written(write: Callable[..., None], record: EcgRecord, **options: Any) -> bytes:
    target = io.BytesIO()
    write(record, target, **options)
    return target.getvalue()


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
    found = read_file("a.zip", written(wfdb_zip, record), tmp_path)
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
    with zipfile.ZipFile(io.BytesIO(written(wfdb_zip, record, beats=beats))) as archive:
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
    found = read_file("a.edf", written(edf_plus, record, beats=beats), tmp_path)
    assert_same(found, record)
    assert found.annotations is not None
    np.testing.assert_array_equal(found.annotations.sample, beats.sample)
    assert found.annotations.symbol == beats.labels


def test_the_edf_library_reads_the_same(tmp_path: Path) -> None:
    record = made_record()
    found = edfio.read_edf(io.BytesIO(written(edf_plus, record)))
    np.testing.assert_allclose(found.get_signal("ECG II").data, record.signal[1], atol=1e-6)
    assert [note.text for note in found.annotations] == ["N", "V", "+"]
    assert [note.onset for note in found.annotations] == pytest.approx([0.36, 1.16, 1.96])


def test_missing_samples_stay_missing_in_wfdb_and_are_marked_in_edf(tmp_path: Path) -> None:
    record = made_record()
    signal = record.signal.copy()
    signal[0, 100:200] = np.nan
    record = replace(record, signal=signal)
    assert_same(read_file("a.zip", written(wfdb_zip, record), tmp_path), record)
    notes = edfio.read_edf(io.BytesIO(written(edf_plus, record))).annotations
    gap = next(note for note in notes if note.text == MISSING)
    assert (gap.onset, gap.duration) == pytest.approx((0.4, 0.4))
    found = read_file("a.edf", written(edf_plus, record), tmp_path)
    assert not found.signal[0, 100:200].any()


def test_other_channels_keep_their_unit(tmp_path: Path) -> None:
    record = made_record()
    signal = record.signal.copy()
    signal[1] = np.linspace(60, 120, record.n_samples)
    record = replace(record, signal=signal, lead_names=("II", "ABP"), units=("mV", "mmHg"))
    for name, content in (
        ("a.zip", written(wfdb_zip, record)),
        ("a.edf", written(edf_plus, record)),
    ):
        found = read_file(name, content, tmp_path)
        assert (found.lead_names, found.units) == (record.lead_names, record.units)
        np.testing.assert_allclose(found.signal[1], signal[1], atol=0.0026)


def test_a_length_that_no_data_record_divides_is_filled_and_marked(tmp_path: Path) -> None:
    record = made_record(n_samples=4999)  # a prime
    content = written(edf_plus, record)
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
            written(write, record)


def test_names_that_files_cannot_hold_are_changed(tmp_path: Path) -> None:
    record = replace(made_record(), name="../Müller 1", lead_names=("I", "x\ty\u00fc"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_file("a.zip", written(wfdb_zip, record), tmp_path).name == "___M_ller_1"
        assert read_file("a.edf", written(edf_plus, record), tmp_path).lead_names[1] == "x?y?"


def test_no_start_is_no_start(tmp_path: Path) -> None:
    record = replace(made_record(), start_time=None, annotations=None)
    assert_same(read_file("a.zip", written(wfdb_zip, record), tmp_path), record)
    assert_same(read_file("a.edf", written(edf_plus, record), tmp_path), record)


@pytest.mark.parametrize(
    ("rate_hz", "n_samples", "n_leads"),
    [
        (128.5, 5011, 1),  # data records of two seconds
        (250.0, 4999, 2),  # a prime: the last one is filled up
        (333.3, 7245, 3),
        (360.0, 450_000, 12),  # in pieces, eleven of them
        (500.0, 5000, 12),
        (1000.0, 700, 1),  # shorter than a second
    ],
)
def test_edf_is_to_the_byte_what_the_edf_library_writes(
    rate_hz: float, n_samples: int, n_leads: int
) -> None:
    record = made_record(n_leads, n_samples=n_samples, rate_hz=rate_hz)
    signal = record.signal.copy()
    signal[0, 200:300] = signal[-1, -50:] = np.nan
    record = replace(record, signal=signal)
    content = written(edf_plus, record, beats=made_beats(record))
    ours = edfio.read_edf(io.BytesIO(content))
    per_record = ours.signals[0].samples_per_data_record
    filled = -n_samples % per_record
    missing = np.isnan(signal)
    library = edfio.Edf(
        [
            edfio.EdfSignal.from_digital(
                np.pad(
                    np.where(gaps, 0, np.rint(lead.astype(np.float64) * scale.gain)),
                    (0, filled),
                    mode="edge",
                ).astype(np.int16),
                rate_hz,
                label=f"ECG {name}",
                physical_dimension="mV",
                physical_range=(-scale.physical_max, scale.physical_max),
                digital_range=(-32000, 32000),
            )
            for name, lead, gaps, scale in zip(
                record.lead_names, signal, missing, scales(record), strict=True
            )
        ],
        recording=edfio.Recording(startdate=record.start_time.date()),  # type: ignore[union-attr]
        starttime=time(13, 5),
        data_record_duration=ours.data_record_duration,
        annotations=ours.annotations,
    )
    target = io.BytesIO()
    library.write(target)
    assert content == target.getvalue()


@pytest.mark.parametrize("write", [wfdb_zip, edf_plus])
def test_a_long_record_is_not_held_in_memory(write: Callable[..., None], tmp_path: Path) -> None:
    rate_hz, hours = 360.0, 6
    signal = np.memmap(
        tmp_path / "signal", np.float32, "w+", shape=(2, round(hours * 3600 * rate_hz))
    )
    signal[:, ::400] = 1.0
    record = replace(made_record(rate_hz=rate_hz), signal=signal)
    with (tmp_path / "file").open("wb") as target:
        tracemalloc.start()
        try:
            write(record, target)
            most = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    size = (tmp_path / "file").stat().st_size
    assert size > 2 * signal.size  # every sample is in it
    assert most < size  # a library that makes it whole needs several times as much


def test_annotations_that_would_blow_up_an_edf_file_are_refused() -> None:
    record = made_record(1, n_samples=2 * 3600 * 250)
    many = MOST_ANNOTATION_BYTES // 7200 // 4  # at one sample, for which every second has room
    record = replace(
        record,
        annotations=Annotations(
            sample=np.zeros(many, dtype=np.int64), symbol=("N",) * many, note=("",) * many
        ),
    )
    target = io.BytesIO()
    with pytest.raises(UnusableInput, match="too much for a file"):
        edf_plus(record, target)
    assert not target.getvalue()


def test_a_record_that_is_full_of_gaps_is_refused_as_edf(tmp_path: Path) -> None:
    record = made_record(1, n_samples=4 * MOST_GAPS)
    signal = record.signal.copy()
    signal[0, 1::4] = np.nan
    as_many = written(edf_plus, replace(record, signal=signal))
    assert read_file("a.edf", as_many, tmp_path).n_samples == record.n_samples
    signal[0, 3] = np.nan
    with pytest.raises(UnusableInput, match="missing in over 100,000 places"):
        written(edf_plus, replace(record, signal=signal))


def test_a_record_of_too_many_data_records_is_refused_before_its_text_is_made() -> None:
    signal = np.broadcast_to(np.float32(0), (1, 10 * MOST_DATA_RECORDS + 1))
    record = replace(made_record(1), signal=signal, sampling_rate_hz=1.0)
    target = io.BytesIO()
    with pytest.raises(UnusableInput, match="too many for EDF"):
        edf_plus(record, target)
    assert not target.getvalue()


def test_no_text_ends_an_annotation_of_edf() -> None:
    record = made_record()
    own = Annotations(sample=np.array([90]), symbol=("N\x14\0+9\x14V",), note=("",))
    content = written(edf_plus, replace(record, annotations=own))
    notes = edfio.read_edf(io.BytesIO(content)).annotations
    assert [note.text for note in notes] == ["N??+9?V"]

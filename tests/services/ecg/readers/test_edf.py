"""EDF and BDF: scales, rates, gaps and annotations, against edfio too."""

from __future__ import annotations

import io
from pathlib import Path

import edfio
import numpy as np
import pytest

from services.ecg.readers import signal_memory
from services.errors import MalformedInput, UnusableInput
from tests import ecg_files
from tests.services.ecg.readers.reading import read_file

BEATS = [b"+0\x14\x14\0+0.4\x14N\x14\0", b"+1\x14\x14\0+1.2\x150.1\x14V\x14John Doe\x14\0"]


def test_edf_of_edfio_is_read_as_edfio_reads_it(tmp_path: Path) -> None:
    data = np.linspace(-2.0, 2.0, 1000)
    signal = edfio.EdfSignal(data, 500, label="V5", physical_dimension="mV")
    content = edfio.Edf([signal]).to_bytes()
    record = read_file("a.edf", content, tmp_path)
    known = edfio.read_edf(io.BytesIO(content)).signals[0].data
    np.testing.assert_allclose(record.signal[0], known, atol=1e-6)
    assert (record.lead_names, record.sampling_rate_hz) == (("V5",), 500.0)


def test_24_bits_keep_their_sign(tmp_path: Path) -> None:
    data = np.array([-8388608, -1, 0, 1, 8388607] * 100, "<i4").view(np.uint8).reshape(-1, 4)
    content = ecg_files.edf(
        width=3,
        signals=(("V1", "mV", 250),),
        data=data[:, :3].tobytes(),
        physical=(-8388608, 8388607),
        digital=(-8388608, 8388607),
    )
    record = read_file("a.bdf", content, tmp_path)
    np.testing.assert_array_equal(record.signal[0, :5], [-8388608, -1, 0, 1, 8388607])


def test_only_beat_symbols_are_kept_of_the_annotations(tmp_path: Path) -> None:
    record = read_file("a.edf", ecg_files.edf_with_beats(BEATS), tmp_path)
    assert record.annotations is not None
    assert record.annotations.symbol == ("N", "V")
    assert record.annotations.sample.tolist() == [100, 300]
    assert record.notes == ("1 annotations that are no beat symbols are left out",)


def test_a_gap_between_data_records_is_missing_samples(tmp_path: Path) -> None:
    lists = [b"+0\x14\x14\0", b"+3\x14\x14\0+3.2\x14V\x14\0"]
    content = ecg_files.edf_with_beats(lists, reserved="EDF+D")
    record = read_file("a.edf", content, tmp_path)
    assert record.n_samples == 1000
    assert np.isnan(record.signal[:, 250:750]).all()
    np.testing.assert_allclose(record.signal[:, 750:], ecg_files.made_mv()[:, 250:], atol=1e-5)
    assert record.annotations is not None
    assert record.annotations.sample.tolist() == [800]


def test_data_records_that_overlap_are_refused(tmp_path: Path) -> None:
    content = ecg_files.edf_with_beats([b"+0\x14\x14\0", b"+0.5\x14\x14\0"], reserved="EDF+D")
    with pytest.raises(MalformedInput, match="overlap in time"):
        read_file("a.edf", content, tmp_path)


def test_a_slower_channel_is_held_and_said(tmp_path: Path) -> None:
    slow = np.arange(10, dtype="<i2")
    data = ecg_files.made_counts()[0, :250].tobytes() + slow[:5].tobytes()
    data += ecg_files.made_counts()[0, 250:].tobytes() + slow[5:].tobytes()
    content = ecg_files.edf(signals=(("II", "uV", 250), ("ABP", "mmHg", 5)), data=data)
    record = read_file("a.edf", content, tmp_path)
    assert record.units == ("mV", "mmHg")
    assert record.signal[1, ::50].tolist() == pytest.approx((slow * 5).tolist())
    assert record.notes == ("ABP was recorded at 5 Hz and is held at its latest sample "
                            "to fit 250 Hz",)  # fmt: skip


def test_a_recording_that_never_ended_is_as_long_as_its_data(tmp_path: Path) -> None:
    record = read_file("a.edf", ecg_files.edf(n_records=-1) + b"1234", tmp_path)
    assert record.n_samples == ecg_files.N_SAMPLES


def test_a_placeholder_date_is_no_start(tmp_path: Path) -> None:
    content = ecg_files.edf().replace(b"02.03.26", b"01.01.85").replace(b"13.05.00", b"00.00.00")
    assert read_file("a.edf", content, tmp_path).start_time is None


def test_a_large_record_is_mapped_to_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signal_memory, "MAPPED_FROM_VALUES", 100)
    for make in (ecg_files.edf, ecg_files.ishne):
        record = read_file("a", make(), tmp_path)
        assert isinstance(record.signal, np.memmap)
        assert not record.signal.flags.writeable
        np.testing.assert_allclose(record.signal, ecg_files.made_mv(), atol=1e-5)


def test_eeg_is_no_ecg(tmp_path: Path) -> None:
    content = ecg_files.edf(signals=(("EEG Fpz", "uV", 250), ("EEG Cz", "uV", 250)))
    with pytest.raises(UnusableInput, match="no ECG lead"):
        read_file("a.edf", content, tmp_path)

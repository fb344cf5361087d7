"""Beats as files, read back by the programs they are for."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import wfdb

from services.ecg.annotation_files import beats_annotation_zip, beats_csv
from tests import corpus

SAMPLE = np.array([0, 300, 1323, 2400, 5_000_000])
LABELS = ["N", "S", "V", "F", "Q"]


def unpacked(content: bytes, folder: Path) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        archive.extractall(folder)
        return sorted(archive.namelist())


def test_csv_has_a_line_a_beat() -> None:
    text = beats_csv(
        SAMPLE,
        labels=LABELS,
        probabilities=np.array([0.5, 0.75, 1.0, 0.9, 0.25], dtype=np.float32),
        sampling_rate_hz=360,
    )
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [int(row["sample"]) for row in rows] == SAMPLE.tolist()
    assert [row["label"] for row in rows] == LABELS
    assert rows[1] == {"sample": "300", "time_s": "0.8333", "label": "S", "probability": "0.7500"}


@pytest.mark.parametrize("rate_hz", [360.0, 128.5])
def test_rdann_reads_back_samples_symbols_and_rate(rate_hz: float, tmp_path: Path) -> None:
    content = beats_annotation_zip(
        SAMPLE, labels=LABELS, sampling_rate_hz=rate_hz, record_name="208_excerpt", n_samples=9
    )
    assert unpacked(content, tmp_path) == ["208_excerpt.ectopy", "208_excerpt.hea"]
    read = wfdb.rdann(str(tmp_path / "208_excerpt"), "ectopy")
    np.testing.assert_array_equal(read.sample, SAMPLE)
    assert read.symbol == LABELS
    assert read.fs == rate_hz
    header = wfdb.rdheader(str(tmp_path / "208_excerpt"))
    assert (header.fs, header.sig_len, header.n_sig) == (rate_hz, 9, 0)


def test_the_bytes_are_those_that_the_library_writes(tmp_path: Path) -> None:
    content = beats_annotation_zip(
        SAMPLE, labels=LABELS, sampling_rate_hz=360, record_name="r", n_samples=9
    )
    unpacked(content, tmp_path)
    wfdb.wrann("r", "atr", SAMPLE, symbol=LABELS, fs=360, write_dir=str(tmp_path))
    assert (tmp_path / "r.ectopy").read_bytes() == (tmp_path / "r.atr").read_bytes()


def test_binary_labels_are_beats_with_the_label_as_a_note(tmp_path: Path) -> None:
    content = beats_annotation_zip(
        np.array([10, 20]), labels=["normal", "abnormal"], sampling_rate_hz=360, record_name="r"
    )
    unpacked(content, tmp_path)
    read = wfdb.rdann(str(tmp_path / "r"), "ectopy")
    assert read.symbol == ["N", "Q"]
    assert [note.rstrip("\0") for note in read.aux_note] == ["", "abnormal"]


def test_the_header_of_the_record_goes_along_unchanged(tmp_path: Path) -> None:
    header = corpus.header()
    content = beats_annotation_zip(
        SAMPLE, labels=LABELS, sampling_rate_hz=360, record_name="rec", header=header
    )
    unpacked(content, tmp_path)
    assert (tmp_path / "rec.hea").read_bytes() == header


def test_a_record_name_cannot_lead_out_of_the_archive(tmp_path: Path) -> None:
    content = beats_annotation_zip(
        SAMPLE, labels=LABELS, sampling_rate_hz=360, record_name="../Ren\u00e9's ECG"
    )
    assert unpacked(content, tmp_path) == ["___Ren__s_ECG.ectopy", "___Ren__s_ECG.hea"]


def test_no_beats_are_an_empty_file_that_rdann_reads(tmp_path: Path) -> None:
    content = beats_annotation_zip(
        np.array([], dtype=np.int64), labels=[], sampling_rate_hz=360, record_name="r"
    )
    unpacked(content, tmp_path)
    assert len(wfdb.rdann(str(tmp_path / "r"), "ectopy").sample) == 0

"""Records on the local disk: whichever of their files is named, and the real samples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wfdb

from services.ecg.readers.files import record_from_path
from services.errors import NotFound
from tests import corpus

REPOSITORY = Path(__file__).parents[4]
FORMATS = REPOSITORY.parent / "shared" / "data" / "formats"
MITDB = REPOSITORY.parent / "shared" / "data" / "mitdb"
WFDB_SAMPLES = [
    "wfdb-all-encodings/binformats.hea",
    "wfdb-flac/flacformats.hea",
    "wfdb-mat/E07500.hea",
    "wfdb-mat/HR06000.hea",
    "wfdb-mat/JS20001.hea",
    "wfdb-multisegment/fixed/041s.hea",
    "wfdb-multisegment/variable/s25047-2704-05-04-10-44.hea",
]

needs_formats = pytest.mark.skipif(not FORMATS.exists(), reason="../shared/data/formats is missing")
needs_mitdb = pytest.mark.skipif(not MITDB.exists(), reason="../shared/data/mitdb is missing")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in (corpus.good_record() | corpus.good_record("other")).items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "rec.zip").write_bytes(corpus.zipped(corpus.good_record()))
    return tmp_path


@pytest.mark.parametrize("name", ["rec", "rec.hea", "rec.dat", "rec.zip", "other"])
def test_any_name_of_the_record_will_do(name: str, folder: Path) -> None:
    record = record_from_path(folder / name)
    assert record.name == Path(name).stem
    assert record.n_samples == corpus.N_SAMPLES


def test_an_archive_is_read_too(tmp_path: Path) -> None:
    (tmp_path / "some.zip").write_bytes(corpus.zipped(corpus.good_record()))
    assert record_from_path(tmp_path / "some.zip").name == "rec"


def test_the_annotations_of_the_record_come_along(folder: Path) -> None:
    wfdb.wrann("rec", "atr", np.array([100, 388]), symbol=["N", "V"], write_dir=str(folder))
    annotations = record_from_path(folder / "rec").annotations
    assert annotations is not None
    assert annotations.symbol == ("N", "V")


def test_the_segments_of_a_record_come_along(folder: Path) -> None:
    (folder / "all.hea").write_text("all/2 2 360 7200\nrec 3600\nother 3600\n")
    assert record_from_path(folder / "all").n_samples == 7200


def test_a_name_with_nothing_behind_it_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        record_from_path(tmp_path / "nothing")


def test_the_sample_record_is_five_minutes_of_one_lead() -> None:
    record = record_from_path(corpus.EXAMPLES / "208_excerpt")
    assert (record.lead_names, record.units) == (("MLII",), ("mV",))
    assert (record.duration_s, record.sampling_rate_hz) == (300.0, 360.0)
    np.testing.assert_allclose(record.signal[0, :3], [-0.245, -0.215, -0.185], atol=1e-6)
    assert record.notes == ()


@needs_mitdb
def test_the_sample_record_is_a_part_of_record_208() -> None:
    sample = record_from_path(corpus.EXAMPLES / "208_excerpt").signal[0]
    whole = record_from_path(MITDB / "208").signal[0]
    np.testing.assert_array_equal(sample, whole[422_820 : 422_820 + 108_000])


@needs_formats
@pytest.mark.parametrize("name", WFDB_SAMPLES)
def test_real_records_have_the_samples_of_the_reference_reader(name: str) -> None:
    expected = json.loads((FORMATS / "expected.json").read_text())["files"][name]
    record = record_from_path(FORMATS / name)
    assert record.lead_names == tuple(lead["name"] for lead in expected["leads"])
    for signal, lead in zip(record.signal, expected["leads"], strict=True):
        # a channel slower than the ECG is held: each of its samples is there that many times
        held = record.n_samples // lead["samples"]
        assert_samples(signal[::held], lead)
    ecg_samples = max(lead["samples"] for lead in expected["leads"])
    frames = min(lead["samples"] for lead in expected["leads"])
    assert record.sampling_rate_hz == expected["frame_rate_hz"] * ecg_samples / frames


def assert_samples(signal: np.ndarray, lead: dict[str, Any]) -> None:
    assert len(signal) == lead["samples"]
    assert np.isnan(signal).sum() == lead["missing_samples"]
    first = [np.nan if value is None else value for value in lead["first_5"]]
    np.testing.assert_allclose(signal[:5], first, rtol=1e-5, atol=1e-4)
    wide = signal.astype(np.float64)
    np.testing.assert_allclose(
        [np.nanmean(wide), np.nanmin(wide), np.nanmax(wide)],
        [lead["mean"], lead["min"], lead["max"]],
        rtol=1e-5,
        atol=1e-4,
    )


@needs_mitdb
@pytest.mark.parametrize("name", ["100", "102", "114", "207", "234"])
def test_mit_bih_records_are_those_of_the_library(name: str) -> None:
    record, expected = record_from_path(MITDB / name), wfdb.rdrecord(str(MITDB / name))
    np.testing.assert_array_equal(record.signal, expected.p_signal.T.astype(np.float32))
    reference = wfdb.rdann(str(MITDB / name), "atr")
    assert record.annotations is not None
    np.testing.assert_array_equal(record.annotations.sample, reference.sample)
    assert record.annotations.symbol == tuple(reference.symbol)
    assert record.annotations.note == tuple(note.rstrip("\0") for note in reference.aux_note)

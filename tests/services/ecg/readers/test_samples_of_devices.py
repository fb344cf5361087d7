"""Real files of every format against the values of another decoder, and 60 damages to each."""

from __future__ import annotations

import binascii
import json
import random
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.ecg.leads import STANDARD_12
from services.ecg.readers.base import Limits, ReadHints
from services.ecg.record import EcgRecord
from services.errors import EctopyError, MalformedInput, UnusableInput
from tests.services.ecg.readers.reading import read_file
from tests.services.ecg.readers.test_mutations import MUTATIONS

FORMATS = Path(__file__).parents[5] / "shared" / "data" / "formats"
pytestmark = pytest.mark.skipif(not FORMATS.exists(), reason="../shared/data/formats is missing")

GEORGIA = "wfdb-mat/E07500.hea"  # the record that several samples were converted from
FORMAT_OF = {
    "apple-watch-csv/ecg_2020-01-01.csv": "apple-watch",
    "bdf/mitdb100_60s.bdf": "bdf",
    "csv/georgia_E07500_12lead_500hz.csv": "csv",
    "csv/mitdb100_10s_360hz_time_column.csv": "csv",
    "dicom/ge_12lead_500hz.dcm": "dicom",
    "dicom/mortara_12lead_1000hz.dcm": "dicom",
    "edf/georgia_E07500_12lead.edf": "edf",
    "edf/mitdb100_60s_beats.edf": "edf",
    "fhir-observation-json/georgia_E07500_limb_leads.json": "fhir",
    "ge-muse-xml/muse9_example1.xml": "ge-muse",
    "ge-muse-xml/muse9_example2.xml": "ge-muse",
    "hl7-aecg/example_aecg.xml": "hl7-aecg",
    "ishne/georgia_E07500_12lead.ecg": "ishne",
    "ishne/mitdb100_60s.ecg": "ishne",
    "json/georgia_E07500_12lead.json": "json",
    "matlab-struct/A1982.mat": "matlab",
    "philips-sierra-xml/sierra_1_03.xml": "philips-sierra",
    "philips-sierra-xml/sierra_1_04_01.xml": "philips-sierra",
    "philips-sierra-xml/sierra_1_04_demo.xml": "philips-sierra",
    "scp-ecg/huffman_12lead_500hz.scp": "scp-ecg",
    "scp-ecg/welch_allyn_anonymised_1.scp": "scp-ecg",
    "scp-ecg/welch_allyn_anonymised_2.scp": "scp-ecg",
}
# what these files do not say, as a sender would
HINTS = {
    "csv/georgia_E07500_12lead_500hz.csv": ReadHints(sampling_rate_hz=500.0),
    "matlab-struct/A1982.mat": ReadHints(sampling_rate_hz=500.0, units="mV", leads=STANDARD_12),
    "ishne/mitdb100_60s.ecg": ReadHints(leads=("MLII", "V5")),
}
# the same recording in another container
EXPECTED_OF = {
    "csv/georgia_E07500_12lead_500hz.csv": GEORGIA,
    "json/georgia_E07500_12lead.json": GEORGIA,
    "fhir-observation-json/georgia_E07500_limb_leads.json": GEORGIA,
}
STEP_MV = {"edf": 20 / 65535, "bdf": 20 / (1 << 24)}  # of 16 and 24 bits over +/-10 mV
LIMITS = Limits(max_values=2_000_000, max_unpacked_bytes=8_000_000)

ALL = pytest.mark.parametrize("name", FORMAT_OF)


def expected(name: str) -> dict[str, Any]:
    known = json.loads((FORMATS / "expected.json").read_text())["files"]
    return dict(known[EXPECTED_OF.get(name, name)])


def read(name: str, folder: Path, content: bytes | None = None) -> EcgRecord:
    data = content if content is not None else (FORMATS / name).read_bytes()
    return read_file(Path(name).name, data, folder, hints=HINTS.get(name), limits=LIMITS)


@pytest.mark.parametrize(
    "name", [name for name in FORMAT_OF if "apple" not in name and "10s" not in name]
)
def test_leads_rate_and_values_are_those_of_another_decoder(name: str, tmp_path: Path) -> None:
    record, known = read(name, tmp_path), expected(name)
    assert record.format == FORMAT_OF[name]
    assert record.sampling_rate_hz == known["frame_rate_hz"]
    stored = known["leads"][: record.n_leads]
    assert record.lead_names[: len(stored)] == tuple(lead["name"] for lead in stored)
    tolerance = 1e-4 + STEP_MV.get(record.format, 0.0) / 2
    for signal, lead in zip(record.signal, stored, strict=False):
        np.testing.assert_allclose(signal[:5], lead["first_5"], atol=tolerance)
        if record.format == "philips-sierra":
            continue  # cut, see below
        assert len(signal) == lead["samples"]
        wide = signal.astype(np.float64)
        found = [wide.mean(), wide.min(), wide.max()]
        np.testing.assert_allclose(found, [lead["mean"], lead["min"], lead["max"]], atol=tolerance)


@pytest.mark.parametrize("name", [name for name in FORMAT_OF if "sierra" in name])
def test_the_calibration_pulse_of_sierra_is_cut_off(name: str, tmp_path: Path) -> None:
    record, known = read(name, tmp_path), expected(name)
    left_out = known["leads"][0]["samples"] - record.n_samples
    assert 0.3 < left_out / record.sampling_rate_hz < 0.6
    assert np.ptp(record.signal[:, -50:], axis=0).max() > 0.1  # leads differ up to the end
    assert "calibration pulse" in record.notes[0]


def test_the_same_ecg_is_the_same_in_aecg_and_scp(tmp_path: Path) -> None:
    aecg = read("hl7-aecg/example_aecg.xml", tmp_path)
    scp = read("scp-ecg/huffman_12lead_500hz.scp", tmp_path)
    assert aecg.lead_names == scp.lead_names
    np.testing.assert_array_equal(aecg.signal, scp.signal)


def test_the_time_column_gives_the_rate(tmp_path: Path) -> None:
    record = read("csv/mitdb100_10s_360hz_time_column.csv", tmp_path)
    whole = read("bdf/mitdb100_60s.bdf", tmp_path)
    assert (record.lead_names, record.sampling_rate_hz) == (("MLII", "V5"), 360.0)
    np.testing.assert_allclose(record.signal, whole.signal[:, :3600], atol=1e-5)


def test_an_apple_watch_export_is_lead_i_in_millivolts(tmp_path: Path) -> None:
    record = read("apple-watch-csv/ecg_2020-01-01.csv", tmp_path)
    assert (record.lead_names, record.n_samples) == (("I",), 15360)
    np.testing.assert_allclose(record.signal[0, :3], [-0.068046, -0.068557, -0.067332], atol=1e-6)


def test_beats_in_edf_become_annotations(tmp_path: Path) -> None:
    annotations = read("edf/mitdb100_60s_beats.edf", tmp_path).annotations
    assert annotations is not None
    assert len(annotations) == 74
    assert (annotations.symbol[0], int(annotations.sample[0])) == ("N", 77)  # of record 100
    assert set(annotations.symbol) <= {"N", "A", "+"}


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("edf/annotations_only.edf", UnusableInput, "annotations only"),
        ("hl7-aecg/minimum_no_waveform.xml", UnusableInput, "13 samples"),
        ("scp-ecg/bad_crc.scp", MalformedInput, "announces 21,910 bytes and has 21,915"),
    ],
)
def test_what_cannot_be_read_is_refused(
    name: str, error: type[EctopyError], says: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=says):
        read(name, tmp_path)


def repaired(name: str, data: bytearray) -> bytes:
    """SCP with its checksum put right, or nothing behind the checksum would ever be tried."""
    if name.startswith("scp") and len(data) > 6:
        struct.pack_into("<I", data, 2, len(data))
        struct.pack_into("<H", data, 0, binascii.crc_hqx(bytes(data[2:]), 0xFFFF))
    return bytes(data)


def record_or_refusal(name: str, folder: Path, content: bytes) -> EcgRecord | EctopyError:
    try:
        return read(name, folder, content)
    except EctopyError as refusal:
        return refusal


@ALL
def test_60_damages_give_a_refusal_or_a_record_of_the_right_length(
    name: str, tmp_path: Path
) -> None:
    good = (FORMATS / name).read_bytes()
    whole = read(name, tmp_path)
    for seed in range(60):
        dice = random.Random(seed)
        data = bytearray(good)
        dice.choice(MUTATIONS)(data, dice)
        record = record_or_refusal(name, tmp_path, repaired(name, data))
        if isinstance(record, EctopyError):
            assert 400 <= record.status < 500
            assert str(tmp_path) not in record.detail
            continue
        assert record.signal.shape == (len(record.lead_names), record.n_samples)
        if FORMAT_OF[name] not in ("csv", "apple-watch"):  # these do not say how long they are
            assert record.signal.shape == whole.signal.shape
            assert record.sampling_rate_hz == whole.sampling_rate_hz

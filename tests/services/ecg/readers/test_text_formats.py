"""CSV, JSON, FHIR, Apple Watch and MATLAB: what they may leave out, and who says it then."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from services.ecg.leads import STANDARD_12
from services.ecg.readers.base import ReadHints
from services.errors import EctopyError, MalformedInput, UnusableInput
from tests import ecg_files
from tests.services.ecg.readers.reading import read_file

MV = ecg_files.made_mv()


def rows(*cells: str) -> bytes:
    return ("\n".join(cells) + "\n").encode()


def plain_csv(header: str, n_columns: int = 2, *, rate_hz: float | None = None) -> bytes:
    lines = [header] if header else []
    for i in range(400):
        time = [] if rate_hz is None else [f"{i / rate_hz:.3f}"]
        lines.append(",".join([*time, *(f"{np.sin(i / 9 + c):.3f}" for c in range(n_columns))]))
    return rows(*lines)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_any_usual_delimiter_will_do(delimiter: str, tmp_path: Path) -> None:
    record = read_file("a.csv", ecg_files.csv(delimiter=delimiter), tmp_path)
    np.testing.assert_allclose(record.signal, MV, atol=1e-6)


def test_decimal_commas_are_understood(tmp_path: Path) -> None:
    record = read_file("a.csv", ecg_files.csv(delimiter=";", comma=True), tmp_path)
    np.testing.assert_allclose(record.signal, MV, atol=1e-6)
    assert record.sampling_rate_hz == 250.0


@pytest.mark.parametrize("time", ["time_s", "Time (s)", "t", "Time[s]", "elapsed time", "seconds"])
def test_the_time_column_is_known_by_its_name(time: str, tmp_path: Path) -> None:
    record = read_file("a.csv", ecg_files.csv(names=(time, "I", "II")), tmp_path)
    assert (record.lead_names, record.sampling_rate_hz) == (("I", "II"), 250.0)


def test_milliseconds_are_told_from_seconds(tmp_path: Path) -> None:
    lines = [f"{4 * i},{i % 7}" for i in range(300)]
    record = read_file("a.csv", rows("time_ms,II", *lines), tmp_path)
    assert record.sampling_rate_hz == 250.0


def test_without_names_the_request_gives_them(tmp_path: Path) -> None:
    hints = ReadHints(sampling_rate_hz=300.0, leads=("V2", "V5"), units="uV")
    record = read_file("a.csv", plain_csv(""), tmp_path, hints=hints)
    assert (record.lead_names, record.sampling_rate_hz) == (("V2", "V5"), 300.0)
    assert np.nanmax(np.abs(record.signal)) <= 0.001
    assert record.notes == ()


def test_twelve_nameless_leads_are_taken_in_the_standard_order(tmp_path: Path) -> None:
    content = plain_csv("", 12, rate_hz=200)
    record = read_file("a.csv", content, tmp_path)
    assert (record.lead_names, record.sampling_rate_hz) == (STANDARD_12, 200.0)
    assert "the standard order of twelve is assumed" in record.notes[0]


@pytest.mark.parametrize("header", ["I (uV),II (uV)", "I [µV],II [µV]", "I_uV,II_uV"])
def test_units_behind_the_names_count(header: str, tmp_path: Path) -> None:
    hints = ReadHints(sampling_rate_hz=250.0)
    record = read_file("a.csv", plain_csv(header), tmp_path, hints=hints)
    assert record.lead_names == ("I", "II")
    assert np.abs(record.signal).max() <= 0.001
    assert record.notes == ()


def test_an_assumed_unit_is_said(tmp_path: Path) -> None:
    record = read_file("a.csv", ecg_files.csv(), tmp_path)
    assert record.notes == ("no unit is given: millivolts are assumed",)


def test_the_layout_of_rdsamp_is_read(tmp_path: Path) -> None:
    lines = ["'sample #','MLII','V5'", "'sample #','mV','mV'"]
    lines += [f"{i},{i % 5 / 10:.3f},{i % 3 / 10:.3f}" for i in range(400)]
    hints = ReadHints(sampling_rate_hz=360.0)
    record = read_file("a.csv", rows(*lines), tmp_path, hints=hints)
    assert record.lead_names == ("MLII", "V5")
    assert record.signal[0, :6].tolist() == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0])
    assert record.notes == ()


def test_an_empty_cell_is_a_missing_sample(tmp_path: Path) -> None:
    content = ecg_files.csv().replace(b"\n0.0400,", b"\n0.0400,,9999", 1)
    lines = content.decode().splitlines()
    assert lines[11].startswith("0.0400,,9999")
    lines[11] = "0.0400,,0.5"
    record = read_file("a.csv", rows(*lines), tmp_path)
    assert np.isnan(record.signal[0, 10])
    assert record.signal[1, 10] == 0.5
    assert np.isnan(record.signal).sum() == 1


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("0.0400,abc,0.5", "line 12, column 2: expected a number, found 'abc'"),
        ("0.0400,1,2,3", "line 12: 4 columns, expected 3"),
        ("0.0400,inf,1", "line 12, column 2: expected a number, found 'inf'"),
    ],
)
def test_a_bad_cell_is_found(line: str, says: str, tmp_path: Path) -> None:
    lines = ecg_files.csv().decode().splitlines()
    lines[11] = line
    with pytest.raises(EctopyError) as caught:
        read_file("a.csv", rows(*lines), tmp_path)
    assert says in caught.value.detail or "sample of inf" in caught.value.detail


def test_a_row_that_is_missing_is_noticed(tmp_path: Path) -> None:
    lines = ecg_files.csv().decode().splitlines()
    del lines[200]
    with pytest.raises(UnusableInput, match="row 200 has"):
        read_file("a.csv", rows(*lines), tmp_path)


def test_times_rounded_to_milliseconds_give_a_whole_rate(tmp_path: Path) -> None:
    record = read_file("a.csv", plain_csv("time_s,I", 1, rate_hz=360), tmp_path)
    assert record.sampling_rate_hz == 360.0


# --- JSON


def test_json_without_a_rate_or_unit_asks_the_request(tmp_path: Path) -> None:
    body = json.loads(ecg_files.json_leads())
    content = json.dumps({"leads": body["leads"]}).encode()
    with pytest.raises(UnusableInput, match="send it as sampling_rate_hz"):
        read_file("a.json", content, tmp_path)
    hints = ReadHints(sampling_rate_hz=500.0, units="uV")
    record = read_file("a.json", content, tmp_path, hints=hints)
    np.testing.assert_allclose(record.signal, MV / 1000, atol=1e-8)
    assert record.sampling_rate_hz == 500.0


def test_null_is_a_missing_sample(tmp_path: Path) -> None:
    content = ecg_files.json_leads(leads={"II": [0.1, None, 0.2, None] * 100})
    assert np.isnan(read_file("a.json", content, tmp_path).signal[0, 1::2]).all()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"leads": {"I": [1.0] * 300, "II": [1.0] * 299}}, "different numbers of samples"),
        ({"leads": {"I": [1.0, "2"]}}, r"leads\.I\[1\]: expected a number or null, found '2'"),
        ({"leads": {"I": [1.0, True]}}, r"leads\.I\[1\]"),
        ({"leads": {"I": 5}}, "expected a list"),
        ({"leads": []}, "expected `leads` as an object"),
        ({"sampling_rate": "fast"}, "expected `sampling_rate` as a number"),
        ({"sampling_rate": True}, "expected `sampling_rate` as a number"),
        ({"units": 7}, "expected `units` as text"),
    ],
)
def test_json_that_is_wrong_is_refused(
    changes: dict[str, object], says: str, tmp_path: Path
) -> None:
    with pytest.raises(MalformedInput, match=says):
        read_file("a.json", ecg_files.json_leads(**changes), tmp_path)


# --- FHIR


def test_fhir_marks_of_error_are_missing_samples(tmp_path: Path) -> None:
    data = " ".join(["1", "E", "2", "U", "L"] * 100)
    record = read_file("a.json", ecg_files.fhir(data=data), tmp_path)
    np.testing.assert_allclose(record.signal[0, :5], [0.005, np.nan, 0.01, np.nan, np.nan])


@pytest.mark.parametrize(
    ("code", "lead"),
    [
        ({"coding": [{"display": "MDC_ECG_ELEC_POTL_V3"}]}, "V3"),
        ({"text": "Lead aVF"}, "aVF"),
        ({"text": "ECG of Mrs Doe"}, "lead 1"),  # free text is not kept
        ({"coding": "?"}, "lead 1"),
        (None, "lead 1"),
    ],
)
def test_a_fhir_lead_is_known_by_code_display_or_text(
    code: object, lead: str, tmp_path: Path
) -> None:
    body = json.loads(ecg_files.fhir())
    body = {"resourceType": "Observation", "effectivePeriod": {"start": "2026-03-02"},
            "code": code, "valueSampledData": body["component"][0]["valueSampledData"]}  # fmt: skip
    record = read_file("a.json", json.dumps(body).encode(), tmp_path)
    assert record.lead_names == (lead,)
    assert str(record.start_time) == "2026-03-02 00:00:00"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"dimensions": 3}, "more than one dimension"),
        ({"period": 0}, "no sampling interval"),
        ({"period": "4"}, "expected a number"),
        ({"factor": None}, "expected a number"),
        ({"origin": {"value": 0, "unit": "mm"}}, "expected a unit of voltage"),
        ({"data": "1 2 x"}, "a sample is not a number"),
        ({"data": ""}, "expected numbers"),
    ],
)
def test_fhir_that_is_wrong_is_refused(
    changes: dict[str, object], says: str, tmp_path: Path
) -> None:
    with pytest.raises(EctopyError, match=says):
        read_file("a.json", ecg_files.fhir(**changes), tmp_path)


# --- MATLAB


@pytest.mark.parametrize("compressed", [True, False])
def test_a_struct_is_read_with_its_rate_unit_and_leads(compressed: bool, tmp_path: Path) -> None:
    record = read_file("a.mat", ecg_files.matlab(compressed=compressed), tmp_path)
    np.testing.assert_array_equal(record.signal, MV)
    assert record.notes == ()


def test_a_matrix_of_samples_by_leads_is_turned(tmp_path: Path) -> None:
    target = io.BytesIO()
    scipy.io.savemat(target, {"ecg": MV.T, "Fs": np.array([[250]], dtype=np.uint16)})
    record = read_file("a.mat", target.getvalue(), tmp_path)
    np.testing.assert_array_equal(record.signal, MV)


def test_level_4_is_read_too(tmp_path: Path) -> None:
    content = ecg_files.matlab(version="4")
    np.testing.assert_array_equal(read_file("a.mat", content, tmp_path).signal, MV)


def test_whole_numbers_need_a_unit(tmp_path: Path) -> None:
    target = io.BytesIO()
    scipy.io.savemat(target, {"val": ecg_files.made_counts(), "fs": 250.0}, format="4")
    with pytest.raises(UnusableInput, match="whole numbers and no unit"):
        read_file("a.mat", target.getvalue(), tmp_path)
    hints = ReadHints(units="uV")
    record = read_file("a.mat", target.getvalue(), tmp_path, hints=hints)
    assert record.signal.max() == pytest.approx(0.199)


def test_values_beside_the_signal_do_no_harm(tmp_path: Path) -> None:
    content = ecg_files.matlab(
        text="x" * 50, empty=np.zeros((0, 0)), cells=np.array([1, "a"], dtype=object), z=1j
    )
    np.testing.assert_array_equal(read_file("a.mat", content, tmp_path).signal, MV)

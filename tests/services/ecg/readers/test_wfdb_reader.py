"""WFDB records as a whole: units, rates, segments, annotations, notes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import wfdb

from services.ecg.readers.base import Limits
from services.ecg.record import EcgRecord
from services.errors import MalformedInput, TooLarge, UnusableInput
from tests import corpus
from tests.services.ecg.readers.test_detect import read

ECG = corpus.made_ecg()


def with_lines(*lines: str, data: bytes | None = None, n_samples: int = 3600) -> dict[str, bytes]:
    text = "\n".join([f"rec {len(lines)} 360 {n_samples}", *lines]) + "\n"
    return {"rec.hea": text.encode(), "rec.dat": ECG.tobytes() if data is None else data}


@pytest.mark.parametrize(
    ("unit", "factor"),
    [("mV", 1.0), ("mv", 1.0), ("uV", 1e-3), ("V", 1e3), ("\u00b5V", 1e-3), ("microvolts", 1e-3)],
)
def test_voltages_become_millivolts(unit: str, factor: float, tmp_path: Path) -> None:
    files = with_lines(f"rec.dat 16 200(8)/{unit} 16 0 0 0 0 II", f"rec.dat 16 200/{unit}")
    record = read(files, tmp_path)
    assert record.units == ("mV", "mV")
    np.testing.assert_allclose(record.signal[0], (ECG[:, 0] - 8.0) / 200 * factor, rtol=1e-6)


@pytest.mark.parametrize(
    ("line", "unit", "factor"),
    [
        ("20(-1600)/mmHg 12 0 0 0 0 ABP", "mmHg", (1 / 20, 80)),
        ("200/mV 12 0 0 0 0 Resp", "uV", (5.0, 0)),
        ("200 12 0 0 0 0 PLETH", "NU", (1 / 200, 0)),
    ],
)
def test_what_is_no_ecg_keeps_another_unit(
    line: str, unit: str, factor: tuple[float, float], tmp_path: Path
) -> None:
    record = read(with_lines("rec.dat 16 200/mV 0 0 0 0 0 II", f"rec.dat 16 {line}"), tmp_path)
    assert record.units == ("mV", unit)
    assert record.ecg_lead_indices == (0,)
    np.testing.assert_allclose(record.signal[1], ECG[:, 1] * factor[0] + factor[1], rtol=1e-6)


def test_a_missing_gain_is_assumed_and_said(tmp_path: Path) -> None:
    record = read(with_lines("rec.dat 16", "rec.dat 16 200/mV"), tmp_path)
    assert record.notes == ("the header gives no gain for lead 1: 200 per unit is assumed",)


def test_missing_samples_are_nan(tmp_path: Path) -> None:
    data = ECG.copy()
    data[100:200, 1] = -32768
    record = read(corpus.good_record() | {"rec.dat": data.tobytes()}, tmp_path)
    assert np.flatnonzero(np.isnan(record.signal[1])).tolist() == list(range(100, 200))
    assert not np.isnan(record.signal[0]).any()


@pytest.mark.parametrize(("value", "says"), [(-32768, "V1 has no valid sample"), (7, "V1 is flat")])
def test_one_lead_without_a_signal_is_a_note(value: int, says: str, tmp_path: Path) -> None:
    data = ECG.copy()
    data[:, 1] = value
    record = read(corpus.good_record() | {"rec.dat": data.tobytes()}, tmp_path)
    assert says in record.notes[0]


def test_a_checksum_that_differs_is_a_note(tmp_path: Path) -> None:
    sums = [int(ECG[:, i].sum(dtype=np.int64) % 65536) for i in range(2)]
    lines = [f"rec.dat 16 200/mV 16 0 0 {total} 0 L{i}" for i, total in enumerate(sums)]
    assert read(with_lines(*lines), tmp_path).notes == ()
    lines[1] = f"rec.dat 16 200/mV 16 0 0 {sums[1] - 65536 + 1} 0 L1"
    (tmp_path / "b").mkdir()
    assert "rec.hea, line 3" in read(with_lines(*lines), tmp_path / "b").notes[0]


def test_a_skewed_signal_is_moved_and_its_end_is_missing(tmp_path: Path) -> None:
    lines = ("rec.dat 16 200/mV 0 0 0 0 0 II", "rec.dat 16:10 200/mV 0 0 0 0 0 V1")
    record = read(with_lines(*lines), tmp_path)
    np.testing.assert_allclose(record.signal[1, :-10], ECG[10:, 1] / 200, rtol=1e-6)
    assert np.isnan(record.signal[1, -10:]).all()
    np.testing.assert_allclose(record.signal[0], ECG[:, 0] / 200, rtol=1e-6)


def test_a_skew_longer_than_the_record_leaves_nothing_of_the_lead(tmp_path: Path) -> None:
    lines = ("rec.dat 16 200/mV 0 0 0 0 0 II", "rec.dat 16:5000 200/mV 0 0 0 0 0 V1")
    record = read(with_lines(*lines), tmp_path)
    assert np.isnan(record.signal[1]).all()


def test_the_length_comes_from_the_data_when_the_header_has_none(tmp_path: Path) -> None:
    record = read(with_lines("rec.dat 16 200/mV", "rec.dat 16 200/mV", n_samples=0), tmp_path)
    assert record.n_samples == len(ECG)


def test_signals_may_lie_in_several_files(tmp_path: Path) -> None:
    files = with_lines("a.dat 16 200/mV 0 0 0 0 0 I", "b.dat 61 200/mV 0 0 0 0 0 II")
    del files["rec.dat"]
    files |= {"a.dat": ECG[:, 0].tobytes(), "b.dat": ECG[:, 1].astype(">i2").tobytes()}
    np.testing.assert_allclose(read(files, tmp_path).signal, ECG.T / 200, rtol=1e-6)


def test_leads_get_standard_and_distinct_names(tmp_path: Path) -> None:
    lines = [f"rec.dat 16 200/mV 0 0 0 0 0 {name}" for name in ("ECG lead ii", "ECG", "ECG", "avr")]
    record = read(with_lines(*lines, n_samples=1800), tmp_path)
    assert record.lead_names == ("II", "ECG", "ECG #2", "aVR")


def test_the_ecg_sets_the_rate_and_slower_channels_are_held(tmp_path: Path) -> None:
    lines = ("rec.dat 16x3 200/mV 0 0 0 0 0 II", "rec.dat 16 2/mmHg 0 0 0 0 0 ABP")
    frames = ECG.reshape(-1, 4)
    record = read(with_lines(*lines, n_samples=len(frames)), tmp_path)
    assert record.sampling_rate_hz == 1080
    np.testing.assert_allclose(record.signal[0], frames[:, :3].reshape(-1) / 200, rtol=1e-6)
    np.testing.assert_allclose(record.signal[1], np.repeat(frames[:, 3], 3) / 2, rtol=1e-6)
    assert "ABP was recorded at 360 Hz" in record.notes[0]


def multi_segment(layout: str = "") -> dict[str, bytes]:
    """Ten seconds, a gap of one, ten seconds of which the second lead is absent."""
    master = f"all/{4 if layout else 3} 2 360 7560\n{layout}one 3600\n~ 360\ntwo 3600\n"
    two = corpus.header("two", n_signals=1 if layout else 2, file="two.dat", leads=("V1",)) \
        if layout else corpus.header("two", file="two.dat")  # fmt: skip
    files = {
        "all.hea": master.encode(),
        "one.hea": corpus.header("one", file="one.dat"),
        "one.dat": ECG.tobytes(),
        "two.hea": two,
        "two.dat": ECG[:, 1].tobytes() if layout else ECG.tobytes(),
    }
    if layout:
        files["layout.hea"] = corpus.header("layout", n_samples=0, file="~", storage=0)
    return files


def test_fixed_segments_are_one_record_with_the_gap_missing(tmp_path: Path) -> None:
    record = read(multi_segment(), tmp_path)
    assert (record.name, record.n_samples) == ("all", 7560)
    np.testing.assert_allclose(record.signal[:, 3960:], ECG.T / 200, rtol=1e-6)
    assert np.isnan(record.signal[:, 3600:3960]).all()
    assert np.isnan(record.signal).sum() == 2 * 360


def test_variable_segments_are_placed_by_the_name_of_the_lead(tmp_path: Path) -> None:
    record = read(multi_segment("layout 0\n"), tmp_path)
    np.testing.assert_allclose(record.signal[1, 3960:], ECG[:, 1] / 200, rtol=1e-6)
    assert np.isnan(record.signal[0, 3600:]).all()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"two.hea": None}, "all.hea, line 4: the header of segment two"),
        ({"two.dat": None}, "two.hea, line 2: the signal file two.dat was not sent"),
        ({"two.hea": corpus.header("two", file="two.dat", rate=250)}, "250 frames a second"),
        ({"two.hea": corpus.header("two", file="two.dat", n_samples=3000)}, "3600 samples here"),
        ({"two.hea": corpus.header("two", file="two.dat", gain="1/mmHg")}, "MLII is in mmHg"),
        (
            {"two.hea": corpus.header("two", n_signals=1, file="two.dat", leads=("I",))},
            "segment two has 1 signals",
        ),
        ({"all.hea": b"all/2 2 360 9999\none 3600\ntwo 3600\n"}, "its segments have 7200"),
    ],
)
def test_segments_must_fit_together(
    change: dict[str, bytes | None], says: str, tmp_path: Path
) -> None:
    files = {name: data for name, data in (multi_segment() | change).items() if data is not None}
    with pytest.raises(MalformedInput) as caught:
        read(files, tmp_path)
    assert says in caught.value.detail


def test_a_frame_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    lines = ("rec.dat 16 200/mV", "rec.dat 16x999999 2/mmHg", "rec.dat 16x9 2/mmHg")
    with pytest.raises(TooLarge, match="a frame of 1,000,009 samples"):
        read(with_lines(*lines), tmp_path)


def test_a_record_of_gaps_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableInput, match="no segment but gaps"):
        read({"all.hea": b"all/1 2 360 3600\n~ 3600\n"}, tmp_path)


def test_a_gap_beyond_all_limits_is_refused(tmp_path: Path) -> None:
    files = corpus.good_record() | {"all.hea": b"all/2 2 360\nrec 3600\n~ 999999999999\n"}
    with pytest.raises(TooLarge):
        read(files, tmp_path)


def annotated(folder: Path, samples: list[int], extension: str = "atr") -> dict[str, bytes]:
    wfdb.wrann(
        "rec", extension, np.array(samples), symbol=["N"] * len(samples), write_dir=str(folder)
    )
    return {f"rec.{extension}": (folder / f"rec.{extension}").read_bytes()}


def record_with(files: dict[str, bytes], folder: Path) -> EcgRecord:
    return read(corpus.good_record() | files, folder)


def test_annotations_inside_the_signal_are_kept(tmp_path: Path) -> None:
    record = record_with(annotated(tmp_path, [0, 300, 3599, 3600, 90_000]), tmp_path)
    assert record.annotations is not None
    assert record.annotations.sample.tolist() == [0, 300, 3599]
    assert record.notes == (
        "rec.atr: 2 annotations lie outside of the signal and are left out",
    )  # fmt: skip


def test_the_reference_is_chosen_and_the_others_named(tmp_path: Path) -> None:
    files = annotated(tmp_path, [1, 2], "qrs") | annotated(tmp_path, [5], "atr")
    files |= {"README": b"hello", "rec.xws": b"not annotations"}
    record = record_with(files, tmp_path)
    assert record.annotations is not None
    assert record.annotations.sample.tolist() == [5]
    assert record.notes == ("not read as a part of the record: README, rec.qrs, rec.xws",)


def test_a_record_without_annotations_has_none(tmp_path: Path) -> None:
    assert record_with({}, tmp_path).annotations is None


def test_declared_leads_and_values_are_limited(tmp_path: Path) -> None:
    with pytest.raises(TooLarge, match="at most 1 are read"):
        read(corpus.good_record(), tmp_path, Limits(max_leads=1))
    (tmp_path / "b").mkdir()
    with pytest.raises(TooLarge, match="at most 7,199 values"):
        read(corpus.good_record(), tmp_path / "b", Limits(max_values=7199))

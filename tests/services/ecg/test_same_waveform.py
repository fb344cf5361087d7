"""Copies of a recording are known again; recordings that only keep time together are not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from services.ecg.readers.files import record_from_path
from services.ecg.record import EcgRecord
from services.ecg.resampling import resampled
from services.ecg.rhythm_print import beat_times, meetings
from services.ecg.same_waveform import SAME, likeness
from services.ecg.training_beats import read_training_beats, write_training_beats
from services.errors import MalformedInput
from tests.labelled import rhythm

MITDB = Path(__file__).resolve().parents[4] / "shared" / "data" / "mitdb"
NAMES = ("MLII", "V1")


def record(seed: int, *, duration_s: float = 60.0) -> EcgRecord:
    return EcgRecord(rhythm(seed, duration_s=duration_s)[0], NAMES, 360.0)


def cut(whole: EcgRecord, start_s: float, length_s: float, *, gain: float = 1.0) -> EcgRecord:
    first = round(start_s * whole.sampling_rate_hz)
    last = first + round(length_s * whole.sampling_rate_hz)
    return replace(whole, signal=np.asarray(gain * whole.signal[:, first:last], np.float32))


@pytest.mark.parametrize("gain", [1.0, 0.3, -1.0])
def test_a_stretch_at_another_gain_is_found_in_the_whole(gain: float) -> None:
    whole = record(1)
    part = cut(whole, 20.0, 12.0, gain=abs(gain))
    (met,) = meetings([beat_times(whole), beat_times(part)])
    assert met.lag_s == pytest.approx(20.0, abs=0.01)
    turned = replace(part, signal=np.asarray(np.sign(gain) * part.signal, np.float32))
    alike = likeness(whole, turned, lag_s=met.lag_s)
    assert (alike > SAME) == (gain > 0)  # upside down it is another recording


def test_a_copy_at_another_rate_with_other_leads_is_the_same() -> None:
    whole = record(2)
    signal = resampled(whole.signal[:1], from_hz=360.0, to_hz=250.0)
    copy = EcgRecord(signal, ("ECG",), 250.0)
    (met,) = meetings([beat_times(whole), beat_times(copy)])
    assert abs(met.lag_s) < 0.02
    assert likeness(whole, copy, lag_s=met.lag_s) > SAME


def test_other_rhythms_do_not_meet() -> None:
    assert list(meetings([beat_times(record(seed)) for seed in range(1, 15)])) == []


def test_the_same_rhythm_with_another_shape_is_not_the_same_waveform() -> None:
    whole = record(3)
    other = replace(whole, signal=np.asarray(np.abs(np.diff(whole.signal, prepend=0)), np.float32))
    assert likeness(whole, other, lag_s=0.0) < SAME


def test_a_shared_stretch_that_is_too_short_says_nothing() -> None:
    whole = record(4)
    assert np.isnan(likeness(whole, cut(whole, 57.0, 3.0), lag_s=57.0))


def test_records_with_few_beats_are_passed_over() -> None:
    assert list(meetings([np.empty(0, np.float32), beat_times(record(5, duration_s=4.0))])) == []


def test_training_beats_are_kept_to_the_millisecond(tmp_path: Path) -> None:
    beats = {"b": beat_times(record(6)), "a": beat_times(record(7)), "none": np.empty(0, "f4")}
    write_training_beats(tmp_path / "t.npz", beats)
    found = read_training_beats(tmp_path / "t.npz")
    assert sorted(found) == ["a", "b", "none"]
    np.testing.assert_allclose(found["a"], beats["a"], atol=0.0006)
    (met,) = meetings([beat_times(record(6))], list(found.values()))
    assert list(found)[met.second] == "b"


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no", b"\x93NUMPY"])
def test_a_file_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.npz").write_bytes(content)
    with pytest.raises(MalformedInput):
        read_training_beats(tmp_path / "t.npz")


@pytest.mark.skipif(not MITDB.is_dir(), reason="needs MIT-BIH records in ../shared/data/mitdb")
def test_stretches_of_ten_seconds_of_real_records_are_found_and_no_others_taken_for_them() -> None:
    """Of 48 records and 8 stretches of each on one lead, at another gain."""
    names = sorted(path.stem for path in MITDB.glob("*.hea"))
    whole = [record_from_path(MITDB / name) for name in names]
    prints = [beat_times(each) for each in whole]
    assert list(meetings(prints)) == []
    generator = np.random.default_rng(0)
    starts = [(n, s) for n in range(len(whole)) for s in generator.uniform(0, 1790, 8)]
    parts = []
    for n, start_s in starts:
        part = cut(whole[n], start_s, 10.0, gain=1.7)
        parts.append(
            replace(part, signal=part.signal[:1], lead_names=part.lead_names[:1], units=("mV",))
        )
    found, wrong = set(), []
    for met in meetings([beat_times(part) for part in parts], prints):
        alike = likeness(parts[met.first], whole[met.second], lag_s=met.lag_s)
        if alike >= SAME and met.second == starts[met.first][0]:
            found.add(met.first)
        elif met.second != starts[met.first][0]:
            wrong.append(alike)
    assert len(found) > 0.85 * len(parts)
    assert max(wrong) < SAME - 0.03

from pathlib import Path

import numpy as np
import pytest

from services.ecg import rpeaks
from services.ecg.readers.files import record_from_path
from services.ecg.record import IntArray
from services.ecg.rpeaks import METHODS, r_peaks
from services.evaluation.beats import LabelledBeats, record_confusion
from tests.signals import made_ecg

MITDB = Path(__file__).resolve().parents[4] / "shared" / "data" / "mitdb"


def assert_same_beats(found: IntArray, expected: IntArray, *, within: float) -> None:
    assert len(found) == len(expected), f"{len(found)} found, {len(expected)} expected"
    assert np.abs(found - expected).max() <= within


@pytest.mark.parametrize("rate_hz", [100.0, 128.0, 200.0, 250.0, 257.0, 360.0, 500.0, 1000.0])
def test_every_beat_is_found_at_every_rate(rate_hz: float) -> None:
    ecg, peaks = made_ecg(sampling_rate_hz=rate_hz)
    found = r_peaks(ecg, sampling_rate_hz=rate_hz)
    assert_same_beats(found, peaks, within=max(1.0, 0.005 * rate_hz))
    assert found.dtype == np.int64


@pytest.mark.parametrize("gains_mv", [(1.0,), (-1.0,), (0.1, 0.05), (20.0, -30.0), (0.3,) * 12])
def test_size_direction_and_number_of_leads_do_not_matter(gains_mv: tuple[float, ...]) -> None:
    ecg, peaks = made_ecg(lead_gains_mv=gains_mv, noise_mv=0.005)
    assert_same_beats(r_peaks(ecg, sampling_rate_hz=360.0), peaks, within=2)


@pytest.mark.parametrize("bpm", [35.0, 60.0, 120.0, 190.0])
def test_slow_and_fast_hearts_are_followed(bpm: float) -> None:
    ecg, peaks = made_ecg(heart_rate_bpm=bpm, duration_s=40.0)
    # at 190 a minute the made T wave falls on the next QRS complex
    assert_same_beats(r_peaks(ecg, sampling_rate_hz=360.0), peaks, within=3)


def test_an_offset_and_mains_interference_do_not_disturb() -> None:
    ecg, peaks = made_ecg()
    mains = 0.2 * np.sin(2 * np.pi * 50 * np.arange(ecg.shape[1]) / 360)
    disturbed = (ecg + 50 + mains).astype(np.float32)
    assert_same_beats(r_peaks(disturbed, sampling_rate_hz=360.0), peaks, within=4)


@pytest.mark.parametrize("bad", [np.nan, 0.4])
def test_a_lead_without_signal_leaves_the_other_one_to_decide(bad: float) -> None:
    ecg, peaks = made_ecg()
    ecg[0] = bad
    assert_same_beats(r_peaks(ecg, sampling_rate_hz=360.0), peaks, within=2)


def test_no_beat_is_lost_where_a_lead_comes_off() -> None:
    ecg, peaks = made_ecg(duration_s=120.0, lead_gains_mv=(1.2, 0.5))
    ecg[0, 10_000:15_000] = np.nan
    ecg[0, 25_000:32_000] = 0.7
    # the edge of the flat stretch falls into no beat of this signal
    assert_same_beats(r_peaks(ecg, sampling_rate_hz=360.0), peaks, within=3)


def test_a_burst_in_one_lead_makes_no_beats_between_the_beats() -> None:
    ecg, peaks = made_ecg(duration_s=60.0)
    burst = np.random.default_rng(1).standard_normal(1500)
    ecg[1, 8000:9500] += (0.6 * burst).astype(np.float32)
    assert_same_beats(r_peaks(ecg, sampling_rate_hz=360.0), peaks, within=3)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("signal", [np.zeros((2, 0)), np.zeros((0, 4000)), np.zeros((1, 200))])
def test_a_signal_too_short_to_judge_has_no_peaks(
    method: str, signal: np.ndarray[tuple[int, int], np.dtype[np.float64]]
) -> None:
    found = r_peaks(signal.astype(np.float32), sampling_rate_hz=360.0, method=method)
    assert found.shape == (0,)
    assert found.dtype == np.int64


@pytest.mark.parametrize("value", [0.0, 1.5, np.nan])
def test_a_signal_without_beats_has_no_peaks(value: float) -> None:
    still = np.full((2, 7200), value, dtype=np.float32)
    assert len(r_peaks(still, sampling_rate_hz=360.0)) == 0


def test_cutting_a_long_record_into_pieces_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    ecg, peaks = made_ecg(duration_s=200.0)
    whole = r_peaks(ecg, sampling_rate_hz=360.0)
    monkeypatch.setattr(rpeaks, "PIECE_S", 45.0)
    np.testing.assert_array_equal(r_peaks(ecg, sampling_rate_hz=360.0), whole)
    assert_same_beats(whole, peaks, within=2)


def test_the_guides_method_reads_the_lead_it_is_told_and_points_at_the_r_peak() -> None:
    ecg, peaks = made_ecg(duration_s=30.0)
    ecg[0] = 0.0
    found = r_peaks(ecg, sampling_rate_hz=360.0, method="hamilton2002", lead=1)
    near = np.abs(found[:, None] - peaks[None, :]).min(axis=0)
    assert np.mean(near <= 4) > 0.9


@pytest.mark.parametrize("method", [name for name in METHODS if name != "ectopy"])
def test_every_guide_method_named_finds_beats(method: str) -> None:
    ecg, peaks = made_ecg(duration_s=30.0, lead_gains_mv=(1.2,))
    found = r_peaks(ecg, sampling_rate_hz=360.0, method=method)
    assert 0.8 * len(peaks) <= len(found) <= 1.2 * len(peaks)
    assert (np.diff(found) > 0).all()


def test_an_unknown_method_is_named() -> None:
    with pytest.raises(ValueError, match="pantompkins1985"):
        r_peaks(np.zeros((1, 999), dtype=np.float32), sampling_rate_hz=360.0, method="guess")


@pytest.mark.skipif(not MITDB.is_dir(), reason="needs the MIT-BIH records in ../shared")
@pytest.mark.parametrize(("name", "worst"), [("101", 0.995), ("108", 0.99), ("208", 0.99)])
def test_real_beats_are_found_where_the_guides_detector_fails(name: str, worst: float) -> None:
    record = record_from_path(MITDB / name)
    assert record.annotations is not None
    found = r_peaks(record.signal, sampling_rate_hz=record.sampling_rate_hz)
    matrix = record_confusion(
        record.annotations,
        LabelledBeats(found, np.zeros(len(found), dtype=np.int64)),
        sampling_rate_hz=record.sampling_rate_hz,
    )
    n_beats, missed, false = matrix[:5].sum(), matrix[:, 5].sum(), matrix[5].sum()
    assert missed / n_beats < 1 - worst
    assert false / n_beats < 1 - worst

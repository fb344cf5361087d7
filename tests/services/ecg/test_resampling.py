import numpy as np
import pytest

from services.ecg.resampling import indices_at_rate, resampled, resampled_length
from tests.signals import made_ecg

RATES_HZ = [100.0, 128.0, 200.0, 250.0, 257.0, 359.9, 500.0, 1000.0]


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_a_wave_below_both_nyquist_frequencies_survives(rate_hz: float) -> None:
    time_s = np.arange(round(20 * rate_hz)) / rate_hz
    wave = (np.sin(2 * np.pi * 17 * time_s) + 2 + 0.1 * time_s)[None].astype(np.float32)
    out = resampled(wave, from_hz=rate_hz, to_hz=360.0)
    at_s = np.arange(out.shape[1]) / 360.0
    expected = np.sin(2 * np.pi * 17 * at_s) + 2 + 0.1 * at_s
    np.testing.assert_allclose(out[0, 360:-360], expected[360:-360], atol=2e-3)
    assert out.dtype == np.float32


@pytest.mark.parametrize("hz", [185.0, 300.0, 450.0])
def test_what_would_fold_back_is_removed(hz: float) -> None:
    time_s = np.arange(20_000) / 1000.0
    wave = np.sin(2 * np.pi * hz * time_s)[None].astype(np.float32)
    out = resampled(wave, from_hz=1000.0, to_hz=360.0)
    assert np.abs(out[0, 400:-400]).max() < 0.002


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_indices_go_there_and_back_within_one_sample(rate_hz: float) -> None:
    n_there = resampled_length(100_000, from_hz=rate_hz, to_hz=360.0)
    indices = np.arange(0, 100_000, 37)
    there = indices_at_rate(indices, from_hz=rate_hz, to_hz=360.0, n_samples=n_there)
    back = indices_at_rate(there, from_hz=360.0, to_hz=rate_hz, n_samples=100_000)
    assert np.abs(back - indices).max() <= 1
    assert there.dtype == np.int64


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_an_index_points_at_the_same_moment_at_either_rate(rate_hz: float) -> None:
    ecg, peaks = made_ecg(sampling_rate_hz=rate_hz, noise_mv=0.0)
    out = resampled(ecg, from_hz=rate_hz, to_hz=360.0)
    assert out.shape[1] == resampled_length(ecg.shape[1], from_hz=rate_hz, to_hz=360.0)
    at = indices_at_rate(peaks, from_hz=rate_hz, to_hz=360.0, n_samples=out.shape[1])
    for peak in at:
        found = peak - 10 + np.argmax(out[0, peak - 10 : peak + 11])
        assert abs(found - peak) <= max(1, 360.0 / rate_hz)


def test_indices_stay_inside_the_signal() -> None:
    at = indices_at_rate(np.array([0, 999]), from_hz=100.0, to_hz=360.0, n_samples=3590)
    assert at.tolist() == [0, 3589]


def test_the_same_rate_gives_an_equal_copy() -> None:
    ecg, _ = made_ecg(duration_s=2.0)
    out = resampled(ecg, from_hz=360.0, to_hz=360.0)
    np.testing.assert_array_equal(out, ecg)
    assert out is not ecg


def test_a_gap_is_found_at_the_same_time_after_resampling() -> None:
    ecg, _ = made_ecg(sampling_rate_hz=250.0)
    ecg[1, 1000:1500] = np.nan
    out = resampled(ecg, from_hz=250.0, to_hz=360.0)
    assert np.isfinite(out[0]).all()
    missing = np.flatnonzero(np.isnan(out[1]))
    assert abs(missing[0] - 1440) <= 1
    assert abs(missing[-1] - 2159) <= 1
    assert len(missing) == missing[-1] - missing[0] + 1


def test_a_rate_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="positive"):
        resampled(np.zeros((1, 5), dtype=np.float32), from_hz=0.0, to_hz=360.0)

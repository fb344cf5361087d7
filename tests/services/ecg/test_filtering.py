from collections.abc import Callable

import numpy as np
import pytest

from services.ecg.filtering import (
    MARGIN_S,
    bandstop_not_needed,
    bandstopped,
    denoised,
    without_baseline,
)
from services.ecg.record import FloatArray
from tests.signals import made_ecg


def wave(hz: float, *, sampling_rate_hz: float, duration_s: float = 40.0) -> FloatArray:
    time_s = np.arange(round(duration_s * sampling_rate_hz)) / sampling_rate_hz
    return np.sin(2 * np.pi * hz * time_s)[None].astype(np.float32)


def gain(filtered: FloatArray, original: FloatArray) -> float:
    inside = slice(filtered.shape[1] // 4, -filtered.shape[1] // 4)
    return float(np.std(filtered[:, inside]) / np.std(original[:, inside]))


@pytest.mark.parametrize("hz", [50.0, 55.0, 60.0])
@pytest.mark.parametrize("rate_hz", [128.0, 200.0, 257.0, 360.0, 1000.0])
def test_mains_interference_is_gone_at_every_rate(hz: float, rate_hz: float) -> None:
    mains = wave(hz, sampling_rate_hz=rate_hz)
    assert gain(bandstopped(mains, sampling_rate_hz=rate_hz), mains) < 0.05


@pytest.mark.parametrize("hz", [0.2, 1.0, 10.0, 35.0, 80.0])
def test_the_band_stop_lets_everything_else_pass(hz: float) -> None:
    heart = wave(hz, sampling_rate_hz=360.0)
    assert gain(bandstopped(heart, sampling_rate_hz=360.0), heart) > 0.95


def test_a_rate_too_low_to_hold_mains_is_left_alone_and_says_why() -> None:
    signal = wave(5.0, sampling_rate_hz=90.0)
    reason = bandstop_not_needed(90.0)
    assert reason is not None
    assert "45 Hz" in reason
    np.testing.assert_array_equal(bandstopped(signal, sampling_rate_hz=90.0), signal)
    assert bandstop_not_needed(128.0) is None


def test_slow_wander_goes_and_the_heart_stays() -> None:
    assert gain(*both(without_baseline, 0.1)) < 0.01
    assert gain(*both(without_baseline, 0.2)) < 0.05
    assert gain(*both(without_baseline, 1.0)) > 0.9
    assert gain(*both(without_baseline, 10.0)) == pytest.approx(1.0, abs=0.01)


def both(filter_: Callable[..., FloatArray], hz: float) -> tuple[FloatArray, FloatArray]:
    signal = wave(hz, sampling_rate_hz=360.0, duration_s=120.0)
    return filter_(signal, sampling_rate_hz=360.0), signal


def test_an_offset_disappears_even_if_it_is_huge() -> None:
    ecg, _ = made_ecg()
    centered = denoised(ecg, sampling_rate_hz=360.0)
    shifted = denoised(ecg + np.float32(300.0), sampling_rate_hz=360.0)
    assert abs(float(shifted.mean())) < 0.02
    np.testing.assert_allclose(shifted, centered, atol=1e-3)


def test_the_band_stop_keeps_the_offset() -> None:
    signal = np.full((1, 4000), 7.5, dtype=np.float32)
    np.testing.assert_allclose(bandstopped(signal, sampling_rate_hz=360.0), signal, atol=1e-4)


def test_no_wave_moves() -> None:
    ecg, peaks = made_ecg(noise_mv=0.0)
    clean = denoised(ecg, sampling_rate_hz=360.0)
    for peak in peaks:
        assert abs(np.argmax(clean[0, peak - 20 : peak + 21]) - 20) <= 1


def test_denoised_is_both_filters_after_one_another() -> None:
    ecg, _ = made_ecg()
    twice = without_baseline(bandstopped(ecg, sampling_rate_hz=360.0), sampling_rate_hz=360.0)
    once = denoised(ecg, sampling_rate_hz=360.0)
    margin = round(MARGIN_S * 360)
    np.testing.assert_allclose(once[:, margin:-margin], twice[:, margin:-margin], atol=5e-3)


def test_a_piece_with_its_margin_gives_what_the_whole_gives() -> None:
    ecg, _ = made_ecg(duration_s=60.0)
    whole = denoised(ecg, sampling_rate_hz=360.0)
    margin = round(MARGIN_S * 360)
    piece = denoised(ecg[:, 7200 - margin : 14400 + margin], sampling_rate_hz=360.0)
    np.testing.assert_allclose(piece[:, margin:-margin], whole[:, 7200:14400], atol=2e-5)


def test_gaps_stay_gaps_and_spoil_nothing_around_them() -> None:
    ecg, _ = made_ecg()
    gappy = ecg.copy()
    gappy[0, 3000:3400] = np.nan
    gappy[1, :] = np.nan
    clean = denoised(gappy, sampling_rate_hz=360.0)
    assert np.isnan(clean[0, 3000:3400]).all()
    assert np.isnan(clean[1]).all()
    assert np.isfinite(np.delete(clean[0], np.arange(3000, 3400))).all()
    far = denoised(ecg, sampling_rate_hz=360.0)[0, 5500:]
    np.testing.assert_allclose(clean[0, 5500:], far, atol=1e-4)


def test_the_input_is_left_as_it_was_and_the_result_is_float32() -> None:
    ecg, _ = made_ecg()
    before = ecg.copy()
    ecg.flags.writeable = False
    clean = denoised(ecg, sampling_rate_hz=360.0)
    np.testing.assert_array_equal(ecg, before)
    assert clean.dtype == np.float32
    assert clean.shape == ecg.shape


@pytest.mark.parametrize("n_samples", [0, 1, 2, 3, 50, 4000])
def test_signals_of_any_length_keep_their_length(n_samples: int) -> None:
    signal = np.ones((2, n_samples), dtype=np.float32)
    clean = denoised(signal, sampling_rate_hz=360.0)
    assert clean.shape == (2, n_samples)
    assert np.isfinite(clean).all()

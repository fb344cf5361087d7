"""The original's denoising: what it really does to a signal, and that its rounding is fixed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import butter, filtfilt, lfilter_zi

from services.errors import UnusableInput
from services.models.ecgbert.reference.preprocessing import (
    _steady_state,
    bandstopped,
    without_details,
)

RATE_HZ = 360.0
MIDDLE = slice(3600, -3600)  # away from the ends, where filters start


def wave(frequency_hz: float, *, duration_s: float = 120.0) -> np.ndarray:
    time_s = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    return np.sin(2 * np.pi * frequency_hz * time_s)[None]


def gain(before: np.ndarray, after: np.ndarray) -> float:
    return float(after[0, MIDDLE].std() / before[0, MIDDLE].std())


@pytest.mark.parametrize("frequency_hz", [50.0, 55.0, 60.0])
def test_the_band_stop_lets_the_mains_pass(frequency_hz: float) -> None:
    mains = wave(frequency_hz)
    assert gain(mains, bandstopped(mains, sampling_rate_hz=RATE_HZ)) == pytest.approx(1, abs=1e-3)


def test_the_band_stop_stops_three_tenths_of_a_hertz() -> None:
    slow = wave(0.304, duration_s=600)
    assert gain(slow, bandstopped(slow, sampling_rate_hz=RATE_HZ)) < 0.1


def test_baseline_removal_keeps_the_baseline_and_takes_what_is_fast() -> None:
    assert gain(wave(0.2), without_details(wave(0.2))) == pytest.approx(1, abs=1e-3)
    assert gain(wave(80.0), without_details(wave(80.0))) < 0.2


def test_the_band_stop_is_scipys_up_to_rounding() -> None:
    signal = np.random.default_rng(1).normal(size=(2, 2000))
    b, a = butter(2, [50 / 180, 60 / 180], btype="bandstop", fs=360)
    np.testing.assert_allclose(
        bandstopped(signal, sampling_rate_hz=360.0), filtfilt(b, a, signal), atol=1e-4
    )


def test_the_start_state_is_solved_like_scipys_for_a_tame_filter() -> None:
    b, a = butter(3, 0.2)
    np.testing.assert_allclose(_steady_state(list(b), list(a)), lfilter_zi(b, a), rtol=1e-12)


def test_the_start_state_has_the_bits_of_the_golden_files() -> None:
    """Processors with AVX-512 get others from LAPACK; a token may flip then."""
    b, a = butter(2, [50 / 180, 60 / 180], btype="bandstop", fs=360)
    assert [value.hex() for value in _steady_state(b.tolist(), a.tolist())] == [
        "0x1.6735310e2bbe1p-11",
        "-0x1.66ada2c74a266p-11",
        "-0x1.67be6bff6a98ap-11",
        "0x1.673c0dbb8007cp-11",
    ]


def test_the_input_is_left_alone() -> None:
    signal = wave(1.0)
    kept = signal.copy()
    without_details(bandstopped(signal, sampling_rate_hz=RATE_HZ))
    np.testing.assert_array_equal(signal, kept)


def test_a_signal_shorter_than_its_padding_is_refused() -> None:
    with pytest.raises(UnusableInput, match="15 samples; the reference needs more than 15"):
        bandstopped(np.zeros((1, 15)), sampling_rate_hz=RATE_HZ)


def test_missing_samples_are_refused() -> None:
    signal = np.zeros((1, 100))
    signal[0, 50] = np.nan
    with pytest.raises(UnusableInput, match="missing samples"):
        bandstopped(signal, sampling_rate_hz=RATE_HZ)

import numpy as np
import pytest
import scipy.signal

from services.ecg.convolution import convolved, symmetric_taps


def test_blocks_give_what_one_convolution_gives() -> None:
    signal = np.random.default_rng(0).standard_normal((2, 30_000)).astype(np.float32)
    taps = np.hanning(201) / 100
    direct = np.stack([scipy.signal.fftconvolve(lead, taps, mode="same") for lead in signal])
    np.testing.assert_allclose(convolved(signal, taps)[:, 100:-100], direct[:, 100:-100], atol=1e-5)


@pytest.mark.parametrize("n_samples", [25, 150, 40_000])
def test_ends_are_continued_as_filtfilt_does(n_samples: int) -> None:
    ramp = np.linspace(3.0, 5.0, n_samples, dtype=np.float32)[None]
    taps = np.hanning(21) / np.hanning(21).sum()
    # a point reflection continues a straight line, and a symmetric average keeps it
    np.testing.assert_allclose(convolved(ramp, taps), ramp, atol=1e-5)


@pytest.mark.parametrize("n_samples", [0, 1, 2, 7])
def test_a_signal_shorter_than_the_filter_keeps_its_shape(n_samples: int) -> None:
    signal = np.ones((2, n_samples), dtype=np.float32)
    out = convolved(signal, np.hanning(21) / np.hanning(21).sum())
    np.testing.assert_allclose(out, signal, atol=1e-5)


def test_taps_have_the_response_that_was_asked_for() -> None:
    taps = symmetric_taps(
        lambda hz: 1 / (1 + (hz / 20) ** 4), sampling_rate_hz=360.0, half_width=360
    )
    np.testing.assert_allclose(taps, taps[::-1], atol=1e-15)
    hz, response = scipy.signal.freqz(taps, worN=[0.0, 10.0, 20.0, 60.0], fs=360.0)
    np.testing.assert_allclose(np.abs(response), 1 / (1 + (hz / 20) ** 4), atol=1e-3)

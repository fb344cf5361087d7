"""The published preparation of a batch."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal

from services.models.deepecg import spec
from services.models.deepecg.reference_pipeline import (
    Band,
    as_published,
    flattened,
    peak_bands,
    scaled,
    without_peaks,
)

TIME_S = np.arange(2500) / 250.0


@pytest.fixture(scope="module")
def batch() -> np.ndarray:
    """Noise that falls with frequency, as an ECG does, and repeats nowhere."""
    noise = np.random.default_rng(0).normal(size=(6, 12, 2500))
    return scipy.signal.lfilter([0.1], [1.0, -0.9], noise).astype(np.float32)


def hum(frequency_hz: float, size_mv: float = 0.1) -> np.ndarray:
    return (size_mv * np.sin(2 * np.pi * frequency_hz * TIME_S)).astype(np.float32)


def bands_by_the_book(magnitudes: np.ndarray, at: np.ndarray) -> list[Band]:
    """The published search written out bin by bin: every window, every bin, every earlier peak."""
    keep = at >= 20.0
    values, at = magnitudes[keep], at[keep]
    size = int(5.0 / (at[1] - at[0]) + 1e-9)
    met: list[int] = []
    for first in range(len(at) - size + 1):
        window = values[first : first + size]
        mean, deviation = window.mean(), window.std()
        for place in range(first, first + size):
            if values[place] <= mean + 5.0 * 0.65 * deviation:
                continue  # below either limit
            near = any(
                abs(at[place] - r * at[p]) <= 0.05 * r * at[p] for p in met for r in (2, 3, 4)
            )
            if values[place] > mean + (5.0 * 0.65 if near else 5.0) * deviation:
                met.append(place)
    bands: list[list[float]] = []
    for earlier, place in zip([None, *met], met, strict=False):
        if earlier is None or at[place] - at[earlier] > 1.0:
            bands.append([at[place], at[place]])
        bands[-1][1] = at[place]
    return [(low, high) for low, high in bands]


def test_the_mean_magnitude_of_lead_i_becomes_the_published_one(batch: np.ndarray) -> None:
    made = scaled(batch)
    magnitude = np.abs(np.fft.fft(made[:, 0].astype(np.float64), axis=-1)).mean()

    assert magnitude == pytest.approx(spec.REFERENCE_POWER, rel=1e-5)
    factor = made[0, 1, 100] / batch[0, 1, 100]
    assert np.allclose(made, batch * factor, rtol=1e-4, atol=1e-6)


def test_the_same_ecg_becomes_another_in_another_batch(batch: np.ndarray) -> None:
    loud = np.concatenate([batch[:1], batch[1:] * 10])

    assert not np.allclose(as_published(batch)[0], as_published(loud)[0])


def test_a_batch_without_peaks_stays_as_it_is(batch: np.ndarray) -> None:
    assert (without_peaks(batch) == batch).all()


def test_hum_is_flattened_in_every_lead_and_the_rest_left(batch: np.ndarray) -> None:
    made = without_peaks(batch + hum(60.0))
    found, clean = np.abs(np.fft.rfft(made)), np.abs(np.fft.rfft(batch))

    assert (found[..., 600] < 0.1 * 0.1 * 1250).all()
    assert np.allclose(found[..., :500], clean[..., :500], atol=1e-2)


def test_scale_does_not_matter_to_the_search(batch: np.ndarray) -> None:
    noisy = batch + hum(50.0)

    assert np.allclose(without_peaks(noisy * 7), without_peaks(noisy) * 7, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("seed", range(3))
def test_peaks_are_those_of_the_search_written_out(seed: int) -> None:
    rng = np.random.default_rng(seed)
    at = np.arange(800) * 0.1
    magnitudes = 5 * np.exp(-at / 30) + rng.gamma(4.0, 0.05, len(at))
    for frequency, size in ((27.0, 6.0), (54.2, 1.0), (60.0, 4.0), (61.6, 3.0), (76.0, 0.9)):
        magnitudes[round(frequency / 0.1)] += size
    found = peak_bands(magnitudes, at)

    assert len(found) > 0
    assert np.allclose(found, bands_by_the_book(magnitudes, at))


def test_a_band_becomes_a_line_with_the_phases_kept() -> None:
    lead = np.random.default_rng(0).normal(size=(2, 2500)).astype(np.float32)
    before = np.fft.rfft(lead.astype(np.float64))
    after = np.fft.rfft(flattened(lead, [(59.0, 61.0)]).astype(np.float64))
    magnitude = np.abs(after[:, 590:611])

    assert np.allclose(np.diff(magnitude, n=2), 0.0, atol=1e-3)
    assert np.allclose(np.angle(after[:, 591:610] / before[:, 591:610]), 0.0, atol=1e-3)
    assert np.allclose(after[:, :590], before[:, :590], atol=1e-3)
    assert np.allclose(after[:, 611:], before[:, 611:], atol=1e-3)


def test_a_band_that_runs_backwards_is_left_out() -> None:
    lead = np.random.default_rng(0).normal(size=(1, 2500)).astype(np.float32)

    assert np.allclose(flattened(lead, [(61.0, 59.0), (60.0, 60.0)]), lead, atol=1e-5)

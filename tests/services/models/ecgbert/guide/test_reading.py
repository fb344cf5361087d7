"""A record read for the guide's network: cleaned, segmented, tokenised."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from services.ecg.record import FloatArray
from services.ecg.segmentation import P, WaveIntervals
from services.models.ecgbert.clusters import Clusters
from services.models.ecgbert.guide.reading import (
    cleaned,
    peaks_and_waves,
    qrs_height_mv,
    spread_points,
    wave_ids,
)
from services.models.ecgbert.spec import CLUSTERS_PER_WAVE, TOKEN_OFFSETS, TOKEN_POINTS
from tests.signals import made_ecg


def made(*, sampling_rate_hz: float = 360.0) -> tuple[FloatArray, WaveIntervals]:
    signal, _ = made_ecg(sampling_rate_hz=sampling_rate_hz)
    clean = cleaned(signal, sampling_rate_hz=sampling_rate_hz)
    return clean, peaks_and_waves(clean)[1]


def clusters_around(points: np.ndarray, *, rule: str) -> Clusters:
    """Centres far from everything, but the last P centre, which is there."""
    centers = [np.full((n, TOKEN_POINTS), 1e3) for n in CLUSTERS_PER_WAVE]
    centers[P][-1] = points
    return Clusters(tuple(centers), "spread" if rule == "spread" else "first")


@pytest.mark.parametrize("sampling_rate_hz", [250.0, 360.0, 500.0])
def test_every_beat_of_every_rate_has_its_waves_at_360_hz(sampling_rate_hz: float) -> None:
    clean, waves = made(sampling_rate_hz=sampling_rate_hz)
    _, peaks = made_ecg(sampling_rate_hz=360.0)
    assert clean.shape == (2, 7200)
    assert waves.beat.max() + 1 == len(peaks)


def test_missing_samples_are_zeros_and_spoil_nothing_else() -> None:
    signal, _ = made_ecg()
    signal[:, 3000:3100] = np.nan
    clean = cleaned(signal, sampling_rate_hz=360.0)
    assert (clean[:, 3000:3100] == 0).all()
    assert np.isfinite(clean).all()


def test_spread_points_do_not_change_with_the_gain_of_a_lead() -> None:
    clean, waves = made()
    np.testing.assert_allclose(
        spread_points(3 * clean[0], waves), spread_points(clean[0], waves), rtol=1e-4, atol=1e-6
    )
    assert qrs_height_mv(3 * clean[0], waves) == pytest.approx(
        3 * qrs_height_mv(clean[0], waves), rel=1e-5
    )


def test_a_wave_takes_the_nearest_centre_of_its_own_kind() -> None:
    clean, waves = made()
    first_p = int(np.flatnonzero(waves.kind == P)[0])
    clusters = clusters_around(spread_points(clean[0], waves)[first_p], rule="spread")
    ids = wave_ids(clean[0], waves, clusters)
    assert ids[first_p] == CLUSTERS_PER_WAVE[P] - 1
    for kind, (offset, count) in enumerate(zip(TOKEN_OFFSETS, CLUSTERS_PER_WAVE, strict=True)):
        own = ids[waves.kind == kind]
        assert ((own >= offset) & (own < offset + count)).all()


def test_the_public_centres_are_compared_with_the_first_ten_samples_in_millivolts() -> None:
    clean, waves = made()
    first_p = int(np.flatnonzero(waves.kind == P)[0])
    start = int(waves.start[first_p])
    clusters = clusters_around(clean[0, start : start + TOKEN_POINTS], rule="first")
    assert wave_ids(clean[0], waves, clusters)[first_p] == CLUSTERS_PER_WAVE[P] - 1


def test_clusters_remember_what_they_are_compared_with(tmp_path: Path) -> None:
    clusters = clusters_around(np.zeros(TOKEN_POINTS), rule="first")
    clusters.save(tmp_path / "clusters.npz")
    assert Clusters.load(tmp_path / "clusters.npz").points == "first"


def test_a_lead_without_beats_has_no_height_to_divide_by() -> None:
    flat = np.zeros(3600, dtype=np.float32)
    _, waves = peaks_and_waves(flat[None])
    assert np.isfinite(spread_points(flat, waves)).all()

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from services.ecg.segmentation import wave_intervals
from services.errors import MalformedInput
from services.models.ecgbert.clusters import Clusters, fitted, wave_points
from services.models.ecgbert.spec import CLUSTERS_PER_WAVE, TOKEN_OFFSETS, TOKEN_POINTS
from tests.services.models.ecgbert.tiny import tiny_clusters


def test_each_centroid_is_its_own_nearest_within_the_ids_of_its_kind() -> None:
    clusters = tiny_clusters()
    points = np.concatenate(clusters.centroids)
    kind = np.repeat(np.arange(4), CLUSTERS_PER_WAVE)
    assert clusters.tokens(points, kind).tolist() == list(range(sum(CLUSTERS_PER_WAVE)))


def test_the_lowest_number_wins_a_tie() -> None:
    same = tuple(np.zeros((count, TOKEN_POINTS)) for count in CLUSTERS_PER_WAVE)
    found = Clusters(same).tokens(np.ones((4, TOKEN_POINTS)), np.arange(4))
    assert found.tolist() == list(TOKEN_OFFSETS)


def test_points_are_spread_over_the_wave_and_stay_inside_it() -> None:
    waves = wave_intervals(np.array([200]), n_samples=500, sampling_rate_hz=360.0)
    lead = np.arange(500, dtype=np.float32)[None]
    points = wave_points(lead, waves)[0]
    assert (points >= waves.start[:, None]).all()
    assert (points < waves.end[:, None]).all()
    assert (np.diff(points, axis=1) >= 1).all()


def test_saved_clusters_are_read_back_as_they_were(tmp_path: Path) -> None:
    clusters = tiny_clusters()
    clusters.save(tmp_path / "clusters.npz")
    again = Clusters.load(tmp_path / "clusters.npz")
    for one, other in zip(clusters.centroids, again.centroids, strict=True):
        assert np.array_equal(one, other)


def test_clusters_of_another_count_are_refused_with_both_shapes(tmp_path: Path) -> None:
    arrays = dict(zip(("P", "QRS", "T", "BG"), tiny_clusters().centroids, strict=True))
    arrays["QRS"] = arrays["QRS"][:5]
    np.savez(tmp_path / "clusters.npz", **arrays)
    with pytest.raises(MalformedInput, match=r"QRS has the shape \(5, 10\), expected \(19, 10\)"):
        Clusters.load(tmp_path / "clusters.npz")


def test_a_pickle_in_the_file_is_not_opened(tmp_path: Path) -> None:
    arrays = dict(zip(("P", "QRS", "T", "BG"), tiny_clusters().centroids, strict=True))
    arrays["P"] = np.array([{"not": "an array"}], dtype=object)
    np.savez(tmp_path / "clusters.npz", **arrays)
    with pytest.raises(MalformedInput, match="not a file of clusters"):
        Clusters.load(tmp_path / "clusters.npz")


def test_fitting_finds_groups_that_are_plainly_there() -> None:
    rng = np.random.default_rng(0)
    groups = [10.0 * np.arange(n)[:, None] + np.zeros((1, TOKEN_POINTS)) for n in CLUSTERS_PER_WAVE]
    points = [
        np.repeat(each, 20, axis=0) + rng.normal(0, 0.01, (20 * len(each), 10)) for each in groups
    ]
    found = fitted(points, seed=0)
    for each, centers in zip(groups, found.centroids, strict=True):
        assert np.allclose(np.sort(centers[:, 0]), each[:, 0], atol=0.1)

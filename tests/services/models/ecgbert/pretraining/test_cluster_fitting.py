"""Centres fitted to waves: near them, repeatable, and never fewer than were asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from services.errors import UnusableInput
from services.models.ecgbert.clusters import Clusters, Distance
from services.models.ecgbert.pretraining.cluster_fitting import (
    clusters_of_records,
    fitted_clusters,
)
from services.models.ecgbert.spec import CLUSTERS_PER_WAVE, TOKEN_POINTS
from services.models.ecgbert.stages.survey import surveyed
from services.training.progress import NoProgress
from tests.services.models.ecgbert.stages.made_dataset import ALONE, write_dataset


def made_points(n: int = 400) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=(n, TOKEN_POINTS)).astype(np.float32) for _ in CLUSTERS_PER_WAVE]


@pytest.mark.parametrize("distance", ["euclidean", "dtw"])
def test_every_centre_is_the_nearest_of_some_wave(distance: Distance, tmp_path: Path) -> None:
    points = made_points()
    clusters = fitted_clusters(points, distance=distance, seed=0, progress=NoProgress())
    clusters.save(tmp_path / "clusters.npz")
    again = Clusters.load(tmp_path / "clusters.npz")
    assert again.distance == distance
    kinds = np.repeat(np.arange(4), 400)
    ids = again.tokens(np.concatenate(points), kinds)
    assert len(np.unique(ids)) == sum(CLUSTERS_PER_WAVE)


def test_the_same_seed_gives_the_same_centres(tmp_path: Path) -> None:
    records = surveyed(write_dataset(tmp_path), ALONE)
    (one, counts), (other, _) = (clusters_of_records(records, ALONE, seed=3) for _ in range(2))
    for mine, theirs in zip(one.centroids, other.centroids, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert counts == (192, 192, 192, 200)


def test_too_few_waves_are_refused(tmp_path: Path) -> None:
    points = made_points()
    points[1] = points[1][:18]
    with pytest.raises(UnusableInput, match=r"18 QRS waves were found.*19 clusters"):
        fitted_clusters(points, seed=0, progress=NoProgress())

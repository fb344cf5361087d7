"""The four cluster files -> clusters.npz."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from services.errors import MalformedInput, NotFound
from services.models.ecgbert.clusters import Clusters
from services.models.ecgbert.public.cluster_files import (
    clusters_at,
    read_cluster_file,
    read_cluster_folder,
    write_clusters_npz,
)
from tests.services.models.ecgbert.public.made_files import write_cluster_folder, write_model
from tests.services.models.ecgbert.shared_files import (
    CLUSTER_FOLDER,
    CLUSTERS,
    REFERENCE,
    needs_reference,
)


@needs_reference
def test_the_public_files_give_the_reference_array_by_array(tmp_path: Path) -> None:
    write_clusters_npz(read_cluster_folder(CLUSTER_FOLDER), tmp_path / "clusters.npz")
    with np.load(CLUSTERS) as theirs, np.load(tmp_path / "clusters.npz") as ours:
        assert set(theirs) == set(ours)
        for name in theirs:
            np.testing.assert_array_equal(theirs[name], ours[name])
            assert theirs[name].dtype == ours[name].dtype


def test_a_made_folder_becomes_clusters_that_load(tmp_path: Path) -> None:
    write_cluster_folder(tmp_path)
    found = read_cluster_folder(tmp_path)
    write_clusters_npz(found, tmp_path / "made.npz")
    loaded = Clusters.load(tmp_path / "made.npz")
    for wave, centers in zip(found, loaded.centroids, strict=True):
        np.testing.assert_array_equal(found[wave].centers, centers)
        assert found[wave].members.sum() == 300


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"cluster_centers_": np.zeros((11, 10, 1))}, r"\(11, 10, 1\), expected \(12, 10, 1\)"),
        ({"cluster_centers_": np.zeros((12, 18, 1))}, r"expected \(12, 10, 1\)"),
        ({"cluster_centers_": "centres"}, "cluster_centers_ is no array"),
        ({"labels_": np.array([0, 12])}, "labels_ must be numbers from 0 to 11"),
        ({"labels_": np.array([0.5])}, "labels_ must be numbers"),
        ({"inertia_": "low"}, "inertia_ must be a number"),
        ({"metric": None}, "metric a name"),
    ],
)
def test_a_model_of_another_kind_is_refused(
    changes: dict[str, object], complaint: str, tmp_path: Path
) -> None:
    write_model(tmp_path / "P_cluster.pkl", n_clusters=12, **changes)
    with pytest.raises(MalformedInput, match=complaint):
        read_cluster_file(tmp_path / "P_cluster.pkl", n_clusters=12)


def test_what_is_missing_is_listed(tmp_path: Path) -> None:
    write_cluster_folder(tmp_path)
    (tmp_path / "T_cluster.pkl").unlink()
    with pytest.raises(NotFound, match=r"T_cluster\.pkl"):
        read_cluster_folder(tmp_path)


@needs_reference
@pytest.mark.parametrize("where", [CLUSTERS, REFERENCE, CLUSTER_FOLDER])
def test_clusters_are_found_as_a_file_in_a_folder_and_as_the_public_files(where: Path) -> None:
    np.testing.assert_array_equal(clusters_at(where).centroids[3], np.load(CLUSTERS)["BG"])


def test_where_no_clusters_are_it_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"clusters\.npz.*P_cluster\.pkl.*BG_cluster\.pkl"):
        clusters_at(tmp_path)


def test_public_centres_say_that_they_are_compared_with_first_samples(tmp_path: Path) -> None:
    write_cluster_folder(tmp_path)
    write_clusters_npz(read_cluster_folder(tmp_path), tmp_path / "clusters.npz")
    assert clusters_at(tmp_path / "clusters.npz").points == "first"
    (tmp_path / "clusters.npz").unlink()
    assert clusters_at(tmp_path).points == "first"

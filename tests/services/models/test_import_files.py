"""Which files are taken for a model, by their names alone."""

from __future__ import annotations

import pytest

from services.models.import_files import ECGBERT_FILES, ONE_CHECKPOINT

CLUSTERS = ["P_cluster.pkl", "QRS_cluster.pkl", "T_cluster.pkl", "BG_cluster.pkl"]


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["a.pth", *CLUSTERS], "a.pth"),
        ([*CLUSTERS, "a.pth"], "a.pth"),
        (["clusters.npz", "a.pth"], "a.pth"),
        (["a.pth"], None),
        (["a.pth", *CLUSTERS[:3]], None),
        (["a.pth", *CLUSTERS, "clusters.npz"], None),
        (["a.pth", "one.npz", "two.npz"], None),
        (["a.pth", "b.pth", "clusters.npz"], None),
        (["a.pth", *CLUSTERS, "P_cluster.pkl"], None),
        (CLUSTERS, None),
        ([], None),
    ],
)
def test_ecgbert_comes_with_its_four_cluster_files_or_one_of_arrays(
    names: list[str], found: str | None
) -> None:
    assert ECGBERT_FILES.checkpoint(names) == found


def test_deepecg_comes_alone() -> None:
    assert ONE_CHECKPOINT.checkpoint(["a.pt"]) == "a.pt"
    assert ONE_CHECKPOINT.checkpoint(["a.pt", "b.pt"]) is None
    assert ONE_CHECKPOINT.checkpoint(["a.pt", "b.npz"]) is None
    assert ONE_CHECKPOINT.checkpoint([]) is None

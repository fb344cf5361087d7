"""The four public cluster models -> one clusters.npz of plain arrays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.ecg.record import IntArray
from services.ecg.segmentation import WAVE_NAMES
from services.errors import MalformedInput, NotFound
from services.models.ecgbert.clusters import Clusters
from services.models.ecgbert.public.inert_pickle import Name, StandIn
from services.models.ecgbert.public.joblib_arrays import read_joblib, scalar_value
from services.models.ecgbert.reference.spec import PRETRAIN_ID_SHIFT
from services.models.ecgbert.spec import CLUSTERS_PER_WAVE, TOKEN_OFFSETS, TOKEN_POINTS

CLUSTERS_NPZ = "clusters.npz"
_K_MEANS = Name("tslearn.clustering.kmeans", "TimeSeriesKMeans")


@dataclass(frozen=True)
class PublicClusters:
    """Centres of a wave type, (n_clusters, 10), how many waves each was fitted on, and how well."""

    centers: NDArray[np.float64]
    members: IntArray
    inertia: float
    metric: str


def cluster_file_names() -> tuple[str, ...]:
    """What the four files are called: P_cluster.pkl and so on."""
    return tuple(f"{name}_cluster.pkl" for name in WAVE_NAMES)


def read_cluster_file(path: Path, *, n_clusters: int) -> PublicClusters:
    """One joblib file of a tslearn TimeSeriesKMeans. Nothing in it is executed.

    Raises MalformedInput for another content, another number of clusters or of coordinates.
    """
    value = read_joblib(path, classes=(_K_MEANS,))
    if not isinstance(value, StandIn) or value.of != _K_MEANS or not isinstance(value.state, dict):
        raise MalformedInput(f"{path.name}: holds no {_K_MEANS}")
    centers = _array(path, value.state, "cluster_centers_", (n_clusters, TOKEN_POINTS, 1))
    labels = _array(path, value.state, "labels_", (None,))
    if labels.dtype.kind not in "iu" or not ((labels >= 0) & (labels < n_clusters)).all():
        raise MalformedInput(f"{path.name}: labels_ must be numbers from 0 to {n_clusters - 1}")
    inertia, metric = scalar_value(value.state.get("inertia_")), value.state.get("metric")
    if not isinstance(inertia, float) or not isinstance(metric, str):
        raise MalformedInput(f"{path.name}: inertia_ must be a number and metric a name")
    members = np.bincount(labels, minlength=n_clusters)
    return PublicClusters(centers[..., 0].astype(np.float64), members, inertia, metric)


def read_cluster_folder(folder: Path) -> dict[str, PublicClusters]:
    """All four, by wave type. NotFound naming what is not there."""
    missing = [name for name in cluster_file_names() if not (folder / name).is_file()]
    if missing:
        raise NotFound(f"the cluster folder has no {', '.join(missing)}")
    return {
        wave: read_cluster_file(folder / name, n_clusters=count)
        for wave, name, count in zip(
            WAVE_NAMES, cluster_file_names(), CLUSTERS_PER_WAVE, strict=True
        )
    }


def write_clusters_npz(found: dict[str, PublicClusters], path: Path) -> None:
    """The centres, where they come from, and where their ids begin; no object is stored."""
    arrays: dict[str, NDArray[Any]] = {}
    for wave, clusters in found.items():
        arrays[wave] = clusters.centers
        arrays[f"{wave}_training_members"] = clusters.members.astype(np.int32)
        arrays[f"{wave}_inertia"] = np.array(clusters.inertia)
    arrays["finetune_offset"] = np.array(TOKEN_OFFSETS)
    arrays["pretrain_offset"] = np.array(TOKEN_OFFSETS) + PRETRAIN_ID_SHIFT
    arrays["order"] = np.array(WAVE_NAMES)
    # known of these files, not written in them: ten principal components, their PCA not saved
    arrays["in_pca_space"] = np.ones(len(WAVE_NAMES), dtype=bool)
    metrics = {clusters.metric for clusters in found.values()}
    if len(metrics) != 1:
        raise MalformedInput(f"the four cluster files have different metrics: {sorted(metrics)}")
    arrays["metric"] = np.array(metrics.pop())
    np.savez(path, allow_pickle=False, **arrays)


def clusters_at(where: Path) -> Clusters:
    """Centres from a clusters.npz, a folder that holds one, or a folder of the four public files.

    Raises NotFound naming what was looked for, and what reading them raises.
    """
    if where.is_file():
        return Clusters.load(where)
    if (where / CLUSTERS_NPZ).is_file():
        return Clusters.load(where / CLUSTERS_NPZ)
    if any((where / name).is_file() for name in cluster_file_names()):
        found = read_cluster_folder(where)
        return Clusters(tuple(found[wave].centers for wave in WAVE_NAMES), "first")
    raise NotFound(
        f"no clusters at {where.name}; looked for a .npz file, a folder with {CLUSTERS_NPZ}, "
        f"and a folder with {', '.join(cluster_file_names())}"
    )


def _array(
    path: Path, state: dict[str, Any], name: str, expected: tuple[int | None, ...]
) -> NDArray[Any]:
    value = state.get(name)
    if not isinstance(value, np.ndarray):
        raise MalformedInput(f"{path.name}: {name} is no array")
    fits = len(value.shape) == len(expected) and all(
        want is None or have == want for have, want in zip(value.shape, expected, strict=True)
    )
    if not fits:
        shown = ", ".join("any" if size is None else str(size) for size in expected)
        raise MalformedInput(f"{path.name}: {name} has the shape {value.shape}, expected ({shown})")
    return value

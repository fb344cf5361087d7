"""Cluster files as joblib writes them, of a class that is named like tslearn's, and bad ones."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import joblib
import numpy as np

from services.models.ecgbert.public.cluster_files import cluster_file_names
from services.models.ecgbert.spec import CLUSTERS_PER_WAVE


@contextmanager
def named_like_tslearn() -> Iterator[type[Any]]:
    """A class that pickles as tslearn.clustering.kmeans.TimeSeriesKMeans."""
    names = ("tslearn", "tslearn.clustering", "tslearn.clustering.kmeans")
    module = types.ModuleType(names[-1])
    module.TimeSeriesKMeans = type("TimeSeriesKMeans", (), {"__module__": names[-1]})  # type: ignore[attr-defined]
    before = {name: sys.modules.get(name) for name in names}
    sys.modules.update({name: types.ModuleType(name) for name in names[:2]} | {names[-1]: module})
    try:
        yield module.TimeSeriesKMeans
    finally:
        for name, kept in before.items():
            sys.modules.pop(name)
            if kept is not None:
                sys.modules[name] = kept


def write_model(path: Path, *, n_clusters: int, **changes: Any) -> None:
    """A cluster file with made centres; `changes` replace or add attributes."""
    rng = np.random.default_rng(n_clusters)
    with named_like_tslearn() as kind:
        model = kind()
        attributes = {
            "n_clusters": n_clusters,
            "metric": "dtw",
            "labels_": rng.integers(0, n_clusters, 300),
            "inertia_": float(n_clusters),
            "cluster_centers_": rng.normal(size=(n_clusters, 10, 1)),
            "n_iter_": 3,
        }
        model.__dict__.update(attributes | changes)
        joblib.dump(model, path)


def write_cluster_folder(folder: Path) -> None:
    """All four, with the numbers of clusters that are expected."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, count in zip(cluster_file_names(), CLUSTERS_PER_WAVE, strict=True):
        write_model(folder / name, n_clusters=count)


class Attack:
    """Pickles as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call

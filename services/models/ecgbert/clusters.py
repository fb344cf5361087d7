"""Which cluster of its kind a wave belongs to: nearest centroid, and how centroids are fitted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from services.ecg.record import FloatArray, IntArray
from services.ecg.segmentation import WAVE_NAMES, WaveIntervals
from services.errors import MalformedInput
from services.models.ecgbert.dtw import dtw_nearest
from services.models.ecgbert.spec import CLUSTERS_PER_WAVE, TOKEN_OFFSETS, TOKEN_POINTS

# how ten numbers are made of a wave before they are compared with the centres
Points = Literal["spread", "first"]
_POINTS: tuple[Points, ...] = ("spread", "first")
Distance = Literal["euclidean", "dtw"]
DISTANCES: tuple[Distance, ...] = ("euclidean", "dtw")

FIT_SAMPLE = 20_000  # waves of a kind that k-means is shown at most


@dataclass(frozen=True)
class Clusters:
    """Centroids of each wave kind, in the order P, QRS, T, background: (n_clusters, n_points).

    points: of what the centres were fitted to compare with: ten points `spread` over the wave in
    ordinary QRS heights, or, with the public centres, its `first` ten samples in mV.
    distance: by which a centre is the nearest.
    """

    centroids: tuple[NDArray[np.float64], ...]
    points: Points = "spread"
    distance: Distance = "euclidean"

    def tokens(self, points: NDArray[np.floating], kind: IntArray) -> IntArray:
        """Token id of each wave, (n_waves,): the nearest centroid's number within its kind's range.

        points: (n_waves, 10) `wave_points` in ordinary QRS heights; kind: (n_waves,) P 0, QRS 1,
        T 2, background 3. The lowest number wins a tie.
        """
        ids = np.empty(len(kind), dtype=np.int64)
        for which, (centers, offset) in enumerate(zip(self.centroids, TOKEN_OFFSETS, strict=True)):
            chosen = np.flatnonzero(kind == which)
            if len(chosen):
                ids[chosen] = offset + self._nearest(points[chosen], centers)
        return ids

    def _nearest(self, points: NDArray[np.floating], centers: NDArray[np.float64]) -> IntArray:
        if self.distance == "dtw":
            return dtw_nearest(points.astype(np.float32), centers.astype(np.float32))[0]
        return np.asarray(cdist(points, centers, "sqeuclidean").argmin(axis=1), dtype=np.int64)

    def save(self, path: Path) -> None:
        """As .npz, one array a wave kind."""
        arrays = dict(zip(WAVE_NAMES, self.centroids, strict=True))
        rules = {"points": np.array(self.points), "distance": np.array(self.distance)}
        with path.open("wb") as file:  # numpy would add its own ending to a name without one
            np.savez(file, allow_pickle=False, **rules, **arrays)

    @staticmethod
    def load(path: Path) -> Clusters:
        """From .npz, executing nothing; MalformedInput where it is not of this kind."""
        try:
            with np.load(path, allow_pickle=False) as stored:
                arrays = tuple(np.asarray(stored[name], dtype=np.float64) for name in WAVE_NAMES)
                points, distance = _points(stored), _distance(stored)
        except (OSError, KeyError, ValueError) as problem:
            raise MalformedInput(
                f"{path.name}: not a file of clusters, expected the arrays {', '.join(WAVE_NAMES)}"
            ) from problem
        for name, array, count in zip(WAVE_NAMES, arrays, CLUSTERS_PER_WAVE, strict=True):
            if array.shape != (count, TOKEN_POINTS):
                raise MalformedInput(
                    f"{path.name}: {name} has the shape {array.shape}, "
                    f"expected {(count, TOKEN_POINTS)}"
                )
        return Clusters(arrays, points, distance)


def _points(stored: Mapping[str, NDArray[Any]]) -> Points:
    if "points" in stored:
        for known in _POINTS:
            if str(stored["points"]) == known:
                return known
        raise ValueError(f"points is {stored['points']}")
    # a file of the public centres says that they are principal components
    return "first" if "in_pca_space" in stored else "spread"


def _distance(stored: Mapping[str, NDArray[Any]]) -> Distance:
    named = str(stored["distance"]) if "distance" in stored else "euclidean"
    for known in DISTANCES:
        if named == known:
            return known
    raise ValueError(f"distance is {named}")


def wave_points(lead_signals: FloatArray, waves: WaveIntervals) -> FloatArray:
    """Each wave as ten samples evenly spread over it, (n_leads, n_waves, 10).

    lead_signals: (n_leads, n_samples).
    """
    share = (np.arange(TOKEN_POINTS) + 0.5) / TOKEN_POINTS
    length = waves.end - waves.start
    at = waves.start[:, None] + (share[None, :] * length[:, None]).astype(np.int64)
    return lead_signals[:, at]


def fitted(points_by_kind: list[NDArray[np.float64]], *, seed: int) -> Clusters:
    """Centroids by k-means over the waves of each kind; points_by_kind: four (n_waves, 10)."""
    from sklearn.cluster import KMeans  # slow to import, and only training needs it

    rng = np.random.default_rng(seed)
    centroids = []
    for points, count in zip(points_by_kind, CLUSTERS_PER_WAVE, strict=True):
        if len(points) > FIT_SAMPLE:
            points = points[np.sort(rng.choice(len(points), FIT_SAMPLE, replace=False))]
        means = KMeans(count, n_init=2, random_state=seed).fit(points)
        centroids.append(np.asarray(means.cluster_centers_, dtype=np.float64))
    return Clusters(tuple(centroids))

"""Token ids as fine-tuning assigns them: the first ten raw samples against PCA coordinates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from services.ecg.record import IntArray
from services.models.ecgbert.clusters import Clusters
from services.models.ecgbert.reference.segments import WaveSlices
from services.models.ecgbert.spec import TOKEN_OFFSETS, TOKEN_POINTS


def wave_tokens(lead: NDArray[np.float64], slices: WaveSlices, clusters: Clusters) -> IntArray:
    """(n_waves,) ids of the guide: P from 0, QRS from 12, T from 31, background from 45.

    lead: (n_samples,) float64 mV; in single precision tokens flip. The Euclidean distance to each
    centre, the lowest index wins. The centres are principal components of other segments, so this
    compares two spaces (see docs/ecgbert.md); it is what the original does.
    """
    points = first_samples(lead, slices)
    ids = np.empty(len(slices), dtype=np.int64)
    for kind, (centers, offset) in enumerate(zip(clusters.centroids, TOKEN_OFFSETS, strict=True)):
        chosen = np.flatnonzero(slices.kind == kind)
        if len(chosen):
            ids[chosen] = offset + cdist(points[chosen], centers).argmin(axis=1)
    return ids


def first_samples(lead: NDArray[np.float64], slices: WaveSlices) -> NDArray[np.float64]:
    """The first ten samples of each slice, (n_waves, 10) mV, zeros behind a shorter one."""
    at = slices.first[:, None] + np.arange(TOKEN_POINTS)
    inside = at <= slices.last[:, None]
    return np.where(inside, lead[np.minimum(at, len(lead) - 1)], 0.0)

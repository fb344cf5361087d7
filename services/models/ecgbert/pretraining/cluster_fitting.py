"""Centres of the waves of a folder of records: k-means over ten points a wave, all waves of all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.ecg.readers.files import record_from_path
from services.ecg.segmentation import WAVE_NAMES, WaveIntervals
from services.errors import UnusableInput
from services.models.ecgbert.clusters import Clusters, Distance
from services.models.ecgbert.dtw import dtw_means
from services.models.ecgbert.guide.reading import cleaned, peaks_and_waves, spread_points
from services.models.ecgbert.spec import CLUSTERS_PER_WAVE, TOKEN_POINTS
from services.models.ecgbert.stages.parallel import Workforce, each
from services.models.ecgbert.stages.survey import SurveyedRecord
from services.training.progress import Progress

Points = NDArray[np.float32]

MOST_WAVES = 1_000_000  # of a kind, over all records; more say nothing new of 25 centres
STARTS = 2  # of k-means; the better one is kept
DTW_WAVES = 50_000  # of a kind that averaging under DTW is shown at most
DTW_ITERATIONS = 20
_LOOKED_AT = 1000  # waves that are looked through for as many different ones as there are centres


def clusters_of_records(
    records: Sequence[SurveyedRecord],
    run: Workforce,
    *,
    distance: Distance = "euclidean",
    seed: int = 0,
) -> tuple[Clusters, tuple[int, ...]]:
    """Centres fitted to the waves of all leads of these records, and the waves of each kind."""
    most = -(-MOST_WAVES // len(records))
    arguments = [(record, most, seed) for record in records]
    found = each(_record_points, arguments, run, stage="reading waves")
    by_kind = [np.concatenate(kind) for kind in zip(*found, strict=True)]
    clusters = fitted_clusters(by_kind, distance=distance, seed=seed, progress=run.progress)
    return clusters, tuple(len(points) for points in by_kind)


def fitted_clusters(
    by_kind: Sequence[Points], *, distance: Distance = "euclidean", seed: int, progress: Progress
) -> Clusters:
    """Centres of each kind: P, QRS, T, background. by_kind: four (n_waves, 10).

    The same points and seed give the same centres on one kind of machine. UnusableInput where a
    kind has fewer waves than centres are wanted.
    """
    centers: list[NDArray[np.float64]] = []
    for name, points, count in zip(WAVE_NAMES, by_kind, CLUSTERS_PER_WAVE, strict=True):
        progress.check_cancelled()
        progress.advance(len(centers) / len(WAVE_NAMES), stage=f"{name}: {len(points)} waves")
        if len(np.unique(points[:_LOOKED_AT], axis=0)) < count:
            raise UnusableInput(
                f"{len(points)} {name} waves were found, of which fewer than {count} differ; "
                f"{count} clusters need more records"
            )
        means = _k_means(points, count, seed)
        if distance == "dtw":
            rng = np.random.default_rng(seed)
            shown = _at_most(points, DTW_WAVES, rng)
            means = dtw_means(shown, means, iterations=DTW_ITERATIONS, rng=rng)
        centers.append(means.astype(np.float64))
    return Clusters(tuple(centers), "spread", distance)


def points_by_kind(leads: Sequence[NDArray[np.floating]], waves: WaveIntervals) -> list[Points]:
    """The ten points of every wave of these leads, a kind at a time: four (n_waves, 10)."""
    points = [spread_points(lead, waves) for lead in leads]
    return [
        np.concatenate([own[waves.kind == kind] for own in points])
        if points
        else np.empty((0, TOKEN_POINTS), np.float32)
        for kind in range(len(WAVE_NAMES))
    ]


def _k_means(points: Points, count: int, seed: int) -> Points:
    from sklearn.cluster import KMeans  # slow to import

    means = KMeans(count, n_init=STARTS, random_state=seed).fit(points.astype(np.float32))
    return np.asarray(means.cluster_centers_, dtype=np.float32)


def _record_points(source: SurveyedRecord, most: int, seed: int) -> list[Points]:
    record = record_from_path(Path(source.path))
    signal = cleaned(record.signal[list(source.rows)], sampling_rate_hz=record.sampling_rate_hz)
    _, waves = peaks_and_waves(signal)
    rng = np.random.default_rng([seed, *source.name.encode()])
    return [_at_most(points, most, rng) for points in points_by_kind(list(signal), waves)]


def _at_most(points: Points, most: int, rng: np.random.Generator) -> Points:
    if len(points) <= most:
        return points
    return points[np.sort(rng.choice(len(points), most, replace=False))]

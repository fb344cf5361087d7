"""Dynamic time warping against its definition."""

from __future__ import annotations

import numpy as np

from services.models.ecgbert.dtw import dtw_means, dtw_nearest


def by_definition(one: np.ndarray, other: np.ndarray) -> float:
    table = np.full((len(one) + 1, len(other) + 1), np.inf)
    table[0, 0] = 0.0
    for i, a in enumerate(one):
        for j, b in enumerate(other):
            before = min(table[i, j], table[i, j + 1], table[i + 1, j])
            table[i + 1, j + 1] = (a - b) ** 2 + before
    return float(table[-1, -1])


def series(n: int, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 10)).astype(np.float32)


def test_the_nearest_centre_is_the_one_of_the_definition() -> None:
    points, centers = series(40), series(6, seed=1)
    expected = np.array([[by_definition(p, c) for c in centers] for p in points])
    nearest, distance = dtw_nearest(points, centers)
    np.testing.assert_array_equal(nearest, expected.argmin(axis=1))
    np.testing.assert_allclose(distance, expected.min(axis=1), rtol=1e-5)


def test_a_shifted_shape_is_near_under_warping() -> None:
    bump = np.zeros((1, 10), dtype=np.float32)
    bump[0, 3] = 1
    shifted = np.roll(bump, 2)
    flat = np.full((1, 10), 0.1, dtype=np.float32)
    nearest, distance = dtw_nearest(shifted, np.concatenate([flat, bump]))
    assert nearest.tolist() == [1]
    assert distance[0] == 0


def test_averaging_brings_centres_nearer_and_loses_none() -> None:
    points = series(500)
    rng = np.random.default_rng(0)
    start = np.concatenate([points[:4], points[:1]])  # two alike: one of them has no member
    means = dtw_means(points, start, iterations=8, rng=rng)
    assert dtw_nearest(points, means)[1].sum() < 0.9 * dtw_nearest(points, start)[1].sum()
    assert len(np.unique(dtw_nearest(points, means)[0])) == 5


def test_the_average_of_one_series_is_the_series() -> None:
    one = series(1)
    means = dtw_means(one, one + 0.1, iterations=5, rng=np.random.default_rng(0))
    np.testing.assert_allclose(means, one, atol=1e-5)

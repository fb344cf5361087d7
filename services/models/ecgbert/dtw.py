"""Dynamic time warping between short series, many at once, and k-means under it.

The distance of two series is the square root of the least sum of squared differences along a path
that aligns all of both (Sakoe and Chiba 1978, no window), as tslearn has it. Centres are averaged
along the paths (DBA: Petitjean, Ketterlin and Gançarski, Pattern Recognition 44:678, 2011). Every
step is an operation on all series together: a series has ten points, so a table has 100 cells.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Series = NDArray[np.float32]
_BLOCK = 20_000  # series whose tables are in memory at a time
_ONE = np.int64(1)


def dtw_nearest(series: Series, centers: Series) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Number of the nearest centre and the squared distance to it, (n,) each; lowest number first.

    series: (n, points); centers: (n_centers, points).
    """
    nearest = np.empty(len(series), dtype=np.int64)
    distance = np.empty(len(series), dtype=np.float32)
    for first in range(0, len(series), _BLOCK):
        block = slice(first, first + _BLOCK)
        squared = np.stack([_squared(series[block], center) for center in centers])
        nearest[block] = squared.argmin(axis=0)
        distance[block] = squared.min(axis=0)
    return nearest, distance


def dtw_means(
    series: Series, centers: Series, *, iterations: int, rng: np.random.Generator
) -> Series:
    """Centres after so many rounds of k-means under DTW. Shapes as in `dtw_nearest`.

    A centre that no series is nearest to takes the series that is farthest from its own.
    """
    centers = centers.copy()
    for _ in range(iterations):
        nearest, distance = dtw_nearest(series, centers)
        empty = np.flatnonzero(np.bincount(nearest, minlength=len(centers)) == 0)
        if len(empty):
            farthest = np.argsort(-distance, kind="stable")[: len(empty)]
            nearest[farthest] = rng.permutation(empty)
        moved = _averaged(series, centers, nearest)
        if np.allclose(moved, centers, rtol=1e-4, atol=1e-6):
            return moved
        centers = moved
    return centers


def _squared(series: Series, center: Series) -> Series:
    """(n,) squared distance of each series to one centre, a row of the table kept at a time.

    Within a row each cell needs the one before it, so a row is as many steps as it has cells; the
    series lie side by side in memory, (points, n).
    """
    across = np.ascontiguousarray(series.T)
    row = np.cumsum((across[0] - center[:, None]) ** 2, axis=0)
    for values in across[1:]:
        cost = (values - center[:, None]) ** 2
        before = np.minimum(row[1:], row[:-1])  # straight on, or from the cell before that
        row[0] += cost[0]
        for j in range(1, len(center)):
            np.minimum(before[j - 1], row[j - 1], out=row[j])
            row[j] += cost[j]
    return np.asarray(row[-1])


def _averaged(series: Series, centers: Series, nearest: NDArray[np.int64]) -> Series:
    """Each centre's points as the mean of what its members align with them."""
    n_points = centers.shape[1]
    total, times = np.zeros(centers.size), np.zeros(centers.size)
    for first in range(0, len(series), _BLOCK):
        block = slice(first, first + _BLOCK)
        for i, j in _path(series[block], centers[nearest[block]]):
            on_path = np.flatnonzero(i >= 0)
            cell = nearest[block][on_path] * n_points + j[on_path]
            values = series[block][on_path, i[on_path]]
            total += np.bincount(cell, values, minlength=centers.size)
            times += np.bincount(cell, minlength=centers.size)
    mean = np.where(times > 0, total / np.maximum(times, 1), centers.reshape(-1))
    return mean.reshape(centers.shape).astype(np.float32)


def _path(series: Series, own: Series) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Cells (i of the series, j of its own centre) of every series' path, one step at a time.

    (n,) each; i is -1 where the path has already reached the beginning.
    """
    table = _table(series, own)
    n, points, _ = table.shape
    at = np.arange(n)
    i, j = np.full(n, points - 1), np.full(n, points - 1)
    steps = [(i, j)]
    while (i > 0).any() or (j > 0).any():
        up, left = np.maximum(i - 1, 0), np.maximum(j - 1, 0)
        options = np.stack([table[at, up, left], table[at, up, j], table[at, i, left]])
        options[0][(i == 0) | (j == 0)] = np.inf
        options[1][i == 0] = np.inf
        options[2][j == 0] = np.inf
        chosen = options.argmin(axis=0)
        ended = (i <= 0) & (j <= 0)
        i, j = np.where(chosen == 2, i, up), np.where(chosen == 1, j, left)
        steps.append((np.where(ended, -_ONE, i), j))
    return steps


def _table(series: Series, own: Series) -> Series:
    """(n, points, points) least cost to each cell."""
    table = (series[:, :, None] - own[:, None, :]) ** 2
    points = series.shape[1]
    np.cumsum(table[:, 0], axis=1, out=table[:, 0])
    np.cumsum(table[:, :, 0], axis=1, out=table[:, :, 0])
    for i in range(1, points):
        for j in range(1, points):
            before = np.minimum(table[:, i - 1, j], table[:, i - 1, j - 1])
            table[:, i, j] += np.minimum(before, table[:, i, j - 1])
    return table

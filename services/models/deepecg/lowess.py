"""A smooth line through noisy values: local straight lines, robust against outliers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

ROBUST_ROUNDS = 3
_NEAR, _FAR = 0.001, 0.999  # of the neighbourhood: full weight below, none above


def lowess(values: Values, at: Values, *, share: float) -> Values:
    """Smoothed values, (n,). Cleveland, J Am Stat Assoc 74:829 (1979).

    at: (n,) ascending. share: of the points, in each local fit. Steps: a straight line through the
    nearest points, weighted by the tricube of their distance; three times again with bisquare
    weights against outliers (6 median residuals).
    """
    neighbours = _neighbourhoods(at, int(share * len(at) + 1e-10))  # (n, k)
    near = at[neighbours]
    distance = np.abs(near - at[:, None])
    radius = distance.max(axis=1, keepdims=True)
    tricube = _kernel(distance / radius, lambda d: (1 - d**3) ** 3)
    trust = np.ones_like(values)
    smooth = values
    for _ in range(ROBUST_ROUNDS + 1):
        lines = _local_lines(values[neighbours], near, at, tricube * trust[neighbours])
        smooth = np.where(np.isnan(lines), values, lines)
        residual = np.abs(values - smooth)
        middle = float(np.median(residual))
        if middle == 0.0:
            break
        trust = _kernel(residual / (6.0 * middle), lambda r: (1 - r**2) ** 2)
    return smooth


def _neighbourhoods(at: Values, size: int) -> NDArray[np.int64]:
    """Indices of the `size` nearest points of each point, (n, size), each a run of the axis."""
    starts = np.zeros(len(at), dtype=np.int64)
    start = 0
    for place in range(len(at)):
        while start + size < len(at) and at[place] > (at[start] + at[start + size]) / 2:
            start += 1
        starts[place] = start
    return starts[:, None] + np.arange(size)


def _local_lines(values: Values, near: Values, at: Values, weights: Values) -> Values:
    """The weighted straight line of each neighbourhood, read at its own point.

    NaN where no neighbour has any weight.
    """
    total = weights.sum(axis=1, keepdims=True)
    share = weights / np.where(total > 0, total, np.nan)
    centre = (share * near).sum(axis=1, keepdims=True)
    spread = (share * (near - centre) ** 2).sum(axis=1, keepdims=True)
    lever = 1.0 + (at[:, None] - centre) * (near - centre) / np.maximum(spread, 1e-12)
    return np.asarray((share * lever * values).sum(axis=1))


def _kernel(distance: Values, shape: Callable[[Values], Values]) -> Values:
    weights = shape(distance)
    return np.asarray(np.where(distance <= _NEAR, 1.0, np.where(distance >= _FAR, 0.0, weights)))

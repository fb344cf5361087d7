"""What turns a logit into a risk: the sigmoid, or a curve fitted on a site's own outcomes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from services.errors import MalformedInput, UnusableInput

Values = NDArray[np.float64]

SMALLEST_SAMPLE = 20  # recordings, and at least one of either outcome
_STEPS = 100
_CONVERGED = 1e-10


class Calibration(Protocol):
    """Logits to risks, never turning the order around."""

    def risk(self, logits: Values) -> Values:
        """(n,) logits -> (n,) in [0, 1]."""
        ...

    def as_card(self) -> dict[str, Any] | None:
        """For card.json."""
        ...

    @property
    def description(self) -> str:
        """To follow "calibration:"."""
        ...


@dataclass(frozen=True)
class Uncalibrated:
    """The published pipeline's: a sigmoid of the logit. Not a probability at your site."""

    description: str = "none (sigmoid of the logit)"

    def risk(self, logits: Values) -> Values:
        """Sigmoid."""
        return _sigmoid(logits)

    def as_card(self) -> dict[str, Any] | None:
        """Nothing."""
        return None


@dataclass(frozen=True)
class PlattCalibration:
    """sigmoid(slope * logit + intercept). Platt, in Advances in Large Margin Classifiers, 1999."""

    slope: float
    intercept: float
    recordings: int

    @property
    def description(self) -> str:
        """Method and data."""
        return f"Platt, fitted on {self.recordings} recordings"

    def risk(self, logits: Values) -> Values:
        """Sigmoid of the straight line."""
        return _sigmoid(self.slope * logits + self.intercept)

    def as_card(self) -> dict[str, Any]:
        """For card.json."""
        return {
            "method": "platt",
            "slope": self.slope,
            "intercept": self.intercept,
            "recordings": self.recordings,
        }


@dataclass(frozen=True)
class IsotonicCalibration:
    """A rising curve through (logits, risks), straight between them, level outside."""

    logits: tuple[float, ...]
    risks: tuple[float, ...]
    recordings: int

    @property
    def description(self) -> str:
        """Method and data."""
        return f"isotonic, fitted on {self.recordings} recordings"

    def risk(self, logits: Values) -> Values:
        """Linear between the points."""
        return np.asarray(np.interp(logits, self.logits, self.risks), dtype=np.float64)

    def as_card(self) -> dict[str, Any]:
        """For card.json."""
        return {
            "method": "isotonic",
            "logits": list(self.logits),
            "risks": list(self.risks),
            "recordings": self.recordings,
        }


def fit_platt(logits: Values, outcomes: Values) -> PlattCalibration:
    """The line whose sigmoid fits best, by Newton's method, with Platt's targets.

    logits: (n,); outcomes: (n,) 0 or 1. The targets are not quite 0 and 1 (Platt's correction), so
    that separable data give a finite slope. Raises UnusableInput as `_checked`.
    """
    x, y = _checked(logits, outcomes)
    positive = y.sum()
    target = np.where(y > 0, (positive + 1) / (positive + 2), 1 / (len(y) - positive + 2))
    design = np.stack([x, np.ones_like(x)], axis=1)
    line = np.array([1.0, 0.0])
    loss = _cross_entropy(design @ line, target)
    for _ in range(_STEPS):
        risk = _sigmoid(design @ line)
        gradient = design.T @ (risk - target)
        curvature = (design * (risk * (1 - risk))[:, None]).T @ design + 1e-12 * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        while (after := _cross_entropy(design @ (line - step), target)) > loss + _CONVERGED:
            step = step / 2
        line, gained, loss = line - step, loss - after, after
        if gained < _CONVERGED:
            break
    if line[0] <= 0:
        raise UnusableInput("higher logits go with fewer events in these labels; are they swapped?")
    return PlattCalibration(float(line[0]), float(line[1]), len(x))


def fit_isotonic(logits: Values, outcomes: Values) -> IsotonicCalibration:
    """The rising step curve nearest to the outcomes (pool adjacent violators).

    Its points are the first and last logit of each level, so that it is continuous.
    """
    x, y = _checked(logits, outcomes)
    values, member = np.unique(x, return_inverse=True)
    count = np.bincount(member).astype(float)
    levels = _pooled_levels(np.bincount(member, weights=y) / count, count)
    points: list[tuple[float, float]] = []
    first = 0
    for risk, size in levels:
        points += [(float(values[first]), risk), (float(values[first + size - 1]), risk)]
        first += size
    kept = list(dict.fromkeys(points))
    return IsotonicCalibration(tuple(p[0] for p in kept), tuple(p[1] for p in kept), len(x))


def from_card(stored: Any) -> Calibration:
    """The calibration of a card. Raises MalformedInput for one that is none."""
    if stored is None:
        return Uncalibrated()
    try:
        if stored["method"] == "platt":
            platt = PlattCalibration(
                float(stored["slope"]), float(stored["intercept"]), int(stored["recordings"])
            )
            if math.isfinite(platt.slope * platt.intercept) and platt.slope > 0:
                return platt
        elif stored["method"] == "isotonic":
            return _isotonic(stored)
    except (KeyError, TypeError, ValueError) as problem:
        raise MalformedInput(f"card.json: calibration is damaged: {problem!r}") from problem
    raise MalformedInput("card.json: calibration is neither platt with a rising line nor isotonic")


def _isotonic(stored: Any) -> IsotonicCalibration:
    logits, risks = (tuple(float(v) for v in stored[name]) for name in ("logits", "risks"))
    rising = all(a <= b for line in (logits, risks) for a, b in pairwise(line))
    inside = all(0.0 <= risk <= 1.0 for risk in risks) and all(map(math.isfinite, logits))
    if len(logits) != len(risks) or not logits or not rising or not inside:
        raise ValueError("logits and risks must rise together, risks within 0 and 1")
    return IsotonicCalibration(logits, risks, int(stored["recordings"]))


def _pooled_levels(means: Values, weights: Values) -> list[tuple[float, int]]:
    """(level, how many values) with rising levels."""
    blocks: list[list[float]] = []  # mean, weight, size
    for mean, weight in zip(means, weights, strict=True):
        blocks.append([float(mean), float(weight), 1])
        while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
            last, before = blocks.pop(), blocks.pop()
            total = before[1] + last[1]
            merged = (before[0] * before[1] + last[0] * last[1]) / total
            blocks.append([merged, total, before[2] + last[2]])
    return [(mean, int(size)) for mean, _, size in blocks]


def _checked(logits: Values, outcomes: Values) -> tuple[Values, Values]:
    x, y = np.asarray(logits, np.float64).ravel(), np.asarray(outcomes, np.float64).ravel()
    if len(x) != len(y) or not np.isfinite(x).all() or not np.isin(y, (0, 1)).all():
        raise UnusableInput(f"{len(x)} finite logits and as many outcomes of 0 or 1 are needed")
    if len(x) < SMALLEST_SAMPLE or len(np.unique(y)) < 2 or len(np.unique(x)) < 2:
        raise UnusableInput(
            f"calibration needs at least {SMALLEST_SAMPLE} recordings with different logits and "
            f"both outcomes; found {len(x)} with {int(y.sum())} events"
        )
    return x, y


def _cross_entropy(logits: Values, target: Values) -> float:
    return float((np.logaddexp(0.0, logits) - target * logits).sum())


def _sigmoid(logits: Values) -> Values:
    return np.exp(-np.logaddexp(0.0, -np.asarray(logits, np.float64)))

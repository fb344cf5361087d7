"""What follows the logit, as a site chooses it: calibration and threshold (no torch here)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from services.models.deepecg import calibration
from services.models.deepecg.calibration import Calibration, Values

FITS: dict[str, Callable[[Values, Values], Calibration]] = {
    "platt": calibration.fit_platt,
    "isotonic": calibration.fit_isotonic,
}


@dataclass(frozen=True)
class OperatingPoint:
    """source: where the threshold is from, for a person."""

    calibration: Calibration
    threshold: float
    source: str

    def put_into(self, card: Mapping[str, Any]) -> dict[str, Any]:
        """The card with this instead of what it had."""
        return dict(card) | {
            "threshold": {"value": self.threshold, "source": self.source},
            "calibration": self.calibration.as_card(),
        }


def fitted(
    logits: Values, outcomes: Values, *, method: str, of: str, threshold: float | None = None
) -> OperatingPoint:
    """Calibration of a method of FITS; the threshold as given, or by the Youden index.

    of: whose records they are, for a person. Raises UnusableInput as the methods do.
    """
    found = FITS[method](logits, outcomes)
    if threshold is not None:
        return OperatingPoint(found, threshold, "set by this site")
    best = youden_threshold(found.risk(logits), outcomes)
    return OperatingPoint(found, best, f"Youden index over {len(outcomes)} {of}")


def youden_threshold(risk: Values, label: Values) -> float:
    """The risk from which on `high` has the largest sum of sensitivity and specificity.

    Halfway to the next lower risk, so that rounding turns no record around.
    """
    order = np.argsort(-risk, kind="stable")
    hits, alarms = np.cumsum(label[order]), np.cumsum(1 - label[order])
    last = np.append(np.flatnonzero(np.diff(risk[order])), len(risk) - 1)
    gain = hits[last] / hits[-1] - alarms[last] / alarms[-1]
    at = last[int(gain.argmax())]
    lower = risk[order][at + 1] if at + 1 < len(risk) else 0.0
    return float((risk[order][at] + lower) / 2)

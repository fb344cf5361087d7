"""Where `high` begins, and what is kept of it."""

from __future__ import annotations

import numpy as np
import pytest

from services.models.deepecg.calibration import from_card
from services.models.deepecg.operating_point import fitted, youden_threshold

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(0, 2, 400)
OUTCOMES = (RNG.random(400) < 1 / (1 + np.exp(-(0.5 * LOGITS - 1)))).astype(float)


def test_the_threshold_has_the_largest_sum_of_sensitivity_and_specificity() -> None:
    risk = np.array([0.1, 0.2, 0.3, 0.35, 0.4, 0.8, 0.8])
    label = np.array([0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0])
    assert youden_threshold(risk, label) == pytest.approx(0.6)


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_what_is_fitted_comes_back_from_the_card(method: str) -> None:
    point = fitted(LOGITS, OUTCOMES, method=method, of="records of ward 3")
    card = point.put_into({"name": "n", "calibration": None, "threshold": {"value": 0.231}})
    assert card["name"] == "n"
    assert card["threshold"]["source"] == "Youden index over 400 records of ward 3"
    again = from_card(card["calibration"])
    np.testing.assert_allclose(again.risk(LOGITS), point.calibration.risk(LOGITS))
    assert abs(again.risk(LOGITS).mean() - OUTCOMES.mean()) < 0.01


def test_a_threshold_that_is_given_stays() -> None:
    point = fitted(LOGITS, OUTCOMES, method="platt", of="", threshold=0.4)
    assert (point.threshold, point.source) == (0.4, "set by this site")

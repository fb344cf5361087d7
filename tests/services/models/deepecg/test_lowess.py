"""The smooth line, against numbers of statsmodels 0.15 (statsmodels.nonparametric.lowess)."""

from __future__ import annotations

import numpy as np

from services.models.deepecg.lowess import lowess

# lowess(values, at, frac=0.3, return_sorted=False)[::4] for the values below
STATSMODELS = (
    0.388927855,
    0.722860271,
    0.867251176,
    1.088849023,
    1.326594654,
    1.388635435,
    1.682216466,
    1.932457871,
    2.058582042,
    2.359409565,
)


def test_it_is_the_line_that_statsmodels_draws() -> None:
    place = np.arange(40)
    values = (place * 7 % 11) / 10 + 0.05 * place
    values[20] = 6.0

    assert np.allclose(lowess(values, place * 0.25, share=0.3)[::4], STATSMODELS, atol=1e-8)


def test_a_straight_line_stays_straight_and_an_outlier_does_not_bend_it() -> None:
    at = np.arange(100.0)
    values = 3.0 - 0.5 * at
    assert np.allclose(lowess(values, at, share=0.2), values)

    spoiled = values + np.sin(at * 12.9898)
    spoiled[50] += 20.0
    plain = lowess(values + np.sin(at * 12.9898), at, share=0.4)
    assert np.abs(lowess(spoiled, at, share=0.4) - plain).max() < 0.1

"""Risks from logits: fitted curves, and what a card may say of them."""

from __future__ import annotations

import numpy as np
import pytest

from services.errors import MalformedInput, UnusableInput
from services.models.deepecg.calibration import (
    IsotonicCalibration,
    PlattCalibration,
    Uncalibrated,
    fit_isotonic,
    fit_platt,
    from_card,
)


def sample(slope: float, intercept: float, n: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    logits = rng.normal(0.0, 2.0, n)
    risk = 1 / (1 + np.exp(-(slope * logits + intercept)))
    return logits, (rng.random(n) < risk).astype(float)


def test_without_calibration_the_risk_is_the_sigmoid_at_any_size() -> None:
    risk = Uncalibrated().risk(np.array([-1000.0, 0.0, np.log(3.0), 1000.0]))

    assert risk.tolist() == pytest.approx([0.0, 0.5, 0.75, 1.0])


def test_platt_finds_the_line_that_made_the_labels() -> None:
    fitted = fit_platt(*sample(0.6, -1.5))

    assert fitted.slope == pytest.approx(0.6, abs=0.03)
    assert fitted.intercept == pytest.approx(-1.5, abs=0.05)


def test_platt_is_finite_where_logits_separate_the_outcomes() -> None:
    logits = np.linspace(-5, 5, 40)
    fitted = fit_platt(logits, (logits > 0).astype(float))

    assert np.isfinite([fitted.slope, fitted.intercept]).all()
    assert (fitted.risk(logits) > 0.5).tolist() == (logits > 0).tolist()


def test_platt_is_the_minimum_of_its_loss() -> None:
    logits, outcomes = sample(1.0, 0.3, n=400)
    fitted = fit_platt(logits, outcomes)
    events = outcomes.sum()
    target = np.where(outcomes > 0, (events + 1) / (events + 2), 1 / (400 - events + 2))

    def loss(slope: float, intercept: float) -> float:
        line = slope * logits + intercept
        return float((np.logaddexp(0, line) - target * line).sum())

    best = loss(fitted.slope, fitted.intercept)
    for step in ((0.01, 0.0), (-0.01, 0.0), (0.0, 0.01), (0.0, -0.01)):
        assert loss(fitted.slope + step[0], fitted.intercept + step[1]) > best


def test_isotonic_rises_and_follows_the_rate_of_events() -> None:
    logits, outcomes = sample(1.2, -0.5)
    fitted = fit_isotonic(logits, outcomes)
    at = np.linspace(-4, 4, 50)
    risk = fitted.risk(at)

    assert (np.diff(risk) >= 0).all()
    assert np.abs(risk - 1 / (1 + np.exp(-(1.2 * at - 0.5)))).max() < 0.08


def test_isotonic_pools_what_would_fall() -> None:
    logits = np.repeat([0.0, 1.0, 2.0, 3.0], 10)
    outcomes = np.concatenate([np.r_[np.ones(k), np.zeros(10 - k)] for k in (1, 5, 3, 9)])
    risk = fit_isotonic(logits, outcomes).risk(np.array([0.0, 1.0, 2.0, 3.0]))

    assert risk.tolist() == pytest.approx([0.1, 0.4, 0.4, 0.9])


@pytest.mark.parametrize(
    ("logits", "outcomes"),
    [
        (np.arange(10.0), np.r_[np.zeros(5), np.ones(5)]),  # too few
        (np.arange(30.0), np.zeros(30)),  # no event
        (np.zeros(30), np.r_[np.zeros(15), np.ones(15)]),  # one logit
        (np.r_[np.nan, np.arange(29.0)], np.r_[np.zeros(15), np.ones(15)]),
        (np.arange(30.0), np.full(30, 0.5)),
        (np.arange(30.0), np.zeros(29)),
    ],
)
def test_labels_that_cannot_calibrate_are_refused(logits: np.ndarray, outcomes: np.ndarray) -> None:
    for fit in (fit_platt, fit_isotonic):
        with pytest.raises(UnusableInput, match=r"needed|needs"):
            fit(logits, outcomes)


def test_labels_the_wrong_way_round_are_noticed() -> None:
    logits, outcomes = sample(1.0, 0.0, n=200)

    with pytest.raises(UnusableInput, match="swapped"):
        fit_platt(logits, 1 - outcomes)


@pytest.mark.parametrize(
    "calibration",
    [
        Uncalibrated(),
        PlattCalibration(0.5, -1.0, 100),
        IsotonicCalibration((-1.0, 0.0, 2.0), (0.1, 0.1, 0.9), 50),
    ],
)
def test_a_card_gives_the_same_calibration_again(calibration: object) -> None:
    assert from_card(calibration.as_card()) == calibration


@pytest.mark.parametrize(
    "stored",
    [
        "platt",
        {},
        {"method": "temperature"},
        {"method": "platt", "slope": -1.0, "intercept": 0.0, "recordings": 9},
        {"method": "platt", "slope": 1.0, "intercept": float("nan"), "recordings": 9},
        {"method": "platt", "slope": 1.0},
        {"method": "isotonic", "logits": [0, 1], "risks": [0.5, 0.4], "recordings": 9},
        {"method": "isotonic", "logits": [0, 1], "risks": [0.5, 1.4], "recordings": 9},
        {"method": "isotonic", "logits": [0], "risks": [0.5, 0.6], "recordings": 9},
        {"method": "isotonic", "logits": [], "risks": [], "recordings": 9},
    ],
)
def test_a_damaged_calibration_is_refused(stored: object) -> None:
    with pytest.raises(MalformedInput, match="calibration"):
        from_card(stored)

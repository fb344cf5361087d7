"""Figures of a risk against scikit-learn's, with weights as a bootstrap has them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score, roc_curve

from services.evaluation import risk

Arrays = tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]


@pytest.fixture(params=["smooth", "ties", "few"])
def made(request: pytest.FixtureRequest) -> Arrays:
    """Label, risk, and weights of 40 samples."""
    generator = np.random.default_rng(3)
    n = 12 if request.param == "few" else 300
    label = (generator.random(n) < 0.3).astype(np.int64)
    label[:2] = 0, 1
    score = np.clip(0.3 * label + generator.normal(0.3, 0.2, n), 0, 1)
    if request.param == "ties":
        score = np.round(score, 1)
    weights = generator.multinomial(n, np.full(n, 1 / n), size=40).astype(np.float64)
    weights[:, :2] += 1
    return label, score, weights


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (risk.auroc, roc_auc_score),
        (risk.auprc, average_precision_score),
        (risk.brier, brier_score_loss),
    ],
    ids=["auroc", "auprc", "brier"],
)
def test_figures_of_many_samples_are_those_of_scikit_learn(
    made: Arrays, ours: object, theirs: object
) -> None:
    label, score, weights = made
    expected = [theirs(label, score, sample_weight=w) for w in weights]  # type: ignore[operator]
    found = ours(label, score, weights)  # type: ignore[operator]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_the_curve_is_that_of_scikit_learn(made: Arrays) -> None:
    label, score, _ = made
    false, true, _ = roc_curve(label, score, drop_intermediate=False)
    np.testing.assert_allclose(risk.roc_curve(label, score), np.stack([false, true], axis=1))


def test_a_figure_that_does_not_exist_is_nan_not_an_error() -> None:
    label, score = np.zeros(5, np.int64), np.linspace(0, 1, 5)
    assert np.isnan(risk.auroc(label, score, np.ones((2, 5)))).all()
    assert np.isnan(risk.auprc(label, score, np.ones(5)))
    assert np.isnan(risk.auroc(np.ones(3, np.int64), np.zeros(3), np.zeros(3)))


def test_risks_that_mean_what_they_say_have_no_calibration_error() -> None:
    risks = np.repeat([0.2, 0.8], 50)
    label = np.concatenate([np.arange(50) < 10, np.arange(50) < 40]).astype(np.int64)
    assert risk.calibration_error(label, risks, np.ones(100)) == pytest.approx(0.0)
    shifted = np.asarray(risks + 0.1)
    assert risk.calibration_error(label, shifted, np.ones(100)) == pytest.approx(0.1)


def test_like_risks_share_a_bin_and_bins_are_even_otherwise() -> None:
    risks = np.concatenate([np.zeros(50), np.linspace(0.1, 1, 50)])
    group = risk.calibration_bins(risks)
    assert len(set(group[:50].tolist())) == 1
    counts = np.bincount(risk.calibration_bins(np.random.default_rng(0).random(1000)))
    assert counts.tolist() == [100] * 10


def test_a_record_at_the_threshold_is_flagged() -> None:
    label, risks = np.array([0, 1, 1, 0]), np.array([0.1, 0.5, 0.2, 0.9])
    cells = risk.operating_points(label, risks, np.array([0.5, 0.95]))
    assert cells.tolist() == [[1, 1, 1, 1], [0, 0, 2, 2]]


def test_the_interval_of_a_share_stays_between_0_and_1() -> None:
    assert risk.wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-3)
    assert risk.wilson(10, 10) == pytest.approx((0.7225, 1.0), abs=1e-3)
    assert np.isnan(risk.wilson(0, 0)).all()

"""Losses and figures against what their formulas say, number by number."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from services.models.deepecg.learning import RiskLoss, Windows, auroc

LOGITS = torch.tensor([[-2.0], [0.5], [3.0]])
TARGET = torch.tensor([0.0, 1.0, 0.0])


def test_focal_loss_is_that_of_its_formula() -> None:
    found = RiskLoss(focal=(0.25, 2.0))(LOGITS, TARGET)
    for value, logit, label in zip(found, LOGITS[:, 0], TARGET, strict=True):
        p = 1 / (1 + math.exp(-float(logit)))
        sure, alpha = (p, 0.25) if label else (1 - p, 0.75)
        assert float(value) == pytest.approx(-alpha * (1 - sure) ** 2 * math.log(sure), rel=1e-5)


def test_without_focus_it_is_half_of_the_cross_entropy() -> None:
    entropy = RiskLoss()(LOGITS, TARGET)
    assert torch.allclose(RiskLoss(focal=(0.5, 0.0))(LOGITS, TARGET), entropy / 2)


def test_weights_count_an_outcome_more() -> None:
    entropy = RiskLoss()(LOGITS, TARGET)
    weighted = RiskLoss(weights=(1.0, 3.0))(LOGITS, TARGET)
    assert torch.allclose(weighted, entropy * torch.tensor([1.0, 3.0, 1.0]))


def test_auroc_counts_pairs_and_ties_half() -> None:
    rng = np.random.default_rng(0)
    scores, label = rng.integers(0, 5, 60).astype(float), rng.integers(0, 2, 60).astype(float)
    pairs = scores[label > 0][:, None] - scores[label == 0]
    assert auroc(scores, label) == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())
    assert math.isnan(auroc(scores, np.zeros(60)))


def test_windows_of_a_record_are_averaged() -> None:
    arrays = {
        "label": np.array([1.0, 1.0, 0.0], np.float32),
        "record": np.array([4, 4, 7]),
    }
    mean, label = Windows(arrays).by_record(np.array([1.0, 3.0, -1.0]))
    assert (mean.tolist(), label.tolist()) == ([2.0, -1.0], [1.0, 0.0])

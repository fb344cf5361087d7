"""Losses by hand on few tokens."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from services.models.ecgbert.guide.losses import (
    TokenLoss,
    balanced_weights,
    class_probabilities,
    token_loss,
)
from services.models.ecgbert.guide.sentences import NO_LABEL

TWO_CHUNKS = torch.tensor([0, 0, 0, 1])


def test_a_chunk_s_loss_is_the_mean_over_its_labelled_tokens() -> None:
    logits = torch.tensor([[2.0, 0.0], [0.0, 0.0], [9.0, -9.0], [0.0, 3.0]])
    label = torch.tensor([0, 1, NO_LABEL, 1])
    found = TokenLoss()(logits, (label, TWO_CHUNKS))
    first = (math.log(1 + math.exp(-2)) + math.log(2)) / 2
    assert found.tolist() == pytest.approx([first, math.log(1 + math.exp(-3))], abs=1e-6)


def test_a_chunk_that_teaches_nothing_has_no_loss() -> None:
    logits = torch.zeros((4, 5), requires_grad=True)
    found = TokenLoss()(logits, (torch.tensor([NO_LABEL] * 3 + [1]), TWO_CHUNKS))
    assert found[0].item() == 0
    found.sum().backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_one_output_is_binary_cross_entropy_on_the_logit() -> None:
    logits = torch.tensor([[2.0], [0.0], [0.0], [-3.0]])
    label = torch.tensor([1, NO_LABEL, NO_LABEL, 1])
    found = TokenLoss()(logits, (label, TWO_CHUNKS))
    assert found.tolist() == pytest.approx(
        [math.log(1 + math.exp(-2)), math.log(1 + math.exp(3))], abs=1e-6
    )


def test_focal_loss_looks_away_from_what_is_easy_and_the_weight_stands_outside() -> None:
    logits = torch.tensor([[2.0, 0.0], [2.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    label = torch.tensor([0, 0, NO_LABEL, 1])
    weight = np.array([1.0, 4.0], dtype=np.float32)
    found = TokenLoss(gamma=2.0, weight=weight)(logits, (label, TWO_CHUNKS))
    sure = 1 / (1 + math.exp(-2))
    expected = [(1 - sure) ** 2 * -math.log(sure), 4 * 0.25 * math.log(2)]
    assert found.tolist() == pytest.approx(expected, abs=1e-6)


def test_weights_are_limited_and_an_absent_class_has_none() -> None:
    weights = balanced_weights(np.array([90_000, 10_000, 39, 0, 22_500]))
    assert weights.tolist() == pytest.approx([1, 3, 10, 0, 2])


def test_the_names_of_the_hyperparameters_choose() -> None:
    counts = np.array([4, 1])
    assert token_loss("cross_entropy", "none", counts) == TokenLoss()
    focal = token_loss("focal", "balanced", counts)
    assert focal.gamma == 2
    assert focal.weight is not None
    assert focal.weight.tolist() == [1, 2]


def test_probabilities_of_one_output_are_those_of_two_classes() -> None:
    found = class_probabilities(torch.tensor([[0.0], [2.0]]))
    assert found[:, 1].tolist() == pytest.approx([0.5, 1 / (1 + math.exp(-2))])
    assert class_probabilities(torch.zeros(3, 5)).sum(dim=1).tolist() == pytest.approx([1, 1, 1])

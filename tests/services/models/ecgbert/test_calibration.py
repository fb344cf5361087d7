from __future__ import annotations

import numpy as np

from services.models.ecgbert.calibration import (
    Calibration,
    expected_calibration_error,
    fitted_calibration,
)
from tests.services.models.ecgbert.tiny import tiny_network


def drawn(n: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose softmax is right, and labels drawn from it."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (n, 5)).astype(np.float32)
    chance = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    label = (chance.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)
    return logits, np.minimum(label, 4)


def test_calibration_undoes_a_wrong_scale_and_a_wrong_prior() -> None:
    logits, label = drawn()
    wrong = 3.0 * logits + np.array([0, 2, 0, 0, -1], dtype=np.float32)
    found = fitted_calibration(wrong, label)
    assert abs(found.scale - 1 / 3) < 0.02
    assert expected_calibration_error(found.probabilities(wrong), label) < 0.01
    assert (
        expected_calibration_error(Calibration(1.0, (0.0,) * 5).probabilities(wrong), label) > 0.1
    )


def test_a_shift_moves_answers_between_classes() -> None:
    logits = np.array([[0.0, 0.0, 0.6, 0.9, 0.0]], dtype=np.float32)
    calibration = Calibration(2.0, (0.0, 0.0, 0.1, 0.0, 0.0))
    assert calibration.probabilities(logits).argmax() == 3
    moved = calibration.shifted((0.0, 0.0, 0.5, -1.5, 0.0))
    assert moved.scale == 2.0
    assert moved.bias == (0.0, 0.0, 0.6, -1.5, 0.0)
    assert moved.probabilities(logits).argmax() == 2


def test_it_travels_with_the_network() -> None:
    network = tiny_network()
    Calibration(0.5, (0.0, 1.0, 2.0, 3.0, 4.0)).put_into(network)
    state = network.state_dict()
    assert state["calibration_scale"].tolist() == [0.5] * 5
    assert state["calibration_bias"].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_the_error_of_answers_that_are_always_sure_and_half_right_is_a_half() -> None:
    probabilities = np.tile(np.array([[1.0, 0.0]], dtype=np.float32), (10, 1))
    assert expected_calibration_error(probabilities, np.arange(10) % 2) == 0.5

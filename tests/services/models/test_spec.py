from __future__ import annotations

from typing import Any

import pytest

from services.errors import UnusableInput
from services.models.spec import Hyperparameter, chosen_hyperparameters

KNOWN = {
    "learning_rate": Hyperparameter(0.001, "of the optimizer", minimum=1e-7, maximum=1.0),
    "epochs": Hyperparameter(13, "passes over the data", minimum=1, maximum=1000),
    "precision": Hyperparameter("off", "of the forward pass", choices=("off", "bf16")),
    "focal": Hyperparameter(False, "focal loss"),
}


def test_defaults_fill_what_is_not_given_and_whole_numbers_may_be_fractions() -> None:
    chosen = chosen_hyperparameters(KNOWN, {"epochs": 2, "learning_rate": 1})
    assert chosen == {"learning_rate": 1.0, "epochs": 2, "precision": "off", "focal": False}
    assert isinstance(chosen["learning_rate"], float)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("learning_rate", 2.0, "learning_rate must be a number from 1e-07 to 1.0, not '2.0'"),
        ("learning_rate", float("nan"), "must be a number from"),
        ("learning_rate", float("inf"), "must be a number from"),
        ("learning_rate", "0.1", "must be a number from"),
        ("learning_rate", True, "must be a number from"),
        ("epochs", 2.5, "epochs must be a whole number from 1 to 1000, not '2.5'"),
        ("epochs", 0, "must be a whole number from 1 to 1000"),
        ("epochs", [3], "must be a whole number from 1 to 1000"),
        ("precision", "fp4", "precision must be one of off, bf16, not 'fp4'"),
        ("precision", None, "must be one of off, bf16"),
        ("focal", 1, "focal must be true or false, not '1'"),
        ("epoch", 1, "there is no hyperparameter 'epoch'; there are epochs, focal, learning_rate"),
    ],
)
def test_what_is_impossible_is_refused_with_the_range(name: str, value: Any, said: str) -> None:
    with pytest.raises(UnusableInput, match=said.replace("(", r"\(")) as refused:
        chosen_hyperparameters(KNOWN, {name: value})
    assert refused.value.errors is not None
    assert refused.value.errors[0]["loc"] == ["hyperparameters", name]

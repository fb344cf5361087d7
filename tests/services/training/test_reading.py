from __future__ import annotations

from typing import Any

import pytest
import torch

from services.ecg.record import IntArray
from services.errors import UnusableInput
from services.training.progress import NoProgress
from services.training.reading import Batches


class Told(NoProgress):
    def __init__(self) -> None:
        self.messages: list[str] = []

    def event(self, kind: str, data: dict[str, Any]) -> None:
        self.messages.append(data["message"])


def computed(batches: Batches, n_items: int, *, fits: int) -> list[list[int]]:
    def compute(at: IntArray) -> list[int]:
        if len(at) > fits:
            raise torch.OutOfMemoryError("simulated")
        return at.tolist()

    return list(batches.through(n_items, compute))


def test_batches_shrink_until_they_fit_and_stay_so() -> None:
    told = Told()
    batches = Batches(8, told)
    assert computed(batches, 7, fits=8) == [[0, 1, 2, 3, 4, 5, 6]]
    assert computed(batches, 7, fits=3) == [[0, 1], [2, 3], [4, 5], [6]]
    assert computed(batches, 3, fits=8) == [[0, 1], [2]]
    assert len(told.messages) == 2
    assert "2 items at a time" in told.messages[1]


def test_a_single_item_that_does_not_fit_ends_it() -> None:
    with pytest.raises(UnusableInput, match="a single item"):
        computed(Batches(4, NoProgress()), 2, fits=0)

"""Going through many items without gradients, a batch at a time, in batches that fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
import torch

from services.ecg.record import IntArray
from services.errors import UnusableInput
from services.training.progress import Progress

T = TypeVar("T")


class Batches:
    """How many items are computed at once: half as many whenever the device's memory is full.

    What it has learned of the memory it keeps for the next time.
    """

    def __init__(self, at_once: int, progress: Progress) -> None:
        self.at_once, self._progress = at_once, progress

    def through(self, n_items: int, compute: Callable[[IntArray], T]) -> Iterator[T]:
        """What `compute` makes of the indices of each batch, in order.

        `compute` may be asked again for items whose batch did not fit. Raises UnusableInput where
        the memory does not suffice for a single item.
        """
        first = 0
        while first < n_items:
            at = np.arange(first, min(first + self.at_once, n_items))
            try:
                made = compute(at)
            except torch.OutOfMemoryError:
                fits = False
            else:
                fits = True
            if fits:
                yield made
                first += len(at)
            else:
                self._halve()  # outside of the handler, whose traceback holds the tensors

    def _halve(self) -> None:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if self.at_once == 1:
            raise UnusableInput("the device's memory does not suffice for a single item")
        self.at_once = -(-self.at_once // 2)
        message = f"out of memory: validation goes on with {self.at_once} items at a time"
        self._progress.event("log", {"message": message})

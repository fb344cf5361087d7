"""Where randomness starts: one seed for everything that draws numbers."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def seed_everything(seed: int) -> torch.Generator:
    """Seeds Python, NumPy and torch; returns a generator of its own for batches and augmentation.

    On one machine and one number of threads a CPU run repeats to the bit. Another number of
    threads, another processor or a GPU sums in another order, and the last digits differ.
    """
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - libraries that we call draw from the old generator
    torch.manual_seed(seed)
    return torch.Generator().manual_seed(seed)


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for torch while it lasts.

    Networks this small lose more to handing work around than they gain, several times over on a
    busy machine; and sums then come out the same whatever the number of processors.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)

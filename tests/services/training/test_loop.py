from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from services.errors import Cancelled
from services.training.loop import Batch, FitPlan, fitted
from services.training.progress import NoProgress
from services.training.seeds import one_thread, seed_everything

PLAN = FitPlan(steps=150, learning_rate=0.1, average_decay=0.9, weight_decay=0.0)


def batches(steps: int) -> Iterator[Batch]:
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        x = torch.randn((32, 2), generator=generator)
        yield (x,), x @ torch.tensor([[2.0], [-1.0]])


def run(seed: int = 0) -> nn.Module:
    seed_everything(seed)
    return fitted(
        nn.Linear(2, 1), batches(PLAN.steps), loss=nn.MSELoss(), plan=PLAN, progress=NoProgress()
    )


def test_the_average_of_the_weights_reaches_the_answer() -> None:
    network = run()
    assert not network.training
    assert torch.allclose(next(network.parameters()), torch.tensor([[2.0, -1.0]]), atol=0.05)


def test_the_same_seed_gives_the_same_weights() -> None:
    for one, other in zip(run(3).parameters(), run(3).parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_run_that_is_cancelled_stops() -> None:
    class Stopped(NoProgress):
        def check_cancelled(self) -> None:
            raise Cancelled("asked to stop")

    with pytest.raises(Cancelled):
        fitted(nn.Linear(2, 1), batches(5), loss=nn.MSELoss(), plan=PLAN, progress=Stopped())


def test_the_number_of_threads_is_put_back() -> None:
    before = torch.get_num_threads()
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before

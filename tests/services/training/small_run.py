"""A run of the engine small enough to be killed dozens of times.

It holds all that must come back after a kill: dropout, batch norm, augmentation, momentum, layers
that are frozen at first, a moving average, and libraries that draw from the global generators.
"""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from services.ecg.record import IntArray
from services.training.engine import Outcome, Training, trained
from services.training.freezing import parameter_groups
from services.training.plan import EnginePlan, Freeze, warmup_cosine
from services.training.progress import NoProgress, Progress
from services.training.seeds import one_thread, seed_everything

PLAN = EnginePlan(
    epochs=4,
    batch=16,
    accumulation=2,
    average_decay=0.9,
    freeze=(Freeze("0.*", epochs=1),),
    checkpoint_every_s=1e9,
    loaders=1,
    seed=5,
)


class Points:
    """Two coordinates each, one class; jittered whenever they are drawn."""

    def __init__(self, n: int = 150, jitter: float = 0.05) -> None:
        rng = np.random.default_rng(0)
        self.x = rng.normal(size=(n, 2)).astype(np.float32)
        self.label = (self.x.sum(axis=1) > 0).astype(np.int64)
        self.jitter = jitter

    def __len__(self) -> int:
        return len(self.x)

    def batch(
        self, indices: IntArray, generator: torch.Generator
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        x = torch.from_numpy(self.x[indices])
        x = x + self.jitter * torch.randn(x.shape, generator=generator)
        return (x,), torch.from_numpy(self.label[indices])


class Restless(nn.Module):
    """Draws from Python's and NumPy's generators as well, as some libraries do."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        return x * (1 + 0.01 * (random.random() + float(np.random.rand())))  # noqa: NPY002


def network(seed: int = 5) -> nn.Sequential:
    seed_everything(seed)
    return nn.Sequential(
        nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), Restless(), nn.Dropout(0.2), nn.Linear(8, 2)
    )


def run(
    folder: Path,
    plan: EnginePlan = PLAN,
    *,
    progress: Progress | None = None,
    loss: Callable[[Any, Any], Tensor] | None = None,
    module: nn.Module | None = None,
    data: Points | None = None,
    optimizer: type[torch.optim.AdamW] = torch.optim.AdamW,
) -> tuple[Outcome, nn.Module]:
    data, module = data or Points(), module or network()

    def validate(trained_so_far: nn.Module) -> dict[str, float]:
        answers = trained_so_far(torch.from_numpy(data.x)).argmax(dim=1).numpy()
        return {"accuracy": float((answers == data.label).mean())}

    training = Training(
        network=module,
        data=data,
        loss=loss or nn.CrossEntropyLoss(reduction="none"),
        optimizer=lambda it: optimizer(
            parameter_groups(it, learning_rate=0.02, layer_decay=0.5, layers=("0.", "1."))
        ),
        schedule=warmup_cosine(0.1),
        validate=validate,
    )
    with one_thread():
        outcome = trained(
            training, plan, workspace=folder, device="cpu", progress=progress or NoProgress()
        )
    return outcome, module


class Killed(NoProgress):
    """Kills its process a moment after so many checkpoints, wherever the run is by then."""

    def __init__(self, writes: int, moment_s: float) -> None:
        self.left, self.moment_s = writes, moment_s

    def event(self, kind: str, data: dict[str, Any]) -> None:
        self.left -= kind == "checkpoint"
        if self.left == 0:
            self.left -= 1
            threading.Timer(self.moment_s, os.kill, (os.getpid(), signal.SIGKILL)).start()


def run_killed(folder: str, epochs: int, writes: int, moment_s: float) -> None:
    """A run with a checkpoint after every update, for a process of its own, which it kills."""
    plan = replace(PLAN, epochs=epochs, checkpoint_every_s=0.0)
    run(Path(folder), plan, progress=Killed(writes, moment_s))

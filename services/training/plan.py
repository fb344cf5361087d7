"""What a training run is told: lengths, batches, freezing, when to stop (no torch)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

# a run's checkpoints, as files of its folder
LAST, BEST = "last.safetensors", "best.safetensors"

Precision: TypeAlias = Literal["off", "bf16", "fp16"]

# (update, updates in all) -> what the learning rate is multiplied by, 0 to 1
Schedule: TypeAlias = Callable[[int, int], float]


@dataclass(frozen=True)
class Freeze:
    """Parameters that stand still at first.

    pattern: shell pattern over the network's parameter names (`encoder.*`).
    epochs, updates: how long; with neither of them for the whole run.
    """

    pattern: str
    epochs: int | None = None
    updates: int = 0

    def lasts(self, *, epoch: int, update: int) -> bool:
        """Whether they stand still now; epoch and update count from 0."""
        throughout = self.epochs is None and not self.updates
        return throughout or epoch < (self.epochs or 0) or update < self.updates


def frozen_for(patterns: Iterable[str], *, epochs: int, updates: int) -> tuple[Freeze, ...]:
    """Those parameters stand still until both are over; for the whole run where both are 0."""
    return tuple(Freeze(each, epochs=epochs or None, updates=updates) for each in patterns)


@dataclass(frozen=True)
class EnginePlan:
    """Numbers of a run of the engine.

    epochs: passes over the data. batch: items a step of the optimizer, over all processes.
    accumulation: micro-batches that a batch is computed in; memory goes down, the result stays.
    gradient_norm: gradients are scaled down to at most this norm; None leaves them.
    patience: epochs without a better `monitor` before the run stops; None never stops it.
    monitor: `loss`, the mean over the epoch, or one of the metrics of `validate`.
    precision: of the forward pass; weights and optimizer stay float32.
    average_decay: of a moving average of the weights, which is then what is validated and kept.
    checkpoint_every_s: besides the one after every epoch. loaders: threads that prepare batches.
    """

    epochs: int
    batch: int
    accumulation: int = 1
    gradient_norm: float | None = 1.0
    patience: int | None = None
    monitor: str = "loss"
    higher_is_better: bool = False
    precision: Precision = "off"
    average_decay: float | None = None
    freeze: tuple[Freeze, ...] = ()
    checkpoint_every_s: float = 300.0
    loaders: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch, self.accumulation) < 1:
            raise ValueError("epochs, batch and accumulation are at least 1")

    def better(self, value: float, than: float | None) -> bool:
        """Whether a value of the monitored metric is an improvement; NaN never is."""
        if math.isnan(value):
            return False
        if than is None:
            return True
        return value > than if self.higher_is_better else value < than


def constant(update: int, updates: int) -> float:  # noqa: ARG001 - a schedule is asked with both
    """The same learning rate throughout."""
    return 1.0


def warmup_cosine(rising_share: float, *, lowest: float = 0.0) -> Schedule:
    """Rises over that share of the updates, then falls along half a cosine to `lowest`."""

    def factor(update: int, updates: int) -> float:
        rising = rising_share * updates
        if update < rising:
            return (update + 1) / (rising + 1)
        done = (update - rising) / max(updates - rising, 1)
        return lowest + (1 - lowest) * (1 + math.cos(math.pi * min(done, 1.0))) / 2

    return factor


def three_stages(
    shares: tuple[float, float, float], *, first: float = 0.01, last: float = 0.05
) -> Schedule:
    """Rises from `first`, holds, then falls exponentially to `last`; shares of the updates."""
    rising, held, falling = shares

    def factor(update: int, updates: int) -> float:
        if update < rising * updates:
            return first + (1 - first) * update / (rising * updates)
        if update < (rising + held) * updates or falling == 0:
            return 1.0
        done = (update - (rising + held) * updates) / (falling * updates)
        return float(last ** min(done, 1.0))

    return factor

"""The training loop beside a bare PyTorch loop that does the same steps, in turns.

python -m benchmarks.training [--rounds 7] [--epochs 1] [--device cpu]

Both sides draw the same batches, compute the same gradients, clip them, take the same steps and
move the same average of weights; validation is left out. The loop besides asks whether it is
cancelled, looks whether the loss is a number, tells its progress, and writes the checkpoint of each
epoch. On a CPU the time is that of the processor, so that other work on the machine counts on
neither side. Ratios are of medians and of the quickest rounds. The beats are made up: time does not
depend on what they show.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from services.ecg.record import IntArray
from services.models.ecgbert.augmentation import Augmentation, augmented
from services.models.ecgbert.network import N_RHYTHM, BeatNetwork, NetworkConfig
from services.models.ecgbert.reference_beat import SIMILARITY_FEATURES
from services.training.engine import Training, trained
from services.training.freezing import parameter_groups
from services.training.plan import EnginePlan, warmup_cosine
from services.training.progress import NoProgress
from services.training.seeds import one_thread

BEATS = 4096
RATE = 1e-3
DECAY = 0.99


class MadeBeats:
    """Beats of two leads, drawn at random, varied as in training."""

    def __init__(self, n: int = BEATS) -> None:
        rng = np.random.default_rng(0)
        self.words = rng.integers(0, 70, (n, 2, 5))
        self.windows = rng.normal(size=(n, 2, 120)).astype(np.float32)
        self.rhythm = rng.normal(size=(n, N_RHYTHM)).astype(np.float32)
        self.similarity = rng.normal(size=(n, 2, SIMILARITY_FEATURES)).astype(np.float32)
        self.label = rng.integers(0, 5, n)

    def __len__(self) -> int:
        return len(self.label)

    def batch(
        self, indices: IntArray, generator: torch.Generator
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        windows = torch.from_numpy(self.windows[indices])
        inputs = (
            torch.from_numpy(self.words[indices]),
            windows,
            windows,
            torch.from_numpy(self.rhythm[indices]),
            torch.from_numpy(self.similarity[indices]),
        )
        target = torch.from_numpy(self.label[indices])
        return augmented(inputs, Augmentation(), generator), target


class Small(nn.Module):
    """Next to no work in a step, so that what the loop adds shows most."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(120, 128), nn.ReLU(), nn.Linear(128, 5))

    def forward(self, words: Tensor, windows: Tensor, *_: Tensor) -> Tensor:
        out: Tensor = self.layers(windows[:, 0])
        return out


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    chosen = parser.parse_args()
    data = MadeBeats()
    cases: dict[str, tuple[Callable[[], nn.Module], int]] = {
        "beat network, batch 256": (lambda: BeatNetwork(NetworkConfig()), 256),
        "beat network, batch 32": (lambda: BeatNetwork(NetworkConfig()), 32),
        "two small layers, batch 32": (Small, 32),
    }
    print(f"torch {torch.__version__}, {chosen.device}, one thread, {BEATS} beats an epoch")
    with one_thread():
        for name, (make, batch) in cases.items():
            plan = EnginePlan(epochs=chosen.epochs, batch=batch, average_decay=DECAY)
            _compare(name, make, data, plan, chosen)


def _compare(
    name: str,
    make: Callable[[], nn.Module],
    data: MadeBeats,
    plan: EnginePlan,
    chosen: argparse.Namespace,
) -> None:
    bare, ours = [], []
    device = chosen.device
    for _ in range(chosen.rounds):
        bare.append(_timed(device, lambda: bare_loop(make().to(device), data, plan, device)))
        ours.append(_timed(device, lambda: our_loop(make(), data, plan, device)))
    middle = statistics.median(ours) / statistics.median(bare)
    best = min(ours) / min(bare)
    steps = plan.epochs * -(-len(data) // plan.batch)
    print(
        f"{name}: bare {1000 * statistics.median(bare) / steps:.2f} ms a step, "
        f"ours {1000 * statistics.median(ours) / steps:.2f}; "
        f"ratio {middle:.3f} of medians, {best:.3f} of the quickest"
    )


def bare_loop(network: nn.Module, data: MadeBeats, plan: EnginePlan, device: str) -> None:
    optimizer = torch.optim.AdamW(parameter_groups(network, learning_rate=RATE))
    updates = plan.epochs * -(-len(data) // plan.batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: warmup_cosine(0.1)(step, updates)
    )
    average = torch.optim.swa_utils.AveragedModel(
        network,
        multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(DECAY),  # type: ignore[no-untyped-call]
        use_buffers=True,
    )
    loss = nn.CrossEntropyLoss()
    generator = torch.Generator().manual_seed(0)
    network.train()
    for epoch in range(plan.epochs):
        order = np.random.default_rng(epoch).permutation(len(data))
        total = 0.0
        for first in range(0, len(order), plan.batch):
            inputs, target = data.batch(order[first : first + plan.batch], generator)
            optimizer.zero_grad()
            value = loss(network(*(each.to(device) for each in inputs)), target.to(device))
            value.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            average.update_parameters(network)
            total += value.item()


def our_loop(network: nn.Module, data: MadeBeats, plan: EnginePlan, device: str) -> None:
    training = Training(
        network=network,
        data=data,
        loss=nn.CrossEntropyLoss(reduction="none"),
        optimizer=lambda it: torch.optim.AdamW(parameter_groups(it, learning_rate=RATE)),
        schedule=warmup_cosine(0.1),
        validate=lambda _: {},
    )
    with tempfile.TemporaryDirectory() as folder:
        trained(training, plan, workspace=Path(folder), device=device, progress=NoProgress())


def _timed(device: str, action: Callable[[], None]) -> float:
    clock = time.process_time if device == "cpu" else time.perf_counter
    started = clock()
    action()
    return clock() - started


if __name__ == "__main__":
    main()

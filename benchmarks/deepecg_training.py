"""DeepECG's training: a step of the engine beside the bare loop, and a head that learns alone.

python -m benchmarks.deepecg_training [--records 8] [--rounds 3] [--epochs 100]

Full size, weights that were drawn. The head's epochs run whole; those through the network are
measured over `--rounds` epochs and stand for as many as are asked for.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.deepecg_serving import made_windows
from services.ecg.leads import STANDARD_12
from services.ecg.record import EcgRecord
from services.models.deepecg.checkpoint import PUBLISHED
from services.models.deepecg.family import FAMILY
from services.models.deepecg.fine_tuning import fine_tuned
from services.models.deepecg.hyperparameters import ADAM_BETAS, ADAM_EPSILON, HYPERPARAMETERS
from services.models.deepecg.importing import import_public
from services.models.deepecg.learning import RiskLoss
from services.models.deepecg.network import RiskNetwork
from services.models.interface import FineTunePlan, LabelledRecord
from services.models.public_checkpoints import write_public_checkpoint
from services.training.progress import NoProgress


class Timed(NoProgress):
    """Notes when features were there, and when each epoch ended."""

    def __init__(self) -> None:
        self.epochs: list[float] = []
        self.training_began: float | None = None

    def advance(self, fraction: float, *, stage: str = "") -> None:
        if stage == "training" and self.training_began is None:
            self.training_began = time.perf_counter()

    def event(self, kind: str, data: dict[str, Any]) -> None:
        if kind == "epoch":
            self.epochs.append(time.perf_counter())


def main() -> None:
    arguments = _arguments()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    records = labelled(arguments.records)
    with tempfile.TemporaryDirectory() as folder:
        base = imported(Path(folder))
        _report_step(records, arguments.rounds, device)
        _report_head(base, records, arguments, Path(folder), device)


def labelled(count: int) -> list[LabelledRecord]:
    return [
        LabelledRecord(f"rec_{n}", f"p{n}", EcgRecord(window, STANDARD_12, 250.0), float(n % 2))
        for n, window in enumerate(made_windows(count))
    ]


def imported(folder: Path) -> Path:
    torch.manual_seed(0)
    file = folder / "wcr_afib_5y.pt"
    write_public_checkpoint({"model": RiskNetwork(PUBLISHED).state_dict()}, file)
    import_public(file, into=folder / "base")
    return folder / "base"


def plan(base: Path, **chosen: Any) -> FineTunePlan:
    defaults = {name: each.default for name, each in HYPERPARAMETERS.items()}
    return FineTunePlan(base, "reset", defaults | chosen, seed=1)


def _report_step(records: list[LabelledRecord], rounds: int, device: str) -> None:
    """One step over all records, 4 at a time: the engine's own work beside a bare loop."""
    from services.models.deepecg.fine_tuning import _training, engine_plan
    from services.models.deepecg.learning import Windows
    from services.training.engine import trained
    from services.training.reading import Batches

    signal = np.stack([each.record.signal for each in records]).astype(np.float32)
    label = np.array([each.label for each in records], np.float32)
    arrays: dict[str, np.ndarray[Any, Any]] = {"signal": signal, "label": label}
    arrays["record"] = np.arange(len(records))
    windows, size = Windows(arrays), 4
    few = Windows({name: array[:2] for name, array in arrays.items()})
    chosen = {name: each.default for name, each in HYPERPARAMETERS.items()}
    chosen |= {"epochs": 1, "batch": len(records), "accumulation": -(-len(records) // size)}
    network = RiskNetwork(replace(PUBLISHED)).to(device)
    bare, ours = [], []
    for round_number in range(rounds):
        bare.append(_bare_step(network, signal, label, size, device))
        with tempfile.TemporaryDirectory() as folder:
            told = _StepTimed()
            training = _training(network, windows, few, chosen, Batches(size, told))
            # what follows the step (validation, checkpoint) is once an epoch and not its part
            told.started = time.perf_counter()
            settings = engine_plan(chosen, seed=round_number, device=device)
            trained(training, settings, workspace=Path(folder), device=device, progress=told)
            ours.append(told.step_s)
    print(f"training step over {len(records)} records, {size} at a time, {device}")
    for name, taken in (("bare loop", bare), ("engine", ours)):
        print(f"  {name:<12}{statistics.median(taken):8.2f} s (least {min(taken):.2f})")
    print(f"  engine / bare {statistics.median(ours) / statistics.median(bare):.2f}")


class _StepTimed(NoProgress):
    started = 0.0
    step_s = 0.0

    def advance(self, fraction: float, *, stage: str = "") -> None:
        if stage == "training" and not self.step_s:
            self.step_s = time.perf_counter() - self.started


def _bare_step(
    network: RiskNetwork, signal: np.ndarray, label: np.ndarray, size: int, device: str
) -> float:
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-5, betas=ADAM_BETAS, eps=ADAM_EPSILON)
    loss = RiskLoss(focal=(0.25, 2.0))
    for name, parameter in network.named_parameters():
        parameter.requires_grad_("feature_extractor" not in name)
    network.train()
    started = time.perf_counter()
    optimizer.zero_grad()
    for first in range(0, len(signal), size):
        x, y = (torch.from_numpy(a[first : first + size]).to(device) for a in (signal, label))
        (loss(network(x), y).sum() / len(signal)).backward()
    optimizer.step()
    return time.perf_counter() - started


def _report_head(
    base: Path,
    records: list[LabelledRecord],
    arguments: argparse.Namespace,
    folder: Path,
    device: str,
) -> None:
    """The same epochs of a frozen backbone: from features computed once, and through it."""
    epochs, rounds = arguments.epochs, arguments.rounds
    seconds = {}
    for name, chosen in (
        ("cached", {"epochs": epochs, "patience": epochs, "freeze_epochs": 0}),
        ("uncached", {"epochs": rounds, "patience": rounds, "freeze_epochs": 1000}),
    ):
        started = time.perf_counter()
        told = Timed()
        # whole network: kept apart from the cached run by a freeze that outlasts the run
        fine_tuned(
            records,
            records,
            plan=plan(base, freeze="backbone", accumulation=4, batch=16, **chosen),
            workspace=folder / name,
            out=folder / f"{name}-model",
            device=device,
            progress=told,
        )
        seconds[name] = time.perf_counter() - started
        if name == "uncached":
            epoch_s = statistics.median(np.diff([told.training_began or started, *told.epochs]))
            seconds[name] = epoch_s * epochs
    FAMILY.load(folder / "cached-model", device=device)
    print(f"a head alone, {len(records)} records to learn and as many to validate, {epochs} epochs")
    print(f"  features computed once   {seconds['cached']:8.1f} s, all of it")
    print(f"  through the network      {seconds['uncached']:8.1f} s, from {rounds} epochs")
    print(f"  ratio                    {seconds['uncached'] / seconds['cached']:8.1f}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--records", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=100)
    return parser.parse_args()


if __name__ == "__main__":
    main()

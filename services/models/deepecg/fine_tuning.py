"""Weights of one's own: the risk network goes on learning from records with outcomes.

Three starts: `base_ssl` with a new head, `wcr_afib_5y` with its head, `wcr_afib_5y` with a new one.
Where all but the head stands still, what the head reads is computed once, and epochs cost next to
nothing; the backbone then runs without dropout (upstream leaves its activation dropout on).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from services.ecg.record import IntArray
from services.errors import UnusableInput
from services.models import weights
from services.models.deepecg import calibration, spec
from services.models.deepecg.card import CARD, Start, new_card, read_start
from services.models.deepecg.checkpoint import HEAD
from services.models.deepecg.dense import pack_all
from services.models.deepecg.fused_network import FusedRiskNetwork
from services.models.deepecg.hyperparameters import (
    ADAM_BETAS,
    ADAM_EPSILON,
    extractor_learns,
    frozen_patterns,
)
from services.models.deepecg.importing import WEIGHTS, write_model_folder
from services.models.deepecg.learning import (
    RiskLoss,
    Windows,
    prepared,
    validation_figures,
    window_logits,
)
from services.models.deepecg.network import RiskNetwork, empty_network, reset_head
from services.models.deepecg.operating_point import OperatingPoint, fitted
from services.models.interface import FineTunePlan, LabelledRecords
from services.training.engine import Outcome, Training, trained
from services.training.freezing import parameter_groups
from services.training.mapped_arrays import mapped_arrays
from services.training.plan import EnginePlan, frozen_for
from services.training.progress import Progress
from services.training.reading import Batches
from services.training.seeds import seed_everything

PREPARED = 0.1  # of the whole work's progress
MOST_WEIGHT = 10.0
MONITORED = "validation_loss"


class HeadAlone(nn.Module):
    """The head over pooled features; its tensors have the names of RiskNetwork's."""

    def __init__(self, head: nn.Linear) -> None:
        super().__init__()
        self.proj = head

    def forward(self, pooled: Tensor) -> Tensor:
        """(n, width) -> (n, labels)."""
        out: Tensor = self.proj(pooled)
        return out


def fine_tuned(  # noqa: PLR0913 - the arguments of FineTunable
    train: LabelledRecords,
    validation: LabelledRecords,
    *,
    plan: FineTunePlan,
    workspace: Path,
    out: Path,
    device: str,
    progress: Progress,
) -> dict[str, Any]:
    """See services.models.interface.FineTunable."""
    chosen = plan.hyperparameters
    seed_everything(plan.seed)
    start, network = started(plan)
    sets = []
    for records, name, done in ((train, "train", 0.0), (validation, "validation", 0.5)):
        sets.append(
            prepared(
                records,
                workspace / name,
                window=start.window,
                most_windows=chosen["windows"],
                progress=_Share(progress, done * PREPARED, PREPARED / 2),
            )
        )
    learned, judged = _both_outcomes(*sets)
    learning: nn.Module = network
    if learns_head_alone(chosen):
        learned, judged = (
            _pooled(network, windows, workspace / f"{name}-pooled", device, progress)
            for windows, name in ((learned, "train"), (judged, "validation"))
        )
        learning = HeadAlone(network.proj)
    batches = Batches(max(1, int(chosen["batch"]) // int(chosen["accumulation"])), progress)
    outcome = trained(
        _training(learning, learned, judged, chosen, batches),
        replace(
            engine_plan(chosen, seed=plan.seed, device=device),
            checkpoint_every_s=plan.checkpoint_every_s,
        ),
        workspace=workspace / "run",
        device=device,
        progress=_Share(progress, PREPARED, 1 - PREPARED),
    )
    point = _operating_point(learning, judged, chosen, batches)
    card = _card(start, plan, network, outcome, point, _left_out(train, learned))
    write_model_folder(out, network.cpu().state_dict(), card)
    return card


def started(plan: FineTunePlan) -> tuple[Start, RiskNetwork]:
    """What the base's card says, and its network, the head kept or drawn anew from the seed.

    Raises UnusableInput without a base, or for the head of one that has none.
    """
    if plan.base is None:
        raise UnusableInput("DeepECG is fine-tuned from a base: base_ssl or wcr_afib_5y; name one")
    start = read_start(plan.base / CARD)
    if plan.head == "keep" and not start.has_head:
        raise UnusableInput(
            f"{start.name} is the pre-trained model and has no head to keep; start with head: "
            "reset, or from the classifier"
        )
    chosen = plan.hyperparameters
    network = empty_network(
        replace(
            start.network,
            activation_dropout=chosen["activation_dropout"],
            train_extractor=extractor_learns(chosen),
        )
    )
    absent = () if start.has_head else (HEAD,)
    weights.load_strictly(network, plan.base / WEIGHTS, absent=absent)
    if plan.head == "reset":
        reset_head(network, generator=torch.Generator().manual_seed(plan.seed))
    return start, network


def learns_head_alone(chosen: Mapping[str, Any]) -> bool:
    """Whether everything before the head stands still throughout."""
    lasting = chosen["freeze_epochs"] == chosen["freeze_updates"] == 0
    return bool(chosen["freeze"] == "backbone" and lasting)


def engine_plan(chosen: Mapping[str, Any], *, seed: int, device: str) -> EnginePlan:
    """The engine's numbers out of the hyperparameters."""
    precision = chosen["precision"]
    if precision == "auto":
        precision = "fp16" if device.startswith("cuda") else "off"
    alone = learns_head_alone(chosen)
    return EnginePlan(
        epochs=chosen["epochs"],
        batch=chosen["batch"],
        accumulation=1 if alone else min(chosen["accumulation"], chosen["batch"]),
        gradient_norm=chosen["gradient_norm"] or None,
        patience=chosen["patience"],
        monitor=MONITORED,
        precision=precision,
        freeze=frozen_for(
            () if alone else frozen_patterns(chosen),
            epochs=chosen["freeze_epochs"],
            updates=chosen["freeze_updates"],
        ),
        loaders=0 if alone else chosen["loaders"],
        seed=seed,
    )


def layers_of(network: nn.Module) -> list[str]:
    """Prefixes of parameter names from the input to the output; the head is not among them."""
    if not isinstance(network, RiskNetwork):
        return []
    before = ["encoder.feature_extractor.", "encoder.layer_norm.", "encoder.post_extract_proj."]
    positions = ["encoder.conv_pos.", "encoder.encoder.layer_norm."]
    numbers = range(network.config.layers)
    return [*before, *positions, *(f"encoder.encoder.layers.{number}." for number in numbers)]


def _both_outcomes(learned: Windows, judged: Windows) -> tuple[Windows, Windows]:
    for windows, name in ((learned, "training"), (judged, "validation")):
        if not len(windows):
            raise UnusableInput(f"no record of the {name} patients could be read")
    if len(np.unique(learned.label)) < 2:
        raise UnusableInput("all records of the training patients have the same label")
    return learned, judged


def _pooled(
    network: RiskNetwork, windows: Windows, folder: Path, device: str, progress: Progress
) -> Windows:
    """The same windows as what the head reads of them, computed once and kept in the folder."""

    def parts() -> Iterator[dict[str, NDArray[Any]]]:
        fused = FusedRiskNetwork(network).to(device)
        batches = Batches(1 if device == "cpu" and pack_all(fused) else 64, progress)

        def pooled(at: IntArray) -> dict[str, NDArray[Any]]:
            progress.check_cancelled()
            progress.advance(PREPARED * at[0] / len(windows), stage="computing features")
            signal = torch.from_numpy(np.array(windows.arrays["signal"][at])).to(device)
            with torch.inference_mode():
                found = fused.pooled(signal).cpu().numpy()
            return {"pooled": found} | {k: windows.arrays[k][at] for k in ("label", "record")}

        yield from batches.through(len(windows), pooled)

    return Windows(mapped_arrays(folder, parts()), inputs="pooled")


def _training(
    network: nn.Module,
    learned: Windows,
    judged: Windows,
    chosen: Mapping[str, Any],
    batches: Batches,
) -> Training:
    focal = (chosen["focal_alpha"], chosen["focal_gamma"]) if chosen["loss"] == "focal" else None
    class_weights = (1.0, 1.0)
    if chosen["class_weights"] == "inverse":
        share = float(learned.label.mean())
        class_weights = min(0.5 / (1 - share), MOST_WEIGHT), min(0.5 / share, MOST_WEIGHT)

    def optimizer(module: nn.Module) -> torch.optim.Optimizer:
        groups = parameter_groups(
            module,
            learning_rate=chosen["learning_rate"],
            weight_decay=chosen["weight_decay"],
            layer_decay=chosen["layer_decay"],
            layers=layers_of(module),
        )
        return torch.optim.Adam(groups, betas=ADAM_BETAS, eps=ADAM_EPSILON)

    return Training(
        network=network,
        data=learned,
        loss=RiskLoss(focal=focal, weights=class_weights),
        optimizer=optimizer,
        validate=validation_figures(judged, RiskLoss(focal=focal), batches),
    )


def _operating_point(
    network: nn.Module, judged: Windows, chosen: Mapping[str, Any], batches: Batches
) -> OperatingPoint:
    """Fitted to the validation patients where they suffice, else the published threshold."""
    published = OperatingPoint(calibration.Uncalibrated(), spec.THRESHOLD, spec.THRESHOLD_SOURCE)
    if chosen["operating_point"] == "published":
        return published
    values = window_logits(network, judged, batches)
    logits, label = judged.by_record(values)
    try:
        return fitted(logits, label, method="platt", of="validation records of the fine-tune")
    except UnusableInput:
        return published


def _left_out(records: LabelledRecords, windows: Windows) -> int:
    return len(records) - len(np.unique(windows.arrays["record"]))


def _card(
    start: Start,
    plan: FineTunePlan,
    network: RiskNetwork,
    outcome: Outcome,
    point: OperatingPoint,
    left_out: int,
) -> dict[str, Any]:
    best = outcome.history[outcome.best_epoch - 1]
    card = new_card(
        name=start.name, network=network.config, source=start.source, synthetic=start.synthetic
    )
    return point.put_into(card) | {
        "input": card["input"] | start.window.as_card(),
        "seed": plan.seed,
        "hyperparameters": dict(plan.hyperparameters) | {"head": plan.head},
        "epochs": outcome.epochs,
        "best_epoch": outcome.best_epoch,
        "stopped_early": outcome.stopped_early,
        "training_records_left_out": left_out,
        "metrics": {"validation": {**best["metrics"], "training_loss": best["loss"]}},
        "limits": [
            "Research use only, not a medical device.",
            "Fitted to one site's records; other recorders and populations may be read worse.",
        ],
    }


class _Share:
    """A part of the whole progress."""

    def __init__(self, whole: Progress, done: float, share: float) -> None:
        self._whole, self._done, self._part = whole, done, share
        self.event, self.check_cancelled = whole.event, whole.check_cancelled

    def advance(self, fraction: float, *, stage: str = "") -> None:
        self._whole.advance(self._done + self._part * fraction, stage=stage)

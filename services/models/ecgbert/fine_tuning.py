"""Weights of one's own: the beat network goes on learning from the labelled beats of a dataset.

Beats are learned where the annotations have them and where the detector finds them, as in the
training of the model that ships; clusters and feature measures stay the base's. The validation
patients choose the epoch and give the calibration.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from services.ecg.labels import AAMI_CLASSES, BINARY_CLASSES
from services.ecg.record import IntArray
from services.errors import UnusableInput
from services.models.ecgbert.augmentation import Augmentation, augmented
from services.models.ecgbert.calibration import Calibration, fitted_calibration
from services.models.ecgbert.clusters import Clusters
from services.models.ecgbert.hyperparameters import frozen_patterns
from services.models.ecgbert.model_folder import CARD, read_model_folder, write_model_folder
from services.models.ecgbert.network import BeatNetwork, NetworkConfig
from services.models.ecgbert.preparation import BeatInputs
from services.models.ecgbert.spec import FAMILY, MAX_LEADS, TASK
from services.models.ecgbert.training_set import LabelledShapes, annotated_shapes, detected_shapes
from services.models.interface import FineTunePlan, LabelledRecords
from services.training.engine import Outcome, Training, trained
from services.training.freezing import parameter_groups
from services.training.mapped_arrays import mapped_arrays
from services.training.plan import EnginePlan, frozen_for, warmup_cosine
from services.training.progress import Progress
from services.training.reading import Batches
from services.training.seeds import one_thread, seed_everything

LABELS = {"aami": AAMI_CLASSES, "binary": BINARY_CLASSES}
PREPARED = 0.2  # of the whole work's progress
MOST_WEIGHT = 10.0
FEWEST_CALIBRATED = 200  # beats of validation patients, to trust a calibration by them
_READ_AT_ONCE = 2048
_EMBEDDINGS = ("token_embedding", "position", "signal", "rhythm", "similarity")
_RISING_SHARE = 0.1


@dataclass(frozen=True)
class Beats:
    """Prepared beats on the disk; a batch reads its own rows. Implements TrainingData."""

    arrays: Mapping[str, NDArray[Any]]
    augmentation: Augmentation | None = None

    def __len__(self) -> int:
        return len(self.arrays["label"])

    @property
    def label(self) -> NDArray[np.int64]:
        """(n_beats,)."""
        return np.asarray(self.arrays["label"])

    def batch(
        self, indices: IntArray, generator: torch.Generator
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        """The network's inputs and the labels of these beats."""
        names = ("words", "windows", "ordinary", "rhythm", "similarity")
        rows = (indices, indices, self.arrays["record"][indices], indices, indices)
        pairs = zip(names, rows, strict=True)
        inputs = [torch.from_numpy(self.arrays[name][at]) for name, at in pairs]
        if self.augmentation is not None:
            words, windows, ordinary, rhythm, similarity = inputs
            whole = words, windows, ordinary, rhythm, similarity
            return augmented(whole, self.augmentation, generator), self._target(indices)
        return tuple(inputs), self._target(indices)

    def _target(self, indices: IntArray) -> Tensor:
        return torch.from_numpy(self.arrays["label"][indices])


class BeatLoss(nn.Module):
    """Cross entropy a beat, (n,), its classes weighted, less for beats that are sure already."""

    def __init__(self, weight: Tensor | None, *, gamma: float, smoothing: float) -> None:
        super().__init__()
        self.weight, self.gamma, self.smoothing = weight, gamma, smoothing

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """logits: (n, n_classes). target: (n,). The weight is outside of the focal term."""
        loss = nn.functional.cross_entropy(
            logits, target, reduction="none", label_smoothing=self.smoothing
        )
        if self.gamma > 0:
            sure = logits.softmax(dim=1).gather(1, target[:, None])[:, 0]
            loss = loss * (1 - sure) ** self.gamma
        return loss if self.weight is None else loss * self.weight.to(loss.device)[target]


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
    network, clusters, card = _start(plan)
    labels = LABELS[chosen["classes"]]
    prepared = partial(_prepared, clusters=clusters, labels=labels, progress=progress)
    varied = Augmentation() if chosen["augmentation"] else None
    fitted = Beats(prepared(train, workspace / "train", done=0.0), varied)
    judged = Beats(prepared(validation, workspace / "validation", done=PREPARED / 2))
    _require_beats(fitted, judged)
    batches = Batches(_READ_AT_ONCE, progress)
    with one_thread():
        outcome = trained(
            _training(network, fitted, judged, chosen, batches),
            engine_plan(plan),
            workspace=workspace / "run",
            device=device,
            progress=_Later(progress),
        )
        calibration = _calibrated(network, judged, device, batches)
    card = _card(card, plan, network.config, outcome, calibration)
    write_model_folder(out, network=network.cpu(), clusters=clusters, card=card)
    return card


def engine_plan(plan: FineTunePlan) -> EnginePlan:
    """The engine's numbers out of the hyperparameters."""
    chosen = plan.hyperparameters
    return EnginePlan(
        epochs=chosen["epochs"],
        batch=chosen["batch"],
        accumulation=min(chosen["accumulation"], chosen["batch"]),
        gradient_norm=chosen["gradient_norm"],
        patience=chosen["patience"],
        monitor="macro_f1",
        higher_is_better=True,
        precision=chosen["precision"],
        average_decay=chosen["average_decay"] or None,
        freeze=frozen_for(
            frozen_patterns(chosen),
            epochs=chosen["freeze_epochs"],
            updates=chosen["freeze_updates"],
        ),
        loaders=chosen["loaders"],
        checkpoint_every_s=plan.checkpoint_every_s,
        seed=plan.seed,
    )


def layers_of(config: NetworkConfig) -> list[str | tuple[str, ...]]:
    """Prefixes of parameter names from the input to the output; the head is not among them."""
    return [_EMBEDDINGS, *(f"layers.{number}." for number in range(config.layers))]


def _start(plan: FineTunePlan) -> tuple[BeatNetwork, Clusters, dict[str, Any]]:
    """The base's network, with a new head where one is asked for, its clusters and its card."""
    if plan.base is None:
        raise UnusableInput("the beat network is fine-tuned from a base; name one")
    network, clusters, labels = read_model_folder(plan.base)
    card = json.loads((plan.base / CARD).read_text())
    wanted = LABELS[plan.hyperparameters["classes"]]
    if plan.head == "keep" and labels != wanted:
        raise UnusableInput(
            f"the base tells {', '.join(labels)}; for {', '.join(wanted)} ask for head: reset"
        )
    if plan.head == "reset":
        network.config = NetworkConfig(**(asdict(network.config) | {"n_classes": len(wanted)}))
        network.head = nn.Linear(network.config.width, len(wanted))
        network.calibration_scale = torch.ones(len(wanted))
        network.calibration_bias = torch.zeros(len(wanted))
    return network, clusters, card


def _prepared(
    records: LabelledRecords,
    folder: Path,
    *,
    clusters: Clusters,
    labels: tuple[str, ...],
    progress: Progress,
    done: float,
) -> dict[str, NDArray[Any]]:
    return mapped_arrays(folder, _parts(records, clusters, labels, progress, done))


def _parts(
    records: LabelledRecords,
    clusters: Clusters,
    labels: tuple[str, ...],
    progress: Progress,
    done: float,
) -> Iterator[dict[str, NDArray[Any]]]:
    """One record's beats after another, at annotated and then at detected peaks."""
    sets = 0
    for place in range(len(records)):
        progress.check_cancelled()
        progress.advance(done + PREPARED / 2 * place / len(records), stage="preparing beats")
        record = records[place].record
        for shapes in (annotated_shapes(record), detected_shapes(record)):
            if len(shapes.peaks):
                yield _part(shapes, shapes.inputs(clusters), labels, sets)
                sets += 1


def _part(
    shapes: LabelledShapes, inputs: BeatInputs, labels: tuple[str, ...], number: int
) -> dict[str, NDArray[Any]]:
    """Beats with a label; one lead stands for both where there is only one.

    The network takes the mean over the leads, so that a lead beside itself changes nothing.
    """
    taught = np.flatnonzero(shapes.label >= 0)
    leads = [lead % inputs.words.shape[1] for lead in range(MAX_LEADS)]
    label = shapes.label[taught]
    return {
        "words": inputs.words[taught][:, leads].astype(np.int64),
        "windows": inputs.windows[taught][:, leads],
        "rhythm": inputs.rhythm[taught],
        "similarity": inputs.similarity[taught][:, leads],
        "label": (label > 0).astype(np.int64) if labels == BINARY_CLASSES else label,
        "record": np.full(len(taught), number, dtype=np.int64),
        "ordinary": inputs.ordinary[leads][None],
    }


def _require_beats(fitted: Beats, judged: Beats) -> None:
    for beats, name in ((fitted, "training"), (judged, "validation")):
        if not beats.arrays or not len(beats):
            raise UnusableInput(f"no beat of the {name} records could be read")
    if len(np.unique(fitted.label)) < 2:
        raise UnusableInput("all beats of the training records are of one class")


def _training(
    network: BeatNetwork,
    fitted: Beats,
    judged: Beats,
    chosen: Mapping[str, Any],
    batches: Batches,
) -> Training:
    n_classes = network.config.n_classes
    weight = None
    if chosen["class_weights"] == "inverse":
        count = np.bincount(fitted.label, minlength=n_classes)
        frequent = count.sum() / np.maximum(count * np.count_nonzero(count), 1)
        weight = torch.from_numpy(np.minimum(frequent, MOST_WEIGHT)).float()
    loss = BeatLoss(weight, gamma=chosen["focal_gamma"], smoothing=chosen["label_smoothing"])

    def optimizer(module: nn.Module) -> torch.optim.Optimizer:
        groups = parameter_groups(
            module,
            learning_rate=chosen["learning_rate"],
            weight_decay=chosen["weight_decay"],
            layer_decay=chosen["layer_decay"],
            layers=layers_of(network.config),
        )
        return torch.optim.AdamW(groups)

    return Training(
        network=network,
        data=fitted,
        loss=loss,
        optimizer=optimizer,
        schedule=warmup_cosine(_RISING_SHARE),
        validate=lambda module: _validation(_logits(module, judged, batches), judged.label),
        order=partial(_drawn, chances=_chances(fitted, chosen["balance"])),
    )


def _chances(beats: Beats, balance: float) -> NDArray[np.float64]:
    """How likely each beat is to be drawn: rarer classes of a record more often."""
    label = beats.label
    group = np.asarray(beats.arrays["record"]) * (label.max() + 1) + label
    chance = np.bincount(group)[group].astype(np.float64) ** -balance
    return np.asarray(chance / chance.sum())


def _drawn(rng: np.random.Generator, *, chances: NDArray[np.float64]) -> IntArray:
    return rng.choice(len(chances), size=len(chances), p=chances)


def _logits(network: nn.Module, beats: Beats, batches: Batches) -> NDArray[np.float32]:
    device = next(network.parameters()).device
    unused = torch.Generator()

    def logits(at: IntArray) -> NDArray[np.float32]:
        inputs, _ = beats.batch(at, unused)
        out = network.eval()(*(tensor.to(device) for tensor in inputs))
        return np.asarray(out.float().cpu().numpy())

    with torch.inference_mode():
        return np.concatenate(list(batches.through(len(beats), logits)))


def _validation(logits: NDArray[np.float32], label: NDArray[np.int64]) -> dict[str, float]:
    """Over the beats of validation patients; classes that they do not have are left out."""
    n_classes = logits.shape[1]
    answer = logits.argmax(axis=1)
    matrix = np.bincount(label * n_classes + answer, minlength=n_classes**2)
    matrix = matrix.reshape(n_classes, n_classes)
    f1 = 2 * matrix.diagonal() / np.maximum(matrix.sum(axis=0) + matrix.sum(axis=1), 1)
    there = np.unique(label)
    names = AAMI_CLASSES if n_classes == len(AAMI_CLASSES) else BINARY_CLASSES
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_sum = np.log(np.exp(shifted).sum(axis=1))
    loss = float((log_sum - shifted[np.arange(len(label)), label]).mean())
    return {
        "validation_loss": loss,
        "accuracy": float((answer == label).mean()),
        "macro_f1": float(f1[there].mean()),
        **{f"f1_{names[n]}": float(f1[n]) for n in there.tolist()},
    }


def _calibrated(
    network: BeatNetwork, judged: Beats, device: str, batches: Batches
) -> Calibration | None:
    """Fitted to the validation patients; the base's stays where they have too few beats."""
    if len(judged) < FEWEST_CALIBRATED or len(np.unique(judged.label)) < 2:
        return None
    calibration = fitted_calibration(_logits(network.to(device), judged, batches), judged.label)
    calibration.put_into(network)
    return calibration


def _card(
    base: Mapping[str, Any],
    plan: FineTunePlan,
    config: NetworkConfig,
    outcome: Outcome,
    calibration: Calibration | None,
) -> dict[str, Any]:
    best = outcome.history[outcome.best_epoch - 1]
    return {
        "name": base["name"],
        "task": TASK,
        "family": FAMILY,
        "labels": list(LABELS[plan.hyperparameters["classes"]]),
        "granularity": base.get("granularity", "wave"),
        "architecture": config.as_card(),
        "seed": plan.seed,
        "hyperparameters": dict(plan.hyperparameters) | {"head": plan.head},
        "calibration": None
        if calibration is None
        else {
            "method": "one scale and a bias a class, fitted to the validation patients",
            "scale": round(calibration.scale, 4),
            "bias": [round(bias, 4) for bias in calibration.bias],
        },
        "epochs": outcome.epochs,
        "best_epoch": outcome.best_epoch,
        "stopped_early": outcome.stopped_early,
        "metrics": {"validation": {**best["metrics"], "training_loss": best["loss"]}},
        "limits": [
            "Research use only: not a medical device, and not for diagnosis or treatment.",
            "Fitted to one site's records; other recorders and populations may be read worse.",
        ],
        "intended_use": "Research use only.",
    }


class _Later:
    """The training's part of the whole progress."""

    def __init__(self, whole: Progress) -> None:
        self._whole = whole
        self.event, self.check_cancelled = whole.event, whole.check_cancelled

    def advance(self, fraction: float, *, stage: str = "") -> None:
        self._whole.advance(PREPARED + (1 - PREPARED) * fraction, stage=stage)

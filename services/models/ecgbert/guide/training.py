"""How the guide's network is fitted to sentences: the guide's numbers by default, on one engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from services.ecg.record import IntArray
from services.errors import UnusableInput
from services.models.ecgbert import spec
from services.models.ecgbert.guide.answers import beat_labels, beat_probabilities, beat_scores
from services.models.ecgbert.guide.chunks import (
    CHUNKS_AT_ONCE,
    ChunkedSentences,
    EmbeddingChunks,
    WordChunks,
    frozen_chunks,
)
from services.models.ecgbert.guide.losses import token_loss
from services.models.ecgbert.guide.network import (
    EMBEDDING,
    FrozenEmbedding,
    GuideClassifier,
    GuideConfig,
    started_from,
)
from services.models.ecgbert.guide.sentences import RecordSentences
from services.models.ecgbert.guide.spec import HYPERPARAMETERS, LABELS_OF
from services.models.spec import chosen_hyperparameters
from services.training.engine import Outcome, Training, trained
from services.training.freezing import parameter_groups
from services.training.plan import EnginePlan, Freeze, constant, frozen_for, warmup_cosine
from services.training.progress import NoProgress, Progress
from services.training.reading import Batches
from services.training.seeds import one_thread, seed_everything

_RISING_SHARE = 0.1
_LAYERS = "transformer.layers."


@dataclass(frozen=True)
class GuideRecipe:
    """The hyperparameters of services.models.ecgbert.guide.spec, typed; defaults are the guide's.

    Build it with `recipe`, which fills in those defaults and refuses what is out of range.
    """

    classes: str
    granularity: Any
    attention_window: int
    epochs: int
    batch: int
    accumulation: int
    learning_rate: float
    layer_decay: float
    schedule: str
    shuffle: bool
    chunk_share: float
    train_embedding: bool
    freeze_layers: int
    freeze_epochs: int
    freeze_updates: int
    loss: str
    class_weights: str
    clusters: str
    precision: Any
    patience: int
    loaders: int

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes."""
        return LABELS_OF[self.classes]

    @property
    def config(self) -> GuideConfig:
        """The network that it trains."""
        n_outputs = 1 if self.classes == "binary" else len(self.labels)
        return GuideConfig(n_outputs, self.granularity, self.attention_window)

    @property
    def frozen(self) -> tuple[Freeze, ...]:
        """What stands still, and how long; a frozen embedding's output is computed once instead."""
        lasting = {"epochs": self.freeze_epochs, "updates": self.freeze_updates}
        layers = tuple(f"*{_LAYERS}{number}.*" for number in range(self.freeze_layers))
        embedding: tuple[str, ...] = ()
        if self.train_embedding and (layers or any(lasting.values())):
            embedding = tuple(f"{prefix}*" for prefix in EMBEDDING)
        return frozen_for(embedding + layers, **lasting)


def recipe(given: Mapping[str, Any]) -> GuideRecipe:
    """The guide's numbers with the given ones instead. UnusableInput for what is out of range."""
    return GuideRecipe(**chosen_hyperparameters(HYPERPARAMETERS, given))


def new_network(
    chosen: GuideRecipe, *, seed: int, base: Mapping[str, Tensor] | None, keep_head: bool = False
) -> GuideClassifier:
    """Drawn from the seed, then filled with the base's weights where there is one."""
    seed_everything(seed)
    network = GuideClassifier(chosen.config)
    if base is not None:
        started_from(network, base, head=keep_head)
    return network


def trained_classifier(  # noqa: PLR0913 - two sets of sentences, what to do, and where
    network: GuideClassifier,
    train: Sequence[RecordSentences],
    validation: Sequence[RecordSentences],
    chosen: GuideRecipe,
    *,
    seed: int,
    workspace: Path,
    device: str,
    progress: Progress,
    checkpoint_every_s: float = EnginePlan.checkpoint_every_s,
) -> Outcome:
    """Fits the network in place; afterwards it has the weights of the best epoch.

    Best is the epoch whose beats of `validation` have the largest macro-F1; without such records
    the one with the smallest loss. Called again with the same workspace it goes on where it was.
    Raises UnusableInput where the records hold one class alone, and what the engine raises.
    """
    sentences = ChunkedSentences(train)
    counts = sentences.class_counts(len(chosen.labels))
    _require_classes(chosen, counts.tolist())
    workspace.mkdir(parents=True, exist_ok=True)
    module: nn.Module = network if chosen.train_embedding else FrozenEmbedding(network)
    data: Any = WordChunks(sentences)
    if not chosen.train_embedding:
        for name, parameter in network.named_parameters():  # several processes wait for all others
            parameter.requires_grad_(not name.startswith(EMBEDDING))
        data = frozen_chunks(network, sentences, workspace / "embedded.npy", progress=progress)
    scored = bool(validation)
    training = Training(
        network=module,
        data=data,
        loss=token_loss(chosen.loss, chosen.class_weights, counts),
        optimizer=lambda _: torch.optim.Adam(_groups(network, chosen)),
        validate=_validation(network, validation, chosen.labels, progress),
        schedule=warmup_cosine(_RISING_SHARE) if chosen.schedule == "cosine" else constant,
        order=lambda rng: epoch_order(rng, len(sentences), chosen),
    )
    plan = EnginePlan(
        epochs=chosen.epochs,
        batch=chosen.batch,
        accumulation=min(chosen.accumulation, chosen.batch),
        gradient_norm=None,
        patience=chosen.patience or None,
        monitor="macro_f1" if scored else "loss",
        higher_is_better=scored,
        precision=chosen.precision,
        freeze=chosen.frozen,
        # what is embedded when it is needed takes the network out of training for a moment
        loaders=0 if isinstance(data, EmbeddingChunks) else chosen.loaders,
        checkpoint_every_s=checkpoint_every_s,
        seed=seed,
    )
    with one_thread():
        outcome = trained(training, plan, workspace=workspace, device=device, progress=progress)
    network.eval()
    return outcome


def epoch_order(rng: np.random.Generator, n_chunks: int, chosen: GuideRecipe) -> IntArray:
    """The chunks that an epoch goes through, in their order."""
    drawn = rng.permutation(n_chunks)[: max(1, round(chosen.chunk_share * n_chunks))]
    return drawn if chosen.shuffle else np.sort(drawn)


def _groups(network: GuideClassifier, chosen: GuideRecipe) -> list[dict[str, Any]]:
    """Of what may learn, by layer; nothing is decayed, as in the guide."""
    return parameter_groups(
        network,
        learning_rate=chosen.learning_rate,
        weight_decay=0.0,
        layer_decay=chosen.layer_decay,
        layers=(EMBEDDING, *(f"{_LAYERS}{number}." for number in range(spec.LAYERS))),
    )


def _validation(
    network: GuideClassifier,
    records: Sequence[RecordSentences],
    names: Sequence[str],
    progress: Progress,
) -> Callable[[nn.Module], dict[str, float]]:
    labels = [beat_labels(record) for record in records]
    batches = Batches(CHUNKS_AT_ONCE, progress)

    def scores(_: nn.Module) -> dict[str, float]:
        if not records:
            return {}
        quiet = NoProgress()
        found = [
            beat_probabilities(network, record, progress=quiet, batches=batches)
            for record in records
        ]
        return beat_scores(found, labels, names)

    return scores


def _require_classes(chosen: GuideRecipe, counts: list[int]) -> None:
    present = [name for name, count in zip(chosen.labels, counts, strict=True) if count]
    if len(present) < 2:
        raise UnusableInput(
            f"the training records hold beats of {', '.join(present) or 'no class'}; at least two "
            f"of {', '.join(chosen.labels)} are needed"
        )

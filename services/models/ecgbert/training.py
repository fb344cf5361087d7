"""How the beat network is fitted to labelled beats: how often each is drawn, and the recipe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from services.ecg.labels import AAMI_CLASSES
from services.models.ecgbert.augmentation import Augmentation, Inputs, augmented
from services.models.ecgbert.made.rhythms import MadePlan
from services.models.ecgbert.network import BeatNetwork, NetworkConfig
from services.models.ecgbert.preparation import BeatInputs
from services.training.loop import Batch, FitPlan, fitted
from services.training.progress import Progress
from services.training.seeds import one_thread, seed_everything

_SMALLEST_SPREAD = 1e-3


@dataclass(frozen=True)
class Recipe:
    """All choices of a training run; docs/beats-search.md says why.

    balance: a beat is drawn with a chance in proportion to (beats of its class in its record) to
    the power of minus this: 0 draws beats alike, 1 draws records and classes alike.
    class_weight: multiplies that chance, in the order N S V F Q.
    made: what is made of the training records and learned beside them.
    made_weight: multiplies the chance of beats that were made.
    """

    network: NetworkConfig = field(default_factory=lambda: NetworkConfig(layers=2, kinds_only=True))
    augmentation: Augmentation = field(default_factory=Augmentation)
    plan: FitPlan = field(default_factory=lambda: FitPlan(steps=700, average_decay=0.98))
    batch: int = 256
    balance: float = 0.0
    class_weight: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0, 0.5)
    label_smoothing: float = 0.0
    made: MadePlan = field(default_factory=MadePlan)
    made_weight: float = 0.5


@dataclass(frozen=True)
class Source:
    """The labelled beats of one record; label -1 teaches nothing.

    weight: multiplies the chance of its beats to be drawn.
    """

    inputs: BeatInputs
    label: NDArray[np.int64]
    weight: float = 1.0


class BeatPool:
    """Beats of several records as tensors, drawn by index."""

    def __init__(self, sources: Sequence[Source]) -> None:
        kept = [np.flatnonzero(source.label >= 0) for source in sources]
        pairs = list(zip(sources, kept, strict=True))

        def joined(name: str) -> Tensor:
            arrays = [getattr(source.inputs, name)[at] for source, at in pairs]
            return torch.from_numpy(np.concatenate(arrays))

        self.words, self.windows = joined("words"), joined("windows")
        self.rhythm, self.similarity = joined("rhythm"), joined("similarity")
        self.ordinary = torch.from_numpy(np.stack([source.inputs.ordinary for source in sources]))
        self.label = torch.from_numpy(np.concatenate([s.label[at] for s, at in pairs]))
        sizes = [len(at) for at in kept]
        self.record = torch.from_numpy(np.repeat(np.arange(len(sources)), sizes))
        self.weight = np.repeat([source.weight for source in sources], sizes)

    def __len__(self) -> int:
        return len(self.label)

    def inputs(self, at: Tensor) -> Inputs:
        """The network's inputs for the beats of these indices."""
        ordinary = self.ordinary[self.record[at]]
        return self.words[at], self.windows[at], ordinary, self.rhythm[at], self.similarity[at]

    def chances(self, recipe: Recipe) -> NDArray[np.float64]:
        """How likely each beat is to be drawn, (n_beats,), summing to 1."""
        group = self.record.numpy() * len(AAMI_CLASSES) + self.label.numpy()
        chance = np.bincount(group)[group].astype(np.float64) ** -recipe.balance
        chance *= np.asarray(recipe.class_weight)[self.label.numpy()] * self.weight
        return np.asarray(chance / chance.sum())


def trained_network(
    sources: Sequence[Source], recipe: Recipe, *, seed: int, progress: Progress
) -> BeatNetwork:
    """A network fitted to the labelled beats of these records, in evaluation mode."""
    generator = seed_everything(seed)
    pool = BeatPool(sources)
    network = BeatNetwork(recipe.network)
    _measure_features(network, pool)
    loss = nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
    batches = _batches(pool, recipe, seed, generator)
    with one_thread():
        result = fitted(network, batches, loss=loss, plan=recipe.plan, progress=progress)
    assert isinstance(result, BeatNetwork)  # noqa: S101 - the average of one network is one
    return result


def _measure_features(network: BeatNetwork, pool: BeatPool) -> None:
    network.rhythm_mean.copy_(pool.rhythm.mean(dim=0))
    network.rhythm_std.copy_(pool.rhythm.std(dim=0) + _SMALLEST_SPREAD)
    network.similarity_mean.copy_(pool.similarity.mean(dim=(0, 1)))
    network.similarity_std.copy_(pool.similarity.std(dim=(0, 1)) + _SMALLEST_SPREAD)


def _batches(
    pool: BeatPool, recipe: Recipe, seed: int, generator: torch.Generator
) -> Iterator[Batch]:
    chances = pool.chances(recipe)
    rng = np.random.default_rng(seed)
    for _ in range(recipe.plan.steps):
        at = torch.from_numpy(rng.choice(len(pool), size=recipe.batch, p=chances))
        yield augmented(pool.inputs(at), recipe.augmentation, generator), pool.label[at]

"""The small interface that every model family meets; no torch here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

from services.ecg.record import EcgRecord
from services.models.results import BeatResult, RiskResult
from services.models.spec import FamilySpec
from services.training.progress import Progress


class Predictor(Protocol):
    """A loaded version of a model. Safe to call from several threads at once."""

    def predict(
        self, record: EcgRecord, *, options: Mapping[str, Any], progress: Progress
    ) -> BeatResult | RiskResult:
        """What the model finds in a record; options are those of the family's spec."""
        ...


class Importer(Protocol):
    """Makes a model folder of a published file, without running anything in it."""

    def __call__(self, file: Path, *, into: Path, name: str | None) -> dict[str, Any]:
        """Writes weights.safetensors and card.json and returns the card.

        file: the checkpoint; whatever was sent with it lies in the same folder, and nothing else.
        name: of the model; None for the file's usual one. A card with `predicts: false` is of
        weights that a fine-tune may start from and that answer nothing.
        """
        ...


@dataclass(frozen=True)
class LabelledRecord:
    """One record of a dataset, with what is known of it.

    patient: whose record it is; records of one patient are never on two sides of a split.
    record: with its reference annotations, for `beats`. label: 0 or 1, for `afib-5y`.
    """

    record_id: str
    patient: str
    record: EcgRecord
    label: float | None = None


# Lazy: each index reads one record, so that a dataset need not fit into memory. Go through it
# once, and write what training needs to the workspace.
LabelledRecords: TypeAlias = Sequence[LabelledRecord]

Head: TypeAlias = Literal["keep", "reset"]


@dataclass(frozen=True)
class FineTunePlan:
    """What a fine-tune is told.

    base: model folder whose weights it starts from; None starts from random ones.
    head: `keep` goes on with the base's head, `reset` begins a new one.
    hyperparameters: all that the family's spec names, within their ranges.
    checkpoint_every_s: besides the checkpoint after every epoch.
    """

    base: Path | None
    head: Head
    hyperparameters: Mapping[str, Any]
    seed: int
    checkpoint_every_s: float = 300.0


class ModelFamily(Protocol):
    """An architecture and its code: one folder in services/models."""

    spec: FamilySpec

    def load(self, folder: Path, *, device: str) -> Predictor:
        """A predictor from a folder: weights.safetensors, card.json and what else it names."""
        ...


class FineTunable(ModelFamily, Protocol):
    """A family that can be fine-tuned; its spec names the hyperparameters."""

    def fine_tune(  # noqa: PLR0913 - two sets of records, three places, and what to do
        self,
        train: LabelledRecords,
        validation: LabelledRecords,
        *,
        plan: FineTunePlan,
        workspace: Path,
        out: Path,
        device: str,
        progress: Progress,
    ) -> dict[str, Any]:
        """Weights of one's own from labelled records; returns the card of the model folder `out`.

        workspace: holds the memory-mapped inputs and the checkpoints. Called again with the same
        one it goes on from the last checkpoint, on a CPU to the same bits as if never interrupted.
        Raises Cancelled when the owner asks to stop, UnusableInput when the records cannot train
        the family or the loss is no longer a number.
        """
        ...

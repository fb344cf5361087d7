"""The small interface that every model family meets; no torch here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

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

        name: of the model; None for the file's usual one. A card with `predicts: false` is of
        weights that a fine-tune may start from and that answer nothing.
        """
        ...


class ModelFamily(Protocol):
    """An architecture and its code: one folder in services/models."""

    spec: FamilySpec

    def load(self, folder: Path, *, device: str) -> Predictor:
        """A predictor from a folder: weights.safetensors, card.json and what else it names."""
        ...

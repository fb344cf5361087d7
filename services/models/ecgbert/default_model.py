"""How the default beat model is made: cross-validated on DS1 patients, calibrated, fitted, written.

Reads the records of DS1 and nothing else. Every patient of DS1 is once among those that a network
did not see; those networks' answers give the figures in the card and the calibration. The model
itself is then fitted to all of DS1 by the same recipe.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.ecg.labels import AAMI_CLASSES, DS1
from services.ecg.record import Annotations
from services.models.ecgbert.calibration import Calibration, fitted_calibration
from services.models.ecgbert.cards import default_card, write_card_text
from services.models.ecgbert.clusters import Clusters
from services.models.ecgbert.inference import beat_logits
from services.models.ecgbert.model_folder import write_model_folder
from services.models.ecgbert.network import BeatNetwork
from services.models.ecgbert.scoring import Scores, scores
from services.models.ecgbert.synthetic import Maker, ectopic, fibrillating, made_rhythms
from services.models.ecgbert.training import Recipe, Source, trained_network
from services.models.ecgbert.training_set import (
    LabelledShapes,
    annotated_shapes,
    detected_shapes,
    fitted_clusters,
    read_mitdb_record,
)
from services.training.progress import NoProgress, Progress
from services.training.splits import patient_folds

N_FOLDS = 5
CPU = "cpu"


@dataclass(frozen=True)
class TrainingRecord:
    """One record: its beats as annotated, its beats as detected, and the reference."""

    annotated: LabelledShapes
    detected: LabelledShapes
    annotations: Annotations

    @property
    def both(self) -> tuple[LabelledShapes, LabelledShapes]:
        """The two sets of beats, both of which a network is fitted to."""
        return self.annotated, self.detected


@dataclass(frozen=True)
class HeldOut:
    """Logits of one record by a network that never saw its patient, (n_beats, 5) each."""

    annotated: NDArray[np.float32]
    detected: NDArray[np.float32]


def train_default(
    mitdb: Path,
    out: Path,
    *,
    seed: int = 0,
    progress: Progress,
    recipe: Recipe | None = None,
    records: Sequence[str] = DS1,
) -> dict[str, Any]:
    """Makes the default model from a folder of MIT-BIH records and writes it to `out`.

    Returns the card. Of the folder only `records` (DS1) are opened. The same seed on the same kind
    of machine gives the same weights. Raises UnusableInput naming a file that is missing.
    """
    recipe = recipe or Recipe()
    data = read_training_records(mitdb, records, progress=progress)
    held_out = cross_validated(data, recipe, seed=seed, progress=progress)
    calibration = fitted_calibration(*_pooled(data, held_out))
    progress.advance(0.85, stage="fitting the model to all patients")
    network, clusters = fitted_model(data, recipe, seed=seed, progress=progress)
    calibration.put_into(network)
    figures = validation_scores(data, held_out, calibration)
    card = default_card(recipe, records=records, seed=seed, scores=figures, calibration=calibration)
    write_model_folder(out, network=network, clusters=clusters, card=card)
    write_card_text(out, card)
    progress.advance(1.0, stage="done")
    return card


def read_training_records(
    mitdb: Path, records: Sequence[str], *, progress: Progress
) -> list[TrainingRecord]:
    """The beats of these records of the folder."""
    data = []
    for place, name in enumerate(records):
        progress.check_cancelled()
        progress.advance(0.05 * place / len(records), stage=f"reading record {name}")
        record = read_mitdb_record(mitdb, name)
        assert record.annotations is not None  # noqa: S101 - the reader brings them
        data.append(
            TrainingRecord(annotated_shapes(record), detected_shapes(record), record.annotations)
        )
    return data


def cross_validated(
    data: Sequence[TrainingRecord],
    recipe: Recipe,
    *,
    seed: int,
    progress: Progress,
    n_folds: int = N_FOLDS,
) -> dict[str, HeldOut]:
    """Record -> its logits by the network of the fold that its patient was left out of."""
    counts = {
        each.annotated.patient: np.bincount(each.annotated.label, minlength=len(AAMI_CLASSES))
        for each in data
    }
    held_out: dict[str, HeldOut] = {}
    n_folds = min(n_folds, len(counts))
    for place, fold in enumerate(patient_folds(counts, n_folds=n_folds)):
        progress.check_cancelled()
        progress.advance(0.05 + 0.8 * place / n_folds, stage=f"fold {place + 1} of {n_folds}")
        others = [each for each in data if each.annotated.patient not in fold]
        network, clusters = fitted_model(others, recipe, seed=seed, progress=progress)
        for each in data:
            if each.annotated.patient in fold:
                answers = (_logits(network, clusters, beats) for beats in each.both)
                held_out[each.annotated.record] = HeldOut(*answers)
    return held_out


def fitted_model(
    data: Sequence[TrainingRecord], recipe: Recipe, *, seed: int, progress: Progress
) -> tuple[BeatNetwork, Clusters]:
    """Clusters and a network fitted to these records and no others."""
    clusters = fitted_clusters([each.annotated for each in data], seed=seed)
    makers = [maker for wanted, maker in _makers(recipe) if wanted]
    made = made_rhythms([each.annotated for each in data], makers, seed=seed)
    real = [beats for each in data for beats in each.both]
    sources = [Source(beats.inputs(clusters), beats.label) for beats in (*real, *made)]
    inner = _Cancellable(progress)
    return trained_network(sources, recipe, seed=seed, progress=inner), clusters


def _makers(recipe: Recipe) -> tuple[tuple[bool, Maker], ...]:
    return (recipe.made_fibrillation, fibrillating), (recipe.made_ectopy, ectopic)


def validation_scores(
    data: Sequence[TrainingRecord], held_out: dict[str, HeldOut], calibration: Calibration
) -> Scores:
    """How the held-out answers score, from annotated and from detected R peaks."""
    rows = [
        (each.annotations, beats, calibration.probabilities(logits))
        for each in data
        for beats, logits in zip(each.both, _of(held_out, each), strict=True)
    ]
    return scores(rows[0::2], rows[1::2])


def _pooled(
    data: Sequence[TrainingRecord], held_out: dict[str, HeldOut]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    logits = np.concatenate([part for each in data for part in _of(held_out, each)])
    label = np.concatenate([beats.label for each in data for beats in each.both])
    return logits[label >= 0], label[label >= 0]


def _of(held_out: dict[str, HeldOut], each: TrainingRecord) -> tuple[NDArray[np.float32], ...]:
    answers = held_out[each.annotated.record]
    return answers.annotated, answers.detected


def _logits(network: BeatNetwork, clusters: Clusters, beats: LabelledShapes) -> NDArray[np.float32]:
    return beat_logits(network, beats.inputs(clusters), device=CPU, progress=NoProgress())


class _Cancellable(NoProgress):
    """Passes on the question whether to stop, and keeps the inner steps to itself."""

    def __init__(self, outer: Progress) -> None:
        self._outer = outer

    def check_cancelled(self) -> None:
        self._outer.check_cancelled()

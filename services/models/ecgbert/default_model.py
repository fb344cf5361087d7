"""How the default beat model is made: cross-validated on DS1 patients, calibrated, fitted, written.

Reads the records of DS1 and nothing else. Every patient of DS1 is once among those that a network
did not see; those networks' answers give the figures in the card and the calibration. The model
itself is then fitted to all of DS1 by the same recipe.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.ecg.labels import AAMI_CLASSES, DS1
from services.ecg.record import Annotations, EcgRecord
from services.models.ecgbert.calibration import Calibration, fitted_calibration
from services.models.ecgbert.cards import default_card, write_card_text
from services.models.ecgbert.clusters import Clusters
from services.models.ecgbert.inference import beat_logits
from services.models.ecgbert.made.composite import REAL, Answers, composite
from services.models.ecgbert.made.rhythms import made_for_training, made_for_trial
from services.models.ecgbert.model_folder import read_model_folder, write_model_folder
from services.models.ecgbert.network import BeatNetwork
from services.models.ecgbert.scoring import Scores, scores
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
# what is made for training and for trials is the same whatever the seed of the training
MADE_SEED = TRIAL_SEED = 0
# of the biases of N S V F Q: what may be V is V rather, and what may be F is F only if surely so
SHIFTS = tuple((0.0, 0.0, v, f, 0.0) for v in (0.0, 0.5, 1.0) for f in (0.0, -1.5))


@dataclass(frozen=True)
class TrainingRecord:
    """One record: its beats as annotated, its beats as detected, and the reference.

    made: what is made of it for training. source: the record as it was read.
    """

    annotated: LabelledShapes
    detected: LabelledShapes
    annotations: Annotations
    source: EcgRecord
    made: tuple[LabelledShapes, ...] = ()

    @property
    def both(self) -> tuple[LabelledShapes, LabelledShapes]:
        """The two sets of beats, both of which a network is fitted to."""
        return self.annotated, self.detected

    @property
    def patient(self) -> str:
        """Who the record is of."""
        return self.annotated.patient


@dataclass(frozen=True)
class HeldOut:
    """Logits of one record by a network that never saw its patient, (n_beats, 5) each.

    trials: what the record was also read as, with the logits of its beats.
    """

    annotated: NDArray[np.float32]
    detected: NDArray[np.float32]
    trials: tuple[tuple[str, LabelledShapes, NDArray[np.float32]], ...] = ()


def train_default(  # noqa: PLR0913 - what may be chosen of a training
    mitdb: Path,
    out: Path,
    *,
    seed: int = 0,
    progress: Progress,
    recipe: Recipe | None = None,
    records: Sequence[str] = DS1,
    calibrated_as: Path | None = None,
) -> dict[str, Any]:
    """Makes the default model from a folder of MIT-BIH records and writes it to `out`.

    Returns the card. Of the folder only `records` (DS1) are opened. The same seed on the same kind
    of machine gives the same weights. calibrated_as: folder of a model made by the same recipe with
    another seed, whose calibration is taken; nothing is cross-validated then. Raises UnusableInput
    naming a file that is missing, and what `read_model_folder` raises.
    """
    recipe = recipe or Recipe()
    data = read_training_records(mitdb, records, recipe=recipe, progress=progress)
    if calibrated_as is None:
        held_out = cross_validated(data, recipe, seed=seed, progress=progress)
        calibration = fitted_to_left_out(data, held_out)
        figures = validation_scores(data, held_out, calibration)
    else:
        calibration, figures = _calibration_of(calibrated_as), None
    progress.advance(0.85, stage="fitting the model to all patients")
    network, clusters = fitted_model(data, recipe, seed=seed, progress=progress)
    calibration.put_into(network)
    card = default_card(recipe, records=records, seed=seed, scores=figures, calibration=calibration)
    write_model_folder(out, network=network, clusters=clusters, card=card)
    write_card_text(out, card)
    progress.advance(1.0, stage="done")
    return card


def read_training_records(
    mitdb: Path, records: Sequence[str], *, recipe: Recipe, progress: Progress
) -> list[TrainingRecord]:
    """The beats of these records of the folder, and what is made of each."""
    data = []
    for place, name in enumerate(records):
        progress.check_cancelled()
        progress.advance(0.1 * place / len(records), stage=f"reading record {name}")
        record = read_mitdb_record(mitdb, name)
        assert record.annotations is not None  # noqa: S101 - the reader brings them
        beats = annotated_shapes(record)
        made = tuple(made_for_training(record, beats, recipe.made, seed=MADE_SEED))
        data.append(
            TrainingRecord(beats, detected_shapes(record), record.annotations, record, made)
        )
    return data


def cross_validated(
    data: Sequence[TrainingRecord], recipe: Recipe, *, seed: int, progress: Progress
) -> dict[str, HeldOut]:
    """Record -> its logits by the network of the fold that its patient was left out of."""
    return {
        each.annotated.record: answered(network, clusters, each)
        for network, clusters, left_out in left_out_models(
            data, recipe, seed=seed, progress=progress
        )
        for each in left_out
    }


def left_out_models(
    data: Sequence[TrainingRecord],
    recipe: Recipe,
    *,
    seed: int,
    progress: Progress,
    n_folds: int = N_FOLDS,
) -> Iterator[tuple[BeatNetwork, Clusters, list[TrainingRecord]]]:
    """Fold after fold: a network and clusters, and the records of patients that neither saw."""
    counts = {
        each.patient: np.bincount(each.annotated.label, minlength=len(AAMI_CLASSES))
        for each in data
    }
    n_folds = min(n_folds, len(counts))
    for place, fold in enumerate(patient_folds(counts, n_folds=n_folds)):
        progress.check_cancelled()
        progress.advance(0.1 + 0.75 * place / n_folds, stage=f"fold {place + 1} of {n_folds}")
        others = [each for each in data if each.patient not in fold]
        network, clusters = fitted_model(others, recipe, seed=seed, progress=progress)
        yield network, clusters, [each for each in data if each.patient in fold]


def fitted_model(
    data: Sequence[TrainingRecord], recipe: Recipe, *, seed: int, progress: Progress
) -> tuple[BeatNetwork, Clusters]:
    """Clusters and a network fitted to these records and no others."""
    clusters = fitted_clusters([each.annotated for each in data], seed=seed)
    sources = []
    for each in data:
        sources += [Source(beats.inputs(clusters), beats.label) for beats in each.both]
        sources += [
            Source(beats.inputs(clusters), beats.label, recipe.made_weight) for beats in each.made
        ]
    inner = _Cancellable(progress)
    return trained_network(sources, recipe, seed=seed, progress=inner), clusters


def validation_scores(
    data: Sequence[TrainingRecord], held_out: dict[str, HeldOut], calibration: Calibration
) -> Scores:
    """How the held-out answers score, from annotated and from detected R peaks, and in trials."""
    rows = [
        (each.annotations, beats, calibration.probabilities(logits))
        for each in data
        for beats, logits in zip(each.both, _of(held_out, each), strict=True)
    ]
    return scores(rows[0::2], rows[1::2], composite(_answers(data, held_out, calibration)))


def _answers(
    data: Sequence[TrainingRecord], held_out: dict[str, HeldOut], calibration: Calibration
) -> Iterator[Answers]:
    for each in data:
        found = held_out[each.annotated.record]
        whole = (
            ("annotated", each.annotated, found.annotated),
            ("detected", each.detected, found.detected),
        )
        for trial, beats, logits in (*whole, *found.trials):
            answer = calibration.probabilities(logits).argmax(axis=1).astype(np.int64)
            yield Answers(trial, each.patient, beats.label, answer)


def _calibration_of(folder: Path) -> Calibration:
    network, _, _ = read_model_folder(folder)
    scale, bias = network.calibration_scale, network.calibration_bias
    return Calibration(float(scale[0]), tuple(float(value) for value in bias))


def answered(network: BeatNetwork, clusters: Clusters, each: TrainingRecord) -> HeldOut:
    """What a network answers of a record that it never saw, as it is and as it is tried."""
    tried = made_for_trial(each.source, each.annotated, each.detected, seed=TRIAL_SEED)
    annotated, detected = (_logits(network, clusters, beats) for beats in each.both)
    trials = tuple((name, beats, _logits(network, clusters, beats)) for name, beats in tried)
    return HeldOut(annotated, detected, trials)


def fitted_to_left_out(data: Sequence[TrainingRecord], held_out: dict[str, HeldOut]) -> Calibration:
    """The most likely scale and biases, and of SHIFTS the one with the highest composite; or none.

    The most likely biases call as few beats wrongly as can be, and most beats are normal. F, which
    one patient teaches, is hardly ever right of others, and what is called so is often V.
    """
    likely = fitted_calibration(*pooled_answers(data, held_out))

    def found(shift: Sequence[float]) -> float:
        answers = _answers(data, held_out, likely.shifted(shift))
        return float(composite(answers)["composite"])

    return likely.shifted(max(SHIFTS, key=found))


def pooled_answers(
    data: Sequence[TrainingRecord], held_out: dict[str, HeldOut]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Logits and labels that calibrate: left-out records whole, in pieces and thinned.

    In a piece or a thinned record ectopic beats may be most; without them a calibration would
    expect them to be as rare everywhere as they are in DS1.
    """
    parts = [
        (beats.label, logits)
        for each in data
        for beats, logits in zip(each.both, _of(held_out, each), strict=True)
    ]
    parts += [
        (beats.label, logits)
        for each in held_out.values()
        for trial, beats, logits in each.trials
        if trial in REAL
    ]
    label = np.concatenate([part for part, _ in parts])
    logits = np.concatenate([part for _, part in parts])
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

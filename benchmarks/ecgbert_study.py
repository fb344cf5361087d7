"""What choices of the guide's network are worth: F1 by patients held out, inside DS1 alone.

python -m benchmarks.ecgbert_study --mitdb FOLDER [--checkpoint FOLDER --clusters FOLDER]
    [--variants repaired ...] [--minutes 5] [--epochs 13] [--folds 2] [--seeds 0 1]

Folds are by patient and the same for every variant; nothing of DS2 is read. A beat is scored at the
R peaks that the detector finds, matched to annotations within 150 ms; missed beats count.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from services.ecg.labels import AAMI_CLASSES, DS1, aami_class_indices, mitdb_patient
from services.ecg.record import Annotations, EcgRecord
from services.evaluation.beats import LabelledBeats, record_confusion
from services.models.ecgbert.guide.answers import beat_probabilities
from services.models.ecgbert.guide.model_folder import read_base
from services.models.ecgbert.guide.preparation import SentencePlan, prepared_sentences
from services.models.ecgbert.guide.sentences import RecordSentences
from services.models.ecgbert.guide.training import new_network, recipe, trained_classifier
from services.models.ecgbert.public.pretrained_folder import import_public_files
from services.models.ecgbert.training_set import read_mitdb_record
from services.models.interface import LabelledRecord
from services.training.progress import NoProgress
from services.training.seeds import one_thread
from services.training.splits import patient_folds

QUIET = NoProgress()
# without the mistakes of the original: all learns, rare classes weigh more, the rate falls
REPAIRED: dict[str, Any] = {
    "train_embedding": True,
    "class_weights": "balanced",
    "batch": 4,
    "learning_rate": 0.003,
    "schedule": "cosine",
    "epochs": 5,
    "attention_window": 64,
}
# name -> hyperparameters, whether it starts from the public checkpoint, whose clusters it then has
VARIANTS: dict[str, tuple[dict[str, Any], bool]] = {
    "guide": ({"epochs": 4}, False),
    "guide from checkpoint": ({"epochs": 4}, True),
    "guide, window 64": ({"epochs": 4, "attention_window": 64}, False),
    "repaired": (REPAIRED, False),
    "repaired from checkpoint": (REPAIRED, True),
    "repaired from checkpoint, own clusters": ({**REPAIRED, "clusters": "fitted"}, True),
    "repaired, window 16": ({**REPAIRED, "attention_window": 16}, False),
    "repaired, window 256": ({**REPAIRED, "attention_window": 256}, False),
    "repaired, window 3600": ({**REPAIRED, "attention_window": 3600}, False),
    "sample, window 64": (
        {**REPAIRED, "granularity": "sample", "chunk_share": 0.25},
        False,
    ),
    "sample, window 360": (
        {
            **REPAIRED,
            "granularity": "sample",
            "chunk_share": 0.25,
            "attention_window": 360,
        },
        False,
    ),
}


def read_first_minutes(mitdb: Path, name: str, minutes: float | None) -> EcgRecord:
    """A record with its annotations, or its first minutes as if there were no more."""
    record = read_mitdb_record(mitdb, name)
    if minutes is None:
        return record
    assert record.annotations is not None
    n_samples = min(record.n_samples, round(60 * minutes * record.sampling_rate_hz))
    kept = int(np.searchsorted(record.annotations.sample, n_samples))
    marks = Annotations(record.annotations.sample[:kept], record.annotations.symbol[:kept])
    return replace(record, signal=record.signal[:, :n_samples], annotations=marks)


@dataclass(frozen=True)
class Fold:
    """Whose records are held out, and where sentences are kept."""

    records: dict[str, EcgRecord]
    held_out: tuple[str, ...]
    sentences: Path

    def labelled(self, *, held_out: bool) -> list[LabelledRecord]:
        """The records of those patients, or of the others."""
        return [
            LabelledRecord(name, mitdb_patient(name), record)
            for name, record in self.records.items()
            if (mitdb_patient(name) in self.held_out) == held_out
        ]


def main() -> None:
    arguments = _arguments()
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as folder:
        base = None
        if arguments.checkpoint:
            base = Path(folder) / "base"
            import_public_files(arguments.checkpoint, clusters=arguments.clusters, into=base)
        records = {
            name: read_first_minutes(arguments.mitdb, name, arguments.minutes) for name in DS1
        }
        folds = _folds(records, arguments.folds)
        for name in arguments.variants:
            given, from_base = VARIANTS[name]
            if arguments.epochs:
                given = {**given, "epochs": arguments.epochs}
            if from_base and base is None:
                continue
            for seed in arguments.seeds:
                started = time.perf_counter()
                start = base if from_base else None
                place = Path(folder) / "sentences"
                matrices = [
                    _fold(Fold(records, held_out, place), given, start, seed) for held_out in folds
                ]
                taken = time.perf_counter() - started
                print(_line(name, seed, np.sum(matrices, axis=0), taken), flush=True)


def _folds(records: dict[str, EcgRecord], n_folds: int) -> tuple[tuple[str, ...], ...]:
    counts: dict[str, NDArray[np.int64]] = {}
    for name, record in records.items():
        assert record.annotations is not None
        classes = aami_class_indices(record.annotations.symbol)
        own = np.bincount(classes[classes >= 0], minlength=len(AAMI_CLASSES))
        patient = mitdb_patient(name)
        counts[patient] = counts.get(patient, 0) + own
    return patient_folds(counts, n_folds=n_folds)


def _fold(
    fold: Fold, given: dict[str, Any], base_folder: Path | None, seed: int
) -> NDArray[np.int64]:
    """Confusion over the held-out patients' records, (6, 6)."""
    chosen = recipe(given)
    base = read_base(base_folder) if base_folder else None
    clusters = base.clusters if base and chosen.clusters == "base" else None
    kept = f"{'_'.join(fold.held_out)}-{chosen.granularity}-{'base' if clusters else 'own'}"
    fitted, judged, _ = prepared_sentences(
        fold.labelled(held_out=False),
        fold.labelled(held_out=True),
        SentencePlan(chosen.labels, chosen.granularity, clusters, seed=0),
        folder=fold.sentences / kept,  # the same for all variants that read alike
        progress=QUIET,
    )
    network = new_network(chosen, seed=seed, base=base.tensors if base else None)
    with tempfile.TemporaryDirectory() as folder:
        trained_classifier(
            network, fitted, [], chosen,
            seed=seed, workspace=Path(folder), device="cpu", progress=QUIET,
        )  # fmt: skip
    with one_thread():
        found = [_confusion(network, each, fold.records[each.record]) for each in judged]
    summed: NDArray[np.int64] = np.sum(found, axis=0)
    return summed


def _confusion(network: Any, sentences: RecordSentences, record: EcgRecord) -> NDArray[np.int64]:
    assert record.annotations is not None
    probabilities = beat_probabilities(network, sentences, progress=QUIET)
    beats = LabelledBeats(np.asarray(sentences.peaks), probabilities.argmax(axis=1))
    return record_confusion(record.annotations, beats, sampling_rate_hz=360.0)


def _line(name: str, seed: int, matrix: NDArray[np.int64], taken_s: float) -> str:
    right = matrix.diagonal()[:5]
    f1 = 100 * 2 * right / np.maximum(matrix[:5].sum(axis=1) + matrix[:, :5].sum(axis=0), 1)
    shown = {label: round(float(value), 1) for label, value in zip("NSVF", f1, strict=False)}
    figures = {"macro_nsvf": round(float(f1[:4].mean()), 1), **shown, "s": round(taken_s)}
    return f"{name:<40} seed {seed}  {json.dumps(figures)}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--mitdb", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--clusters", type=Path)
    parser.add_argument("--scratch", type=Path, help="where some gigabytes may lie meanwhile")
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--minutes", type=float, help="of each record; all of it by default")
    parser.add_argument("--epochs", type=int, help="of every variant, instead of its own number")
    parser.add_argument("--folds", type=int, default=2)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    return parser.parse_args()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()

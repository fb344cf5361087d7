"""How a finished model scores on records that its making never opened."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from services.models.ecgbert.inference import BeatPredictor
from services.models.ecgbert.model_folder import read_model_folder
from services.models.ecgbert.scoring import Row, Scores, scores
from services.models.ecgbert.training_set import (
    annotated_shapes,
    detected_shapes,
    read_mitdb_record,
)
from services.training.progress import NoProgress, Progress


def tested(model: Path, mitdb: Path, records: Sequence[str], *, progress: Progress) -> Scores:
    """EC57 figures of the model on these records, from annotated and from own R peaks.

    model: folder that `train_default` wrote. Raises what `read_model_folder` and
    `read_mitdb_record` raise.
    """
    network, clusters, labels = read_model_folder(model)
    predictor = BeatPredictor(network, clusters, labels, device="cpu")
    annotated: list[Row] = []
    detected: list[Row] = []
    for place, name in enumerate(records):
        progress.check_cancelled()
        progress.advance(place / len(records), stage=f"testing record {name}")
        record = read_mitdb_record(mitdb, name)
        assert record.annotations is not None  # noqa: S101 - the reader brings them
        for rows, shapes in ((annotated, annotated_shapes), (detected, detected_shapes)):
            beats = shapes(record)
            answer = predictor.probabilities(beats.inputs(clusters), progress=NoProgress())
            rows.append((record.annotations, beats, answer))
    return scores(annotated, detected, {})

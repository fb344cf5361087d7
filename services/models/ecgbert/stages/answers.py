"""What the trained network says of the records that validate, beat by beat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.ecg.segmentation import QRS
from services.evaluation.beats import LabelledBeats
from services.models.ecgbert.guide.answers import beat_probabilities, lead_logits
from services.models.ecgbert.guide.losses import class_probabilities
from services.models.ecgbert.guide.network import GuideClassifier
from services.models.ecgbert.guide.sentences import RecordSentences
from services.models.ecgbert.stages.preprocessing import Prepared
from services.models.ecgbert.stages.results import token_figures
from services.models.ecgbert.stages.segmentation import read_waves
from services.models.ecgbert.stages.settings import VALIDATION
from services.models.ecgbert.stages.waves import LeadWaves
from services.training.progress import NoProgress, Progress


@dataclass(frozen=True)
class Answers:
    """beats: record -> beats at 360 Hz with their class. tokens: the original's figures."""

    beats: Mapping[str, LabelledBeats]
    tokens: Mapping[str, float] | None = None


def default_answers(
    network: GuideClassifier, records: Sequence[RecordSentences], progress: Progress
) -> Answers:
    """A class a beat, over its waves and all leads."""
    beats = {}
    for place, record in enumerate(records):
        progress.check_cancelled()
        progress.advance(place / len(records), stage="labelling beats")
        probabilities = beat_probabilities(network, record, progress=NoProgress())
        answer = probabilities.argmax(axis=1).astype(np.int64)
        beats[record.record] = LabelledBeats(np.asarray(record.peaks), answer)
    return Answers(beats)


def reference_answers(
    network: GuideClassifier,
    prepared: Prepared,
    records: Sequence[RecordSentences],
    segmentation: Path,
    progress: Progress,
) -> Answers:
    """A class a beat from the QRS token of the first lead that has peaks; and figures by token."""
    network.eval()
    beats, answers, labels = {}, [], []
    for place, (record, source) in enumerate(
        zip(records, prepared.of_part(VALIDATION), strict=True)
    ):
        progress.check_cancelled()
        progress.advance(place / len(records), stage="labelling beats")
        logits = lead_logits(network, record, NoProgress())
        found: list[NDArray[np.int64]] = [
            np.asarray(class_probabilities(lead.double()).numpy()).argmax(axis=1) for lead in logits
        ]
        answers += found
        labels += [np.asarray(lead.label, dtype=np.int64) for lead in record.leads]
        beats[record.record] = _first_lead(read_waves(segmentation, prepared, source), found)
    figures = token_figures(answers, labels, n_classes=len(prepared.classes))
    return Answers(beats, figures)


def _first_lead(waves: Sequence[LeadWaves], answers: list[NDArray[np.int64]]) -> LabelledBeats:
    if not waves:
        return LabelledBeats(np.empty(0, np.int64), np.empty(0, np.int64))
    of_qrs = answers[0][waves[0].kind == QRS]  # as many as peaks, in their order
    return LabelledBeats(waves[0].r_peaks, of_qrs)

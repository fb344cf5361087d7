"""Labelled beats of MIT-BIH records, ready to be drawn in batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import wfdb
from numpy.typing import NDArray

from services.ecg.labels import aami_class_indices, mitdb_patient
from services.ecg.record import Annotations, EcgRecord, IntArray
from services.ecg.segmentation import WAVE_NAMES
from services.errors import UnusableInput
from services.evaluation.matching import matched_beats
from services.models.ecgbert import clusters as cluster_fitting
from services.models.ecgbert.clusters import Clusters
from services.models.ecgbert.leads import readable_leads
from services.models.ecgbert.preparation import (
    BeatInputs,
    BeatShapes,
    MeasuredBeats,
    beat_shapes,
    detected_peaks,
    measured,
    ordinary_heights,
)
from services.training.progress import NoProgress


@dataclass(frozen=True)
class LabelledShapes:
    """One record's beats at one set of R peaks, before they are normalised.

    peaks: (n_beats,) in the record's rate. label: (n_beats,) index into AAMI_CLASSES, -1 where a
    detected peak stands for no annotated beat (it still shapes the rhythm, but teaches nothing).
    """

    record: str
    sampling_rate_hz: float
    peaks: IntArray
    label: IntArray
    shapes: BeatShapes

    @property
    def patient(self) -> str:
        """Who the record is of."""
        return mitdb_patient(self.record)

    @cached_property
    def measured(self) -> MeasuredBeats:
        """What the network reads of them but the words; computed once."""
        return measured(
            self.shapes, rhythm_source=self.peaks, sampling_rate_hz=self.sampling_rate_hz
        )

    def inputs(self, clusters: Clusters) -> BeatInputs:
        """What the network reads of them."""
        return self.measured.with_words(clusters)


def read_mitdb_record(folder: Path, name: str) -> EcgRecord:
    """One record with its `atr` annotations. UnusableInput when a file of it is not there."""
    for ending in (".hea", ".dat", ".atr"):
        if not (folder / f"{name}{ending}").is_file():
            raise UnusableInput(f"{name}{ending} is not in the folder of MIT-BIH records")
    stored = wfdb.rdrecord(str(folder / name))
    marks = wfdb.rdann(str(folder / name), "atr")
    return EcgRecord(
        signal=np.ascontiguousarray(stored.p_signal.T, dtype=np.float32),
        lead_names=tuple(stored.sig_name),
        sampling_rate_hz=float(stored.fs),
        name=name,
        annotations=Annotations(np.asarray(marks.sample, dtype=np.int64), tuple(marks.symbol)),
    )


def annotated_shapes(record: EcgRecord) -> LabelledShapes:
    """The beats at their annotated places."""
    samples, labels = _reference_beats(record)
    return _labelled(record, samples, labels)


def detected_shapes(record: EcgRecord) -> LabelledShapes:
    """The beats where our detector finds them, labelled by annotations within 150 ms."""
    leads = readable_leads(record)
    found = detected_peaks(record, leads, method="ectopy")
    samples, labels = _reference_beats(record)
    match = matched_beats(samples, found, sampling_rate_hz=record.sampling_rate_hz)
    known = np.where(match.of_detected >= 0, labels[match.of_detected], -1)
    return _labelled(record, found, known)


def fitted_clusters(records: Sequence[LabelledShapes], *, seed: int) -> Clusters:
    """Centroids over the waves of all leads of these records."""
    by_kind: list[list[NDArray[np.floating]]] = [[] for _ in WAVE_NAMES]
    for beats in records:
        unit = ordinary_heights(
            beats.shapes, rhythm_source=beats.peaks, sampling_rate_hz=beats.sampling_rate_hz
        )
        points = beats.shapes.points / unit[:, None, None]
        for kind, chosen in enumerate(by_kind):
            waves = points[:, beats.shapes.kind == kind].reshape(-1, points.shape[-1])
            chosen.append(waves[np.isfinite(waves).all(axis=1)])
    return cluster_fitting.fitted(
        [np.concatenate(chosen).astype(np.float64) for chosen in by_kind], seed=seed
    )


def _reference_beats(record: EcgRecord) -> tuple[IntArray, IntArray]:
    if record.annotations is None:
        raise UnusableInput(f"record {record.name} has no annotations")
    labels = aami_class_indices(record.annotations.symbol)
    return record.annotations.sample[labels >= 0], labels[labels >= 0]


def _labelled(record: EcgRecord, peaks: IntArray, label: IntArray) -> LabelledShapes:
    leads = readable_leads(record)
    return LabelledShapes(
        record=record.name,
        sampling_rate_hz=record.sampling_rate_hz,
        peaks=peaks,
        label=label,
        shapes=beat_shapes(record, leads, peaks, progress=NoProgress()),
    )

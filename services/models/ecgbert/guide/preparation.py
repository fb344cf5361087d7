"""Records on their way to sentences: read once, kept clean on the disk, given their tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.disk import one_at_a_time
from services.ecg.labels import BINARY_CLASSES, aami_class_indices
from services.ecg.record import Annotations, EcgRecord, FloatArray, IntArray
from services.ecg.resampling import indices_at_rate
from services.ecg.rpeaks import OWN_METHOD
from services.ecg.segmentation import WAVE_NAMES, WaveIntervals
from services.errors import UnusableInput
from services.evaluation.matching import flutter_stretches, inside
from services.models.ecgbert.clusters import Clusters
from services.models.ecgbert.guide.mapped_arrays import mapped_arrays, write_arrays
from services.models.ecgbert.guide.reading import (
    cleaned,
    missing_around,
    peaks_and_waves,
    spread_points,
    wave_ids,
)
from services.models.ecgbert.guide.sentences import (
    NO_LABEL,
    Granularity,
    RecordSentences,
    labels_of_beats,
    lead_sentence,
    store_sentences,
    stored_sentences,
)
from services.models.ecgbert.leads import ChosenLeads, readable_leads
from services.models.ecgbert.pretraining.cluster_fitting import fitted_clusters
from services.models.ecgbert.spec import SAMPLING_RATE_HZ
from services.models.interface import LabelledRecord, LabelledRecords
from services.training.progress import Progress

CLUSTERS = "clusters.npz"
MOST_WAVES = 1_000_000  # of a kind, over all records, that centres are fitted to


@dataclass(frozen=True)
class CleanRecord:
    """A record's leads at 360 Hz, its R peaks and the waves around them.

    signal: (n_leads, n_samples) float32 mV, preferred lead first. peaks: (n_beats,) at 360 Hz.
    beat_label: (n_beats,) class, NO_LABEL where a beat teaches nothing.
    """

    record: str
    patient: str
    lead_names: tuple[str, ...]
    signal: FloatArray
    peaks: IntArray
    beat_label: IntArray
    waves: WaveIntervals

    def sentences(self, clusters: Clusters, granularity: Granularity) -> RecordSentences:
        """Each lead with the tokens that these centres give its waves."""
        leads = tuple(
            lead_sentence(
                lead,
                self.waves,
                wave_ids(lead, self.waves, clusters),
                self.beat_label,
                granularity=granularity,
            )
            for lead in self.signal
        )
        return RecordSentences(
            self.record, self.patient, granularity, self.lead_names, leads, self.peaks
        )


@dataclass(frozen=True)
class SentencePlan:
    """What sentences are made of records. clusters: None to fit centres to these records."""

    labels: tuple[str, ...]
    granularity: Granularity
    clusters: Clusters | None
    seed: int


def clean_record(record: EcgRecord, leads: ChosenLeads, *, rpeaks: str = OWN_METHOD) -> CleanRecord:
    """As a prediction reads it; no beat is labelled."""
    signal = cleaned(leads.signal(record), sampling_rate_hz=record.sampling_rate_hz)
    peaks, waves = peaks_and_waves(signal, method=rpeaks)
    names = tuple(record.lead_names[row] for row in leads.rows)
    nothing = np.full(len(peaks), NO_LABEL)
    return CleanRecord(record.name, "", names, signal, peaks, nothing, waves)


def labelled_record(labelled: LabelledRecord, labels: tuple[str, ...]) -> CleanRecord:
    """As training reads it. UnusableInput where it has no annotated beat, naming the record.

    labels: the five of AAMI, or normal and abnormal.
    """
    record = labelled.record
    if record.annotations is None:
        raise UnusableInput(f"record {record.name}: there are no annotations to learn from")
    leads = readable_leads(record)
    clean = clean_record(record, leads)
    at = indices_at_rate(
        clean.peaks,
        from_hz=SAMPLING_RATE_HZ,
        to_hz=record.sampling_rate_hz,
        n_samples=record.n_samples,
    )
    label = _beat_labels(record.annotations, at, record.sampling_rate_hz)
    if labels == BINARY_CLASSES:
        label = np.minimum(label, 1)
    gaps = missing_around(leads.signal(record), at, sampling_rate_hz=record.sampling_rate_hz)
    label = np.where(gaps, NO_LABEL, label)
    return CleanRecord(
        record=record.name or labelled.record_id,
        patient=labelled.patient,
        lead_names=clean.lead_names,
        signal=clean.signal,
        peaks=clean.peaks,
        beat_label=label,
        waves=clean.waves,
    )


def prepared_sentences(
    train: LabelledRecords,
    validation: LabelledRecords,
    plan: SentencePlan,
    *,
    folder: Path,
    progress: Progress,
) -> tuple[list[RecordSentences], list[RecordSentences], Clusters]:
    """Sentences of both sets, memory-mapped in `folder`, and the centres that chose their tokens.

    Each record is read once. What a stopped call left is taken up; centres are fitted to the
    training records alone. Of several processes that ask at once, one works and the others wait.
    Raises UnusableInput for a record that cannot be read or learned from.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(folder / "lock"):
        return _prepared(train, validation, plan, folder, progress)


def _prepared(
    train: LabelledRecords,
    validation: LabelledRecords,
    plan: SentencePlan,
    folder: Path,
    progress: Progress,
) -> tuple[list[RecordSentences], list[RecordSentences], Clusters]:
    total = len(train) + len(validation)
    paths = [folder / f"{number:05d}.clean.npz" for number in range(total)]
    for number, path in enumerate(paths):
        progress.check_cancelled()
        progress.advance(number / total, stage="reading records")
        if not path.is_file():
            own = number < len(train)
            labelled = train[number] if own else validation[number - len(train)]
            _store_clean(labelled_record(labelled, plan.labels), path)
    clusters = plan.clusters or _fitted(paths[: len(train)], folder / CLUSTERS, plan, progress)
    stored: list[RecordSentences] = []
    for path in paths:
        progress.check_cancelled()
        made = path.with_name(path.name.replace(".clean", ""))
        if not made.is_file():
            store_sentences(_stored_clean(path).sentences(clusters, plan.granularity), made)
        stored.append(stored_sentences(made))
    return stored[: len(train)], stored[len(train) :], clusters


def _beat_labels(annotations: Annotations, peaks: IntArray, rate_hz: float) -> IntArray:
    """AAMI class of each detected beat; flutter, where beats are a matter of taste, has none."""
    classes = aami_class_indices(annotations.symbol)
    classes[inside(annotations.sample, flutter_stretches(annotations))] = -1
    return labels_of_beats(peaks, annotations, classes, sampling_rate_hz=rate_hz)


def _fitted(paths: Sequence[Path], kept: Path, plan: SentencePlan, progress: Progress) -> Clusters:
    if kept.is_file():
        return Clusters.load(kept)
    most = -(-MOST_WAVES // len(paths))
    found: list[list[NDArray[np.float32]]] = [[] for _ in WAVE_NAMES]
    for number, path in enumerate(paths):
        clean, rng = _stored_clean(path), np.random.default_rng([plan.seed, number])
        points = np.stack([spread_points(lead, clean.waves) for lead in clean.signal])
        for kind, chosen in enumerate(found):
            own = points[:, clean.waves.kind == kind].reshape(-1, points.shape[-1])
            if len(own) > most:
                own = own[np.sort(rng.choice(len(own), most, replace=False))]
            chosen.append(own)
    by_kind = [np.concatenate(chosen) for chosen in found]
    clusters = fitted_clusters(by_kind, seed=plan.seed, progress=progress)
    beside = kept.with_suffix(".partial.npz")
    clusters.save(beside)
    beside.replace(kept)
    return clusters


def _store_clean(clean: CleanRecord, path: Path) -> None:
    arrays: dict[str, NDArray[Any]] = {
        "record": np.array(clean.record),
        "patient": np.array(clean.patient),
        "lead_names": np.array(clean.lead_names, dtype=np.str_),
        "signal": clean.signal,
        "peaks": clean.peaks,
        "beat_label": clean.beat_label,
    }
    arrays |= {
        f"waves_{each.name}": getattr(clean.waves, each.name) for each in fields(clean.waves)
    }
    write_arrays(path, arrays)


def _stored_clean(path: Path) -> CleanRecord:
    arrays = mapped_arrays(path)
    return CleanRecord(
        record=str(arrays["record"]),
        patient=str(arrays["patient"]),
        lead_names=tuple(str(name) for name in arrays["lead_names"]),
        signal=np.asarray(arrays["signal"]),
        peaks=np.asarray(arrays["peaks"]),
        beat_label=np.asarray(arrays["beat_label"]),
        waves=WaveIntervals(
            **{
                each.name: np.asarray(arrays[f"waves_{each.name}"])
                for each in fields(WaveIntervals)
            }
        ),
    )

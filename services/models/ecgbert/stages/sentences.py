"""Step 3: each lead's waves as tokens of the nearest centres, a file a record in `train` and `val`.

`sentence_{i}.npz` is the i-th record of its part, all its leads, as services.models.ecgbert.guide
reads it. The guide's own `sentence_{i}.pkl` are one a lead, so their numbers run on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from services.models.ecgbert.clusters import Clusters
from services.models.ecgbert.guide.reading import wave_ids
from services.models.ecgbert.guide.sentences import (
    NO_LABEL,
    Granularity,
    LeadSentence,
    RecordSentences,
    lead_sentence,
    reference_sentence,
    store_sentences,
)
from services.models.ecgbert.pretraining.cluster_fitting import (
    MOST_WAVES,
    Points,
    fitted_clusters,
    points_by_kind,
)
from services.models.ecgbert.public.cluster_files import CLUSTERS_NPZ
from services.models.ecgbert.reference.segments import WaveSlices, slice_means
from services.models.ecgbert.reference.tokens import wave_tokens
from services.models.ecgbert.spec import CLS_ID, SEP_ID
from services.models.ecgbert.stages.finished import finish, note_digest
from services.models.ecgbert.stages.parallel import each
from services.models.ecgbert.stages.pickled import write_pickle
from services.models.ecgbert.stages.preprocessing import Prepared, PreparedRecord
from services.models.ecgbert.stages.segmentation import read_waves
from services.models.ecgbert.stages.settings import PARTS, TRAIN, Mode, StageRun, TaskFolder
from services.models.ecgbert.stages.waves import LeadWaves

VERSION = 1


def write_sentences(
    prepared: Prepared, run: StageRun, *, clusters: Clusters | None, granularity: Granularity
) -> None:
    """Step 3 for every record of step 2; not done again where it is finished.

    clusters: None fits centres to the waves of the records that train (the default mode only).
    """
    settings, task = run.settings, run.task
    key = {
        "step": 3,
        "version": VERSION,
        "granularity": granularity,
        "clusters": "fitted" if clusters is None else clusters_digest(clusters),
        "pickle": settings.pickle,
        "segmentation": note_digest(task.segmentation),
    }

    def make(folder: Path) -> None:
        centers = clusters or _fitted(prepared, run)
        centers.save(folder / CLUSTERS_NPZ)
        for part in PARTS:
            (folder / part).mkdir()
        arguments = [
            (prepared, record, task.segmentation, centers, granularity, folder)
            for record in prepared.records
        ]
        each(_write_sentence, arguments, run, stage="sentences")
        if settings.pickle:
            _write_pickles(prepared, task.segmentation, centers, folder)

    finish(task.sentence, key, make)


def sentence_files(task: TaskFolder, part: str) -> tuple[Path, ...]:
    """The files of `train` or `val`, in the order of the records."""
    files = (task.sentence / part).glob("sentence_*.npz")
    return tuple(sorted(files, key=lambda file: int(file.stem.rpartition("_")[2])))


def clusters_digest(clusters: Clusters) -> str:
    """SHA-256 of the centres and of how they are compared."""
    digest = hashlib.sha256(f"{clusters.points} {clusters.distance}".encode())
    for centers in clusters.centroids:
        digest.update(np.ascontiguousarray(centers).tobytes())
    return digest.hexdigest()


def _fitted(prepared: Prepared, run: StageRun) -> Clusters:
    """Nothing of the patients that validate is shown to the clusters."""
    arguments = [(prepared, r, run.task.segmentation) for r in prepared.of_part(TRAIN)]
    found = each(_points, arguments, run, stage="reading waves")
    by_kind = [np.concatenate(kind)[:MOST_WAVES] for kind in zip(*found, strict=True)]
    return fitted_clusters(by_kind, seed=run.settings.seed, progress=run.progress)


def _points(prepared: Prepared, record: PreparedRecord, segmentation: Path) -> Sequence[Points]:
    waves = read_waves(segmentation, prepared, record)
    return points_by_kind(list(np.asarray(prepared.signal(record))), waves[0].intervals())


def _write_sentence(
    prepared: Prepared,
    record: PreparedRecord,
    segmentation: Path,
    clusters: Clusters,
    granularity: Granularity,
    folder: Path,
) -> None:
    signal = np.asarray(prepared.signal(record))
    waves = read_waves(segmentation, prepared, record)
    reference = prepared.mode is Mode.REFERENCE
    if reference:
        leads = tuple(_reference_lead(signal, lead, clusters) for lead in waves)
    else:
        leads = tuple(_default_lead(signal, lead, clusters, granularity) for lead in waves)
    sentences = RecordSentences(
        record=record.name,
        patient=record.patient,
        granularity=granularity,
        lead_names=tuple(record.lead_names[lead.column] for lead in waves),
        leads=leads,
        peaks=np.empty(0, np.int64) if reference or not waves else waves[0].r_peaks,
    )
    store_sentences(sentences, folder / record.part / f"sentence_{record.place}.npz")


def _default_lead(
    signal: np.ndarray, lead: LeadWaves, clusters: Clusters, granularity: Granularity
) -> LeadSentence:
    own, waves = signal[lead.column], lead.intervals()
    ids = wave_ids(own, waves, clusters)
    return lead_sentence(own, waves, ids, lead.beat_labels(), granularity=granularity)


def _reference_lead(signal: np.ndarray, lead: LeadWaves, clusters: Clusters) -> LeadSentence:
    own = signal[lead.column]
    slices = original_slices(lead, n_samples=len(own))
    return reference_sentence(
        slice_means(own, slices), slices, wave_tokens(own, slices, clusters), lead.label
    )


def original_slices(lead: LeadWaves, *, n_samples: int) -> WaveSlices:
    """What the original slices for waves with its borders."""
    borders = np.minimum(np.stack([lead.start, lead.end], axis=1), n_samples - 1)
    return WaveSlices(lead.start, lead.end, lead.kind, borders.min(axis=1), borders.max(axis=1))


def _write_pickles(
    prepared: Prepared, segmentation: Path, clusters: Clusters, folder: Path
) -> None:
    """`[sentence, signal, labels]` of each lead; what teaches nothing is -100."""
    for part in PARTS:
        number = 0
        for record in prepared.of_part(part):
            signal = np.asarray(prepared.signal(record))
            for lead in read_waves(segmentation, prepared, record):
                made = (
                    _reference_lead(signal, lead, clusters)
                    if prepared.mode is Mode.REFERENCE
                    else _default_lead(signal, lead, clusters, "wave")
                )
                words = [CLS_ID, *np.asarray(made.tokens).tolist(), SEP_ID]
                labels = np.pad(made.label, 1, constant_values=NO_LABEL)
                value = [words, np.pad(made.signal, 1), labels]
                write_pickle(value, folder / part / f"sentence_{number}.pkl")
                number += 1

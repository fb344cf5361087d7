"""Step 2: R peaks and the P, QRS, T and background waves of every lead, a few files a record.

`{task}_{part}_{i}_segments.npz` holds the waves in the order of their tokens and the R peaks,
`{task}_{part}_{i}_label.npz` their classes, and `p`, `qrs`, `t`, `bg` the borders of each kind.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np

from services.ecg.record import IntArray
from services.models.ecgbert.reference.spec import WAVE_ORDER
from services.models.ecgbert.stages.finished import finish, note_digest
from services.models.ecgbert.stages.parallel import each
from services.models.ecgbert.stages.pickled import write_pickle
from services.models.ecgbert.stages.preprocessing import Prepared, PreparedRecord
from services.models.ecgbert.stages.settings import Mode, StageRun, StageSettings
from services.models.ecgbert.stages.waves import LeadWaves, default_waves, reference_waves

VERSION = 1
_ARRAYS = ("r_peaks", "start", "end", "kind", "beat")


def segment(prepared: Prepared, run: StageRun) -> None:
    """Step 2 for every record of step 1; not done again where it is finished."""
    settings, task = run.settings, run.task
    key = {
        "step": 2,
        "version": VERSION,
        "rpeaks": settings.rpeaks if settings.mode is Mode.DEFAULT else None,
        "pickle": settings.pickle,
        "preprocessing": note_digest(task.preprocessing),
    }

    def make(folder: Path) -> None:
        for wave in WAVE_ORDER:
            (folder / wave).mkdir()
        arguments = [(prepared, record, settings, folder) for record in prepared.records]
        each(_segment, arguments, run, stage="segmentation")

    finish(task.segmentation, key, make)


def read_waves(folder: Path, prepared: Prepared, record: PreparedRecord) -> tuple[LeadWaves, ...]:
    """What step 2 left of one record, lead by lead."""
    prefix = _prefix(prepared, record)
    with (
        np.load(folder / f"{prefix}_segments.npz", allow_pickle=False) as stored,
        np.load(folder / f"{prefix}_label.npz", allow_pickle=False) as labels,
    ):
        return tuple(
            LeadWaves(
                column=int(column),
                label=labels[f"lead{column}"].astype(np.int64),
                **{name: stored[f"lead{column}_{name}"].astype(np.int64) for name in _ARRAYS},
            )
            for column in stored["leads"].tolist()
        )


def _segment(
    prepared: Prepared, record: PreparedRecord, settings: StageSettings, folder: Path
) -> None:
    signal = prepared.signal(record)
    if settings.mode is Mode.REFERENCE:
        waves = reference_waves(np.asarray(signal), prepared.labels(record))
    else:
        beats, labels = prepared.beats(record)
        waves = default_waves(
            np.asarray(signal), rpeaks=settings.rpeaks, beats=beats, beat_labels=labels
        )
    _store(folder, _prefix(prepared, record), waves, pickle=settings.pickle)


def _store(folder: Path, prefix: str, waves: tuple[LeadWaves, ...], *, pickle: bool) -> None:
    arrays = {"leads": np.array([lead.column for lead in waves], dtype=np.int64)}
    for lead in waves:
        own = {name: values for name, values in asdict(lead).items() if name in _ARRAYS}
        arrays |= {f"lead{lead.column}_{name}": _small(values) for name, values in own.items()}
    np.savez(folder / f"{prefix}_segments.npz", allow_pickle=False, **arrays)
    labels = {f"lead{lead.column}": lead.label.astype(np.int8) for lead in waves}
    np.savez(folder / f"{prefix}_label.npz", allow_pickle=False, **labels)
    for number, wave in enumerate(WAVE_ORDER):
        borders = {f"lead{lead.column}": _small(_borders(lead, number)) for lead in waves}
        stem = folder / wave / f"{prefix}_{wave}_segments"
        np.savez(stem.with_suffix(".npz"), allow_pickle=False, **borders)
        if pickle:
            pairs = [[tuple(pair) for pair in each_.tolist()] for each_ in borders.values()]
            write_pickle(pairs, stem.with_suffix(".pkl"))
    if pickle:
        everything = [
            list(zip(lead.start.tolist(), lead.end.tolist(), lead.kind.tolist(), strict=True))
            for lead in waves
        ]
        write_pickle(everything, folder / f"{prefix}_segments.pkl")
        write_pickle([lead.label for lead in waves], folder / f"{prefix}_label.pkl")


def _borders(lead: LeadWaves, kind: int) -> IntArray:
    chosen = lead.kind == kind
    return np.stack([lead.start[chosen], lead.end[chosen]], axis=1)


def _small(values: IntArray) -> IntArray:
    return values.astype(np.int32)


def _prefix(prepared: Prepared, record: PreparedRecord) -> str:
    return f"{prepared.task_name}_{record.part}_{record.place}"

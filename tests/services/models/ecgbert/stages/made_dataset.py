"""A folder of small annotated WFDB records whose beats are known, and runs on it."""

from __future__ import annotations

from itertools import cycle, islice
from pathlib import Path

import numpy as np
import wfdb

from services.models.ecgbert.stages.parallel import Workforce
from services.models.ecgbert.stages.settings import Mode, StageRun, StageSettings, TaskFolder
from services.training.progress import NoProgress
from tests.signals import made_ecg, wfdb_files

ALONE = Workforce(jobs=1, progress=NoProgress())
NAMES = ("a1", "b2", "c3", "d4")
EVERY_CLASS = "NAVFQ"


def write_record(
    folder: Path,
    name: str,
    *,
    symbols: str | None = EVERY_CLASS,
    duration_s: float = 20.0,
    sampling_rate_hz: float = 360.0,
    last_annotation: int | None = None,
) -> None:
    """symbols: of the beats in turn; None writes no annotations."""
    folder.mkdir(parents=True, exist_ok=True)
    signal, peaks = made_ecg(
        duration_s=duration_s, sampling_rate_hz=sampling_rate_hz, seed=len(name) + ord(name[0])
    )
    for file, content in wfdb_files(signal, sampling_rate_hz=sampling_rate_hz, name=name).items():
        (folder / file).write_bytes(content)
    if symbols is not None:
        samples = peaks if last_annotation is None else np.append(peaks, last_annotation)
        marks = list(islice(cycle(symbols), len(samples)))
        wfdb.wrann(name, "atr", samples, marks, write_dir=str(folder))


def write_dataset(folder: Path, names: tuple[str, ...] = NAMES) -> Path:
    """One record a patient, beats of every class in each."""
    for name in names:
        write_record(folder, name)
    return folder


def run_in(
    folder: Path, *, mode: Mode = Mode.DEFAULT, task_name: str = "Beats", **settings: object
) -> StageRun:
    """One process, nobody listening."""
    return StageRun(
        jobs=1,
        progress=NoProgress(),
        settings=StageSettings(mode=mode, **settings),  # type: ignore[arg-type]
        task=TaskFolder.under(folder, task_name),
    )

"""What the differences between the original's steps and ours are worth: figures of docs/ecgbert.md.

python -m benchmarks.ecgbert_differences --mitdb FOLDER --clusters FOLDER [--work FOLDER]

Takes the records of DS1 through steps 1 to 3 in both modes, as `ectopy ecgbert finetune` does,
and compares what they leave. Nothing of DS2 is read. With --work the steps are kept, and not done
again the next time.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pywt
from numpy.typing import NDArray

from services.ecg import filtering
from services.ecg.labels import AAMI_CLASSES, DS1, is_beat
from services.ecg.readers.folders import record_paths
from services.ecg.segmentation import QRS, P
from services.evaluation.matching import matched_beats
from services.models.ecgbert.guide.sentences import NO_LABEL, RecordSentences, stored_sentences
from services.models.ecgbert.public.cluster_files import clusters_at
from services.models.ecgbert.reference.preprocessing import bandstopped, without_details
from services.models.ecgbert.reference.spec import WAVELET
from services.models.ecgbert.reference.token_labels import AAMI_INDEX, NORMAL_SYMBOLS
from services.models.ecgbert.spec import SAMPLING_RATE_HZ
from services.models.ecgbert.stages.preprocessing import Prepared, preprocess
from services.models.ecgbert.stages.segmentation import read_waves, segment
from services.models.ecgbert.stages.sentences import sentence_files, write_sentences
from services.models.ecgbert.stages.settings import PARTS, Mode, StageRun, StageSettings, TaskFolder
from services.models.ecgbert.stages.survey import surveyed
from services.training.progress import NoProgress

TONES_HZ = (0.2, 0.3, 0.5, 0.7, 1.0, 2.0, 10.0, 50.0, 60.0)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mitdb", type=Path, required=True)
    parser.add_argument("--clusters", type=Path, required=True)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--jobs", type=int, default=0)
    arguments = parser.parse_args()
    gains()
    with tempfile.TemporaryDirectory() as temporary:
        work = arguments.work or Path(temporary)
        for mode in (Mode.REFERENCE, Mode.DEFAULT):
            run = _run(mode, arguments, work)
            prepared = _steps(run, arguments)
            print(f"\n{mode.value}: {len(prepared.records)} records of DS1")
            detection(prepared, run)
            background(prepared, run)
            labels(prepared, run)
            tokens(run)
            non_beats(prepared)


def gains() -> None:
    """Quirks 1 and 2: how much of a tone each step leaves."""
    time_s = np.arange(round(120 * SAMPLING_RATE_HZ)) / SAMPLING_RATE_HZ
    inner = slice(len(time_s) // 4, -len(time_s) // 4)
    print("gain of a tone     " + "".join(f"{hz:>6g} Hz" for hz in TONES_HZ))
    rows: dict[str, list[float]] = {name: [] for name in ("original stop", "our stop")}
    rows |= {name: [] for name in ("original, all", "ours, all", "db4, level 8")}
    for hz in TONES_HZ:
        tone = np.sin(2 * np.pi * hz * time_s)[None]
        narrow, rate = tone.astype(np.float32), SAMPLING_RATE_HZ
        stopped = bandstopped(tone, sampling_rate_hz=rate)
        made: tuple[NDArray[Any], ...] = (
            stopped,
            filtering.bandstopped(narrow, sampling_rate_hz=rate),
            without_details(stopped),
            filtering.denoised(narrow, sampling_rate_hz=rate),
            without_approximation(tone),
        )
        for name, signal in zip(rows, made, strict=True):
            rows[name].append(float(signal[0, inner].std() / tone[0, inner].std()))
    for name, values in rows.items():
        print(f"{name:<19}" + "".join(f"{value:>9.3f}" for value in values))


def without_approximation(signal: NDArray[np.float64], *, level: int = 8) -> NDArray[np.float64]:
    """What the guide's words would be: the wavelet's slow part taken off, here below 0.7 Hz."""
    parts = pywt.wavedec(signal[0], WAVELET, level=level)
    slow = pywt.waverec([parts[0], *(np.zeros_like(part) for part in parts[1:])], WAVELET)
    rest: NDArray[np.float64] = signal - slow[: signal.shape[1]]
    return rest


def detection(prepared: Prepared, run: StageRun) -> None:
    """Quirk 6: R peaks within 150 ms of the annotated beats, lead by lead."""
    counts: dict[int, NDArray[np.int64]] = {}
    for record in prepared.records:
        beats = _annotated(prepared, record)[0]
        for lead in read_waves(run.task.segmentation, prepared, record):
            match = matched_beats(beats, lead.r_peaks, sampling_rate_hz=SAMPLING_RATE_HZ)
            own = np.array([match.true_positives, match.false_negatives, match.false_positives])
            counts[lead.column] = counts.get(lead.column, 0) + own
    for column, (found, missed, false) in sorted(counts.items()):
        print(
            f"  R peaks, lead {column}: Se {100 * found / (found + missed):.2f} %, "
            f"+P {100 * found / (found + false):.2f} %"
        )


def background(prepared: Prepared, run: StageRun) -> None:
    """Quirk 8: waves whose start does not lie before their end."""
    swapped = empty = total = 0
    for record in prepared.records:
        for lead in read_waves(run.task.segmentation, prepared, record):
            swapped += int((lead.start > lead.end).sum())
            empty += int((lead.start == lead.end).sum())
            total += len(lead)
    print(f"  waves: {total}, of which swapped {swapped}, empty {empty}")


def labels(prepared: Prepared, run: StageRun) -> None:
    """Quirk 9: P and QRS tokens of abnormal beats that carry another class than their beat's."""
    wrong, asked = {P: 0, QRS: 0}, {P: 0, QRS: 0}
    for record in prepared.records:
        beats, classes = _annotated(prepared, record)
        for lead in read_waves(run.task.segmentation, prepared, record):
            match = matched_beats(beats, lead.r_peaks, sampling_rate_hz=SAMPLING_RATE_HZ)
            of_peak = np.append(classes, NO_LABEL)[match.of_detected]
            for kind in (P, QRS):
                own = np.flatnonzero(lead.kind == kind)
                # in the reference mode waves do not say whose they are; they come in the same order
                peak = np.arange(len(own)) if lead.beat.max() < 0 else lead.beat[own]
                abnormal = of_peak[peak] > 0
                label = lead.label[own][abnormal]
                taught = label != NO_LABEL
                wrong[kind] += int((label != of_peak[peak][abnormal])[taught].sum())
                asked[kind] += int(taught.sum())
    shown = ", ".join(
        f"{name} {100 * wrong[kind] / asked[kind]:.1f} % of {asked[kind]}"
        for name, kind in (("P", P), ("QRS", QRS))
    )
    print(f"  tokens of abnormal beats with another beat's class: {shown}")


def tokens(run: StageRun) -> None:
    """How many of the 70 ids are used, and what share of all tokens the nine most frequent are."""
    counts = np.zeros(70, dtype=np.int64)
    classes = np.zeros(len(AAMI_CLASSES), dtype=np.int64)
    for sentences in _sentences(run):
        for lead in sentences.leads:
            counts += np.bincount(np.asarray(lead.tokens), minlength=70)
            label = np.asarray(lead.label, dtype=np.int64)
            classes += np.bincount(label[label != NO_LABEL], minlength=len(AAMI_CLASSES))
    top = np.sort(counts)[-9:].sum() / counts.sum()
    print(f"  ids used {np.count_nonzero(counts)} of 70, the nine most frequent {100 * top:.0f} %")
    there = classes > 0
    weight = np.where(there, 1 / np.maximum(classes, 1), 0)
    share = classes * 0 + 100 * weight / weight.sum()
    print(
        "  tokens by class "
        + ", ".join(f"{name} {n}" for name, n in zip(AAMI_CLASSES, classes, strict=True))
        + f"; inverse frequency gives {AAMI_CLASSES[int(share.argmax())]} {share.max():.0f} %"
    )


def non_beats(prepared: Prepared) -> None:
    """Quirk 10: annotations that are no beats, and what the original's tables make of them."""
    marks = [s for record in prepared.records for s in prepared.annotations(record).symbol]
    others = [symbol for symbol in marks if not is_beat(symbol)]
    normal = sum(AAMI_INDEX.get(symbol, 0) == 0 for symbol in others)
    abnormal = sum(symbol not in NORMAL_SYMBOLS for symbol in others)
    print(
        f"  marks that are no beats: {len(others)}; by the original's tables {normal} are N of "
        f"five classes, {abnormal} abnormal of two"
    )


def _annotated(prepared: Prepared, record: object) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return prepared.beats(record)  # type: ignore[arg-type]


def _sentences(run: StageRun) -> Iterator[RecordSentences]:
    for part in PARTS:
        yield from (stored_sentences(file) for file in sentence_files(run.task, part))


def _run(mode: Mode, arguments: argparse.Namespace, work: Path) -> StageRun:
    names = {path.stem for path in record_paths(arguments.mitdb)}
    settings = StageSettings(mode=mode, leave_out=tuple(sorted(names - set(DS1))))
    task = TaskFolder.under(work, mode.value)
    return StageRun(jobs=arguments.jobs, progress=NoProgress(), settings=settings, task=task)


def _steps(run: StageRun, arguments: argparse.Namespace) -> Prepared:
    records = surveyed(arguments.mitdb, run, leave_out=run.settings.leave_out)
    prepared = preprocess(records, run)
    segment(prepared, run)
    public = clusters_at(arguments.clusters) if run.settings.mode is Mode.REFERENCE else None
    write_sentences(prepared, run, clusters=public, granularity="wave")
    return prepared


if __name__ == "__main__":
    main()

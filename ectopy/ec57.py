"""`ectopy ec57`: beats of MIT-BIH records found and labelled, and scored by ANSI/AAMI EC57."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from services.ecg.labels import AAMI_CLASSES, BINARY_CLASSES, DS2, mitdb_patient
from services.ecg.readers.files import record_from_path
from services.ecg.record import Annotations, EcgRecord, IntArray
from services.ecg.rpeaks import OWN_METHOD, r_peaks
from services.errors import UnusableInput
from services.evaluation.beats import LabelledBeats, record_confusion, reference_beats
from services.evaluation.report import RecordScore, Table, table
from services.evaluation.report_text import table_text
from services.models.comparison import labelled_beats
from services.models.interface import Predictor
from services.models.model_archive import CARD
from services.models.results import BeatResult
from services.training.progress import NoProgress, Progress

STARTS_S = (0.0, 300.0)
# 201 (in DS1) and 202 (in DS2) are one man, so DS2 is also scored without him
SHARED_WITH_TRAINING = ("202",)

_Labeller = Callable[[EcgRecord], LabelledBeats]


@runtime_checkable
class PredictsAtPeaks(Protocol):
    """A predictor that can be told where the R peaks are."""

    def predict_at(
        self, record: EcgRecord, r_peaks: IntArray, *, progress: Progress
    ) -> BeatResult: ...


@dataclass(frozen=True)
class Ec57:
    """The tables of one evaluation, with what was evaluated in each title.

    records: each record's score from minute 0, for who asks where the mistakes are.
    """

    titles: tuple[str, ...]
    tables: tuple[Table, ...]
    records: tuple[RecordScore, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """A list of tables, each with its title; plain values."""
        pairs = zip(self.titles, self.tables, strict=True)
        return {
            "tables": [{"title": title, **part.as_json()} for title, part in pairs],
            "confusion_by_record": {each.record: each.matrix.tolist() for each in self.records},
        }

    def as_text(self) -> str:
        """All tables, for a terminal."""
        pairs = zip(self.titles, self.tables, strict=True)
        parts = [table_text(part, title=title) for title, part in pairs]
        if self.tables and self.tables[0].classification:
            parts.append(_mistakes_text(self.records))
        return "\n\n".join(parts)


def evaluate(
    mitdb_folder: Path,
    model: Predictor | Path,
    records: Sequence[str] = DS2,
    *,
    annotated_peaks: bool = False,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Ec57:
    """Labels every beat of the records with the model and scores it against the annotations.

    model: a loaded one, or the folder of a model of beats, which is then loaded on `device`.
    annotated_peaks: gives the model the annotated beats instead of letting it find its own; it then
    has to be a PredictsAtPeaks. Raises errors of services.errors where a record cannot be read or
    has no annotations, or the model does not fit.
    """
    predictor = _loaded(model, device) if isinstance(model, Path) else model
    at_peaks = predictor if isinstance(predictor, PredictsAtPeaks) else None
    if annotated_peaks and at_peaks is None:
        raise UnusableInput("this model finds its own R peaks and cannot be given annotated ones")

    def label(record: EcgRecord) -> LabelledBeats:
        if annotated_peaks and at_peaks is not None:
            peaks = reference_beats(_annotations(record)).sample
            return _labelled(at_peaks.predict_at(record, peaks, progress=NoProgress()))
        result = predictor.predict(record, options={}, progress=NoProgress())
        if not isinstance(result, BeatResult):
            raise UnusableInput("this model does not label beats")
        return _labelled(result)

    return _evaluated(mitdb_folder, records, label, with_classes=True, progress=progress)


def evaluate_detection(
    mitdb_folder: Path,
    records: Sequence[str] = DS2,
    *,
    method: str = OWN_METHOD,
    lead: int = 0,
    progress: Progress | None = None,
) -> Ec57:
    """Scores an R-peak detector alone, without any model. Arguments as `r_peaks` has them."""

    def find(record: EcgRecord) -> LabelledBeats:
        signal = record.signal[list(record.ecg_lead_indices)]
        found = r_peaks(signal, sampling_rate_hz=record.sampling_rate_hz, method=method, lead=lead)
        return LabelledBeats(found, np.zeros(len(found), dtype=np.int64))

    return _evaluated(mitdb_folder, records, find, with_classes=False, progress=progress)


def print_ec57(result: Ec57, *, json_path: Path | None = None) -> None:
    """Prints the tables, and writes them as JSON where a path is given."""
    print(result.as_text())
    if json_path is not None:
        json_path.write_text(json.dumps(result.as_json(), indent=2) + "\n", encoding="utf-8")


def spread_text(results: Sequence[Ec57]) -> str:
    """Mean and standard deviation over models (of several seeds, say): a table to be printed."""
    heads = ("S Se", "S +P", "S F1", "V Se", "V +P", "V F1", "macro-F1 N S V")
    lines = [f"Mean ± standard deviation over {len(results)} models, per cent"]
    lines += ["| | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for place, title in enumerate(results[0].titles):
        rows = np.array([_headline(result.tables[place]) for result in results])
        cells = zip(rows.mean(axis=0), rows.std(axis=0), strict=True)
        lines.append(f"| {title} | " + " | ".join(f"{m:.1f} ± {s:.1f}" for m, s in cells) + " |")
    return "\n".join(lines)


def _headline(part: Table) -> list[float]:
    found = part.classification
    if found is None:
        raise UnusableInput("only tables with classes have figures of classes")
    rows = {row.name: row for row in found.classes}
    figures = [
        figure.gross
        for name in ("S", "V")
        for figure in (rows[name].sensitivity, rows[name].predictivity, rows[name].f1)
    ]
    return [100 * value for value in (*figures, found.macro_f1["N S V"].gross)]


def _mistakes_text(records: Sequence[RecordScore]) -> str:
    """Record by record: its S and V beats, those found, and what else was called so."""
    lines = ["By record, from minute 0", "record   S beats found false   V beats found false"]
    for each in records:
        cells = []
        for name in ("S", "V"):
            which = AAMI_CLASSES.index(name)
            right = int(each.matrix[which, which])
            false = int(each.matrix[:, which].sum()) - right
            cells.append(f"{int(each.matrix[which].sum()):>9}{right:>6}{false:>6}")
        lines.append(f"{each.record:>6}" + "  ".join(cells))
    return "\n".join(lines)


def _loaded(folder: Path, device: str) -> Predictor:
    # imported here: scoring a detector alone needs no torch
    from services.models.families import FAMILIES

    family = json.loads((folder / CARD).read_text())["family"]
    if family not in FAMILIES:
        raise UnusableInput(f"{CARD}: there is no model family {family}")
    return FAMILIES[family].load(folder, device=device)


def _evaluated(
    mitdb_folder: Path,
    records: Sequence[str],
    label: _Labeller,
    *,
    with_classes: bool,
    progress: Progress | None,
) -> Ec57:
    scores: dict[float, list[RecordScore]] = {start_s: [] for start_s in STARTS_S}
    for done, name in enumerate(records):
        if progress is not None:
            progress.check_cancelled()
            progress.advance(done / len(records), stage=f"record {name}")
        for start_s, score in _record_scores(mitdb_folder / name, label):
            scores[start_s].append(score)
    titled = list(_tables(scores, with_classes=with_classes))
    return Ec57(
        tuple(title for title, _ in titled),
        tuple(part for _, part in titled),
        tuple(scores[STARTS_S[0]]),
    )


def _record_scores(path: Path, label: _Labeller) -> Iterator[tuple[float, RecordScore]]:
    record = record_from_path(path)
    annotations, found = _annotations(record), label(record)
    for start_s in STARTS_S:
        matrix = record_confusion(
            annotations, found, sampling_rate_hz=record.sampling_rate_hz, start_s=start_s
        )
        yield start_s, RecordScore(path.name, mitdb_patient(path.name), matrix)


def _annotations(record: EcgRecord) -> Annotations:
    if record.annotations is None:
        raise UnusableInput(f"record {record.name} has no annotations to be scored against")
    return record.annotations


def _tables(
    scores: dict[float, list[RecordScore]], *, with_classes: bool
) -> Iterator[tuple[str, Table]]:
    for start_s, every in scores.items():
        when = f"from minute {start_s / 60:g}"
        yield f"All records, {when}", table(every, start_s=start_s, with_classes=with_classes)
        apart = [score for score in every if score.record not in SHARED_WITH_TRAINING]
        if with_classes and 0 < len(apart) < len(every):
            title = f"Without {' '.join(SHARED_WITH_TRAINING)}, {when}"
            yield title, table(apart, start_s=start_s, with_classes=True)


def _labelled(result: BeatResult) -> LabelledBeats:
    if result.labels == BINARY_CLASSES:
        raise UnusableInput(
            f"EC57 scores the classes {', '.join(AAMI_CLASSES)}; this model answers "
            f"{', '.join(result.labels)}"
        )
    return labelled_beats(result)

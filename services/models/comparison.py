"""Models beside each other on the same test patients: each record through each, then the report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from services.ecg.labels import AAMI_CLASSES, BINARY_CLASSES
from services.errors import Cancelled, EctopyError, UnusableInput
from services.evaluation.beat_report import BeatsTested, beat_report, matrix_of
from services.evaluation.beats import LabelledBeats
from services.evaluation.report_parts import BASE, BOTH, PROMOTED, Compared
from services.evaluation.risk_report import RiskTested, risk_report
from services.models.interface import LabelledRecord, LabelledRecords, Predictor
from services.models.results import BeatResult, RiskResult
from services.models.spec import FamilySpec
from services.training.progress import Progress

BEATS = "beats"


@dataclass(frozen=True)
class Contender:
    """A model of a comparison: what the report calls it, and what it is asked through."""

    about: Compared
    spec: FamilySpec
    predictor: Predictor


def compared(
    task: str, records: LabelledRecords, contenders: Sequence[Contender], *, progress: Progress
) -> dict[str, Any]:
    """The report of all contenders on these records, which none of them should have seen.

    Records are read and predicted one at a time. One that any model cannot read is left out for
    all, and told under `left_out`; a model that is there as base and as promoted is asked once.
    Raises UnusableInput where no record is left.
    """
    models = _once_each(contenders)
    answers, left_out = [], []
    for position, labelled in enumerate(_each(records)):
        progress.check_cancelled()
        progress.advance(position / len(records), stage=f"testing {labelled.record.name}")
        try:
            answers.append(_answers(labelled, models, progress))
        except Cancelled:
            raise
        except EctopyError as problem:
            left_out.append({"record_id": labelled.record_id, "reason": problem.detail})
    if not answers:
        why = f": {left_out[0]['reason']}" if left_out else ""
        raise UnusableInput(f"no test record could be predicted{why}")
    report = _beats(models, answers) if task == BEATS else _risks(models, answers)
    if left_out:
        report["cautions"].append(
            f"{len(left_out)} test records could not be read by all models and are left out"
        )
    return report | {"left_out": left_out}


@dataclass(frozen=True)
class _Answers:
    """A record without its signal, and what each model made of it."""

    labelled: LabelledRecord
    results: tuple[BeatResult | RiskResult, ...]


def _each(records: LabelledRecords) -> Iterator[LabelledRecord]:
    for at in range(len(records)):
        yield records[at]


def _once_each(contenders: Sequence[Contender]) -> list[Contender]:
    found: dict[str, Contender] = {}
    for contender in contenders:
        known = found.get(contender.about.name)
        roles = {contender.about.role, known.about.role if known else ""}
        if known is not None and roles == {BASE, PROMOTED}:
            contender = replace(contender, about=replace(contender.about, role=BOTH))
        found[contender.about.name] = contender
    return list(found.values())


def _answers(labelled: LabelledRecord, models: Sequence[Contender], progress: Progress) -> _Answers:
    silent = _Silent(progress)
    results = []
    for model in models:
        options = {name: option.default for name, option in model.spec.options.items()}
        results.append(model.predictor.predict(labelled.record, options=options, progress=silent))
    record = replace(labelled.record, signal=np.empty((labelled.record.n_leads, 0), np.float32))
    return _Answers(replace(labelled, record=record), tuple(results))


class _Silent:
    """Asks whether to stop, and keeps the steps inside one record to itself."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def advance(self, fraction: float, *, stage: str = "") -> None:
        return None

    def event(self, kind: str, data: dict[str, Any]) -> None:
        return None

    def check_cancelled(self) -> None:
        self._progress.check_cancelled()


def _beats(models: Sequence[Contender], answers: Sequence[_Answers]) -> dict[str, Any]:
    results = [result for each in answers for result in each.results]
    binary = any(isinstance(r, BeatResult) and r.labels == BINARY_CLASSES for r in results)
    tested = [
        BeatsTested(
            record_id=each.labelled.record_id,
            name=each.labelled.record.name,
            patient=each.labelled.patient,
            matrices=tuple(_matrix(each.labelled, r, binary=binary) for r in each.results),
        )
        for each in answers
    ]
    return beat_report([model.about for model in models], tested, binary=binary)


def _matrix(labelled: LabelledRecord, result: Any, *, binary: bool) -> Any:
    record = labelled.record
    if not isinstance(result, BeatResult) or record.annotations is None:
        raise UnusableInput(f"record {record.name} has no reference beats, or no labels")
    return matrix_of(
        record.annotations,
        labelled_beats(result),
        sampling_rate_hz=record.sampling_rate_hz,
        binary=binary,
    )


def labelled_beats(result: BeatResult) -> LabelledBeats:
    """The result's labels as indices into AAMI_CLASSES; `abnormal` as one that is not N.

    UnusableInput for labels that are neither AAMI classes nor normal and abnormal.
    """
    known = AAMI_CLASSES if result.labels != BINARY_CLASSES else BINARY_CLASSES
    missing = sorted(set(result.labels) - set(known))
    if missing:
        raise UnusableInput(
            f"EC57 scores the classes {', '.join(AAMI_CLASSES)}; this model answers "
            f"{', '.join(missing)}"
        )
    index = np.array([known.index(name) for name in result.labels], dtype=np.int64)
    return LabelledBeats(result.sample, index[result.label_index])


def _risks(models: Sequence[Contender], answers: Sequence[_Answers]) -> dict[str, Any]:
    tested, thresholds = [], [float("nan")] * len(models)
    for each in answers:
        results = [result for result in each.results if isinstance(result, RiskResult)]
        if len(results) < len(models) or each.labelled.label is None:
            raise UnusableInput(f"record {each.labelled.record.name} has no risk, or no label")
        thresholds = [result.threshold for result in results]
        tested.append(
            RiskTested(
                record_id=each.labelled.record_id,
                name=each.labelled.record.name,
                patient=each.labelled.patient,
                label=int(each.labelled.label),
                risks=tuple(float(result.risk) for result in results),
            )
        )
    return risk_report([model.about for model in models], tested, thresholds=thresholds)

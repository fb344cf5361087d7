"""Step 1: every record cleaned and labelled sample by sample, patients split, all of it stored.

`{task}_{part}_processed_signals.npy` holds the leads of a part's records one after another, and
`{task}_{part}_labels.npy` the class of each sample; `index.json` says what lies where. Both are
memory-mapped, so that a record is written and read alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.ecg.labels import AAMI_CLASSES
from services.ecg.record import Annotations
from services.ecg.resampling import resampled_length
from services.errors import UnusableInput
from services.models.ecgbert.reference.spec import SEGMENTATION_RATE_HZ
from services.models.ecgbert.spec import SAMPLING_RATE_HZ
from services.models.ecgbert.stages.cleaning import CleanRecord, clean_record
from services.models.ecgbert.stages.finished import Key, finish
from services.models.ecgbert.stages.parallel import each
from services.models.ecgbert.stages.pickled import write_pickle
from services.models.ecgbert.stages.settings import (
    PARTS,
    TRAIN,
    VALIDATION,
    Mode,
    StageRun,
    StageSettings,
    TaskFolder,
)
from services.models.ecgbert.stages.survey import SurveyedRecord
from services.training.splits import patient_split

VERSION = 1  # of what this step computes; another one is made again
INDEX = "index.json"


@dataclass(frozen=True)
class PreparedRecord:
    """A record of a part after step 1.

    place: its number in the part. sampling_rate_hz: that it came with; n_samples: at 360 Hz.
    signal_at, labels_at: where its values begin in the part's files.
    """

    name: str
    patient: str
    part: str
    place: int
    lead_names: tuple[str, ...]
    sampling_rate_hz: float
    n_samples: int
    signal_at: int
    labels_at: int

    @property
    def n_leads(self) -> int:
        """Leads that are read."""
        return len(self.lead_names)


@dataclass(frozen=True)
class Prepared:
    """What step 1 left: read record by record, never all at once."""

    folder: Path
    task_name: str
    classes: tuple[str, ...]
    mode: Mode
    records: tuple[PreparedRecord, ...]

    def of_part(self, part: str) -> tuple[PreparedRecord, ...]:
        """The records of `train` or `val`, in their order."""
        return tuple(record for record in self.records if record.part == part)

    def signal(self, record: PreparedRecord) -> NDArray[Any]:
        """(n_leads, n_samples) mV at 360 Hz, a read-only memory map."""
        flat = np.load(self.file(record.part, "processed_signals"), mmap_mode="r")
        size = record.n_leads * record.n_samples
        part: NDArray[Any] = flat[record.signal_at : record.signal_at + size]
        return part.reshape(record.n_leads, record.n_samples)

    def labels(self, record: PreparedRecord) -> NDArray[np.int8]:
        """(n_samples,) index into `classes`, NO_LABEL where no beat is."""
        flat = np.load(self.file(record.part, "labels"), mmap_mode="r")
        part: NDArray[np.int8] = flat[record.labels_at : record.labels_at + record.n_samples]
        return part

    def beats(self, record: PreparedRecord) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Annotated beats: (n,) samples at 360 Hz, (n,) index into `classes` or NO_LABEL."""
        with np.load(self.file(record.part, "beats", ".npz"), allow_pickle=False) as stored:
            return stored[f"{record.place}_sample"], stored[f"{record.place}_label"]

    def annotations(self, record: PreparedRecord) -> Annotations:
        """Everything annotated, at 360 Hz."""
        with np.load(self.file(record.part, "beats", ".npz"), allow_pickle=False) as stored:
            symbols = tuple(stored[f"{record.place}_symbol"].tolist())
            return Annotations(stored[f"{record.place}_mark"], symbols)

    def file(self, part: str, what: str, ending: str = ".npy") -> Path:
        """Where something of a part lies."""
        return self.folder / f"{self.task_name}_{part}_{what}{ending}"


def preprocess(records: Sequence[SurveyedRecord], run: StageRun) -> Prepared:
    """Step 1 for records that were surveyed and checked; not done again where it is finished."""
    settings, task = run.settings, run.task
    annotated = [record for record in records if record.beats is not None]
    if settings.mode is Mode.REFERENCE:
        _check_taken_for_granted(annotated)
    parts = split(annotated, settings)

    def make(folder: Path) -> None:
        planned = _planned(annotated, parts, settings.mode)
        _write_index(folder, planned, settings)
        prepared = Prepared(folder, task.task_name, settings.classes, settings.mode, planned)
        _fill(prepared, {record.name: record for record in annotated}, run)
        if settings.pickle:
            _write_pickles(prepared)

    finish(task.preprocessing, stage_key(annotated, settings), make)
    return read_prepared(task)


def stage_key(records: Sequence[SurveyedRecord], settings: StageSettings) -> Key:
    """What the result of step 1 depends on."""
    key = asdict(settings)
    key.pop("rpeaks")  # the next step's
    return {
        "step": 1,
        "version": VERSION,
        "settings": key,
        "records": [record.as_key() for record in records],
    }


def read_prepared(task: TaskFolder) -> Prepared:
    """What step 1 left in the task's folder."""
    stored = json.loads((task.preprocessing / INDEX).read_text())
    records = tuple(
        PreparedRecord(**(entry | {"lead_names": tuple(entry["lead_names"])}))
        for entry in stored["records"]
    )
    return Prepared(
        task.preprocessing,
        task.task_name,
        tuple(stored["classes"]),
        Mode(stored["mode"]),
        records,
    )


def split(records: Sequence[SurveyedRecord], settings: StageSettings) -> Mapping[str, str]:
    """Record -> part. By patient and stratified; the reference takes records for patients."""
    if settings.validation:
        return _named_split(records, set(settings.validation))
    if settings.mode is Mode.REFERENCE:
        return _reference_split(records, settings)
    counts: dict[str, NDArray[np.int64]] = {}
    for record in records:
        own = np.array(class_counts(record, settings), dtype=np.int64)
        counts[record.patient] = counts.get(record.patient, 0) + own
    divided = patient_split(
        counts, validation_share=settings.test_size, test_share=0.0, seed=settings.seed
    )
    validating = set(divided.validation)
    return {r.name: VALIDATION if r.patient in validating else TRAIN for r in records}


def class_counts(record: SurveyedRecord, settings: StageSettings) -> tuple[int, ...]:
    """Annotated beats of each of the classes that are told apart."""
    beats = record.beats or (0,) * len(AAMI_CLASSES)
    return (beats[0], sum(beats[1:])) if settings.binary else beats


def _named_split(records: Sequence[SurveyedRecord], validating: set[str]) -> Mapping[str, str]:
    known = {name for record in records for name in (record.name, record.patient)}
    if unknown := sorted(validating - known):
        raise UnusableInput(f"no annotated record or patient {', '.join(unknown)} to validate with")
    patients = {r.patient for r in records if validating & {r.name, r.patient}}
    parts = {r.name: VALIDATION if r.patient in patients else TRAIN for r in records}
    if TRAIN not in parts.values():
        raise UnusableInput("every patient validates; at least one must be left to train with")
    return parts


def _check_taken_for_granted(records: Sequence[SurveyedRecord]) -> None:
    """Quirk 5: 360 Hz whatever the rate. Other records would be read wrongly, and silently."""
    for record in records:
        if record.sampling_rate_hz != SEGMENTATION_RATE_HZ:
            raise UnusableInput(
                f"record {record.name} has {record.sampling_rate_hz:g} Hz; the reference mode "
                f"takes {SEGMENTATION_RATE_HZ} Hz for granted (the default mode resamples)"
            )


def _reference_split(
    records: Sequence[SurveyedRecord], settings: StageSettings
) -> Mapping[str, str]:
    """Quirks 12 and 13: a record is a patient; the names sorted, since their order is all that the
    original leaves to chance.
    """
    from sklearn.model_selection import train_test_split  # slow to import

    names = sorted(record.name for record in records)
    _, validating = train_test_split(
        names, test_size=settings.test_size, random_state=settings.seed
    )
    return {name: VALIDATION if name in set(validating) else TRAIN for name in names}


def _planned(
    records: Sequence[SurveyedRecord], parts: Mapping[str, str], mode: Mode
) -> tuple[PreparedRecord, ...]:
    planned = []
    for part in PARTS:
        signal_at = labels_at = 0
        mine = [record for record in records if parts[record.name] == part]
        for place, record in enumerate(mine):
            n_samples = resampled_length(
                record.n_samples, from_hz=record.sampling_rate_hz, to_hz=SAMPLING_RATE_HZ
            )
            # quirk 14: the original takes all leads of the file, by their places
            leads = record.all_leads if mode is Mode.REFERENCE else record.lead_names
            planned.append(
                PreparedRecord(
                    name=record.name,
                    patient=record.patient,
                    part=part,
                    place=place,
                    lead_names=leads,
                    sampling_rate_hz=record.sampling_rate_hz,
                    n_samples=n_samples,
                    signal_at=signal_at,
                    labels_at=labels_at,
                )
            )
            signal_at += n_samples * len(leads)
            labels_at += n_samples
    return tuple(planned)


def _write_index(folder: Path, records: Sequence[PreparedRecord], settings: StageSettings) -> None:
    index = {
        "classes": list(settings.classes),
        "mode": settings.mode.value,
        "patients": {
            part: sorted({r.patient for r in records if r.part == part}) for part in PARTS
        },
        "records": [asdict(record) for record in records],
    }
    (folder / INDEX).write_text(json.dumps(index, indent=1) + "\n")


def _fill(
    prepared: Prepared,
    sources: Mapping[str, SurveyedRecord],
    run: StageRun,
) -> None:
    kind = np.float64 if run.settings.mode is Mode.REFERENCE else np.float32
    for part in PARTS:
        mine = prepared.of_part(part)
        sizes = (
            sum(record.n_leads * record.n_samples for record in mine),
            sum(record.n_samples for record in mine),
        )
        for what, size, dtype in zip(
            ("processed_signals", "labels"), sizes, (kind, np.int8), strict=True
        ):
            np.lib.format.open_memmap(
                prepared.file(part, what), mode="w+", dtype=dtype, shape=(size,)
            ).flush()
        arguments = [(prepared, record, sources[record.name], run.settings) for record in mine]
        found = each(_prepare, arguments, run, stage=f"preprocessing, {part}")
        arrays = {
            f"{place}_{name}": values
            for place, own in enumerate(found)
            for name, values in own.items()
        }
        np.savez(prepared.file(part, "beats", ".npz"), allow_pickle=False, **arrays)


def _prepare(
    prepared: Prepared, record: PreparedRecord, source: SurveyedRecord, settings: StageSettings
) -> dict[str, NDArray[Any]]:
    """Writes one record's signal and labels to their places; returns beats and annotations."""
    clean: CleanRecord = clean_record(source, settings)
    for what, at, values in (
        ("processed_signals", record.signal_at, clean.signal.reshape(-1)),
        ("labels", record.labels_at, clean.sample_labels),
    ):
        flat = np.load(prepared.file(record.part, what), mmap_mode="r+")
        flat[at : at + len(values)] = values
        flat.flush()
    return {
        "sample": clean.beats,
        "label": clean.beat_labels,
        "mark": clean.annotations.sample,
        "symbol": np.array(clean.annotations.symbol, dtype=np.str_),
    }


def _write_pickles(prepared: Prepared) -> None:
    for part in PARTS:
        mine = prepared.of_part(part)
        for what, read in (("processed_signals", prepared.signal), ("labels", prepared.labels)):
            values = [np.array(read(record)) for record in mine]
            write_pickle(values, prepared.file(part, what, ".pkl"))

"""What a folder of records holds, read once and checked before any work is spent on it."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from services.ecg.labels import AAMI_CLASSES, mitdb_patient
from services.ecg.readers.files import record_from_path
from services.ecg.readers.folders import HEADER, PATIENTS_FILE, record_paths
from services.ecg.readers.wfdb_annotations import parsed_annotations
from services.ecg.readers.wfdb_reader import ANNOTATORS, MAX_ANNOTATION_BYTES
from services.ecg.record import EcgRecord
from services.errors import EctopyError, MalformedInput, TooLarge, UnusableInput
from services.evaluation.beats import reference_beats
from services.models.ecgbert.leads import readable_leads
from services.models.ecgbert.stages.parallel import Workforce, each

_SHOWN = 5  # records that an error names
_BLOCK = 1 << 20


@dataclass(frozen=True)
class SurveyedRecord:
    """One record, as far as planning needs it.

    all_leads: as they lie in the file. lead_names, rows: those that are read, preferred first, and
    where they are in the file.
    beats: annotated beats of each AAMI class; None for a record without annotations.
    """

    name: str
    path: str
    patient: str
    sampling_rate_hz: float
    n_samples: int
    all_leads: tuple[str, ...]
    lead_names: tuple[str, ...]
    rows: tuple[int, ...]
    beats: tuple[int, ...] | None
    sha256: str

    def as_key(self) -> dict[str, Any]:
        """What a step's key says of it: everything but where it lies."""
        key = asdict(self)
        key.pop("path")
        return key


def surveyed(
    folder: Path, run: Workforce, *, leave_out: Sequence[str] = (), outside: Path | None = None
) -> tuple[SurveyedRecord, ...]:
    """Every record in the folder by name, those of `leave_out` unopened.

    leave_out: names of records or of patients. outside: as `record_paths` has it. Raises NotFound
    for a missing folder, UnusableInput for one without records, for a name that is not there, and
    for a record that cannot be read.
    """
    paths = {_name(path, folder): path for path in record_paths(folder, outside=outside)}
    if not paths:
        raise UnusableInput(f"{folder} holds no record; expected WFDB headers (.hea) or other ECGs")
    patients = patients_of(folder, list(paths))
    known = set(paths) | set(patients.values())
    if unknown := [name for name in leave_out if name not in known]:
        raise UnusableInput(f"there is no record or patient {_some(unknown)} in {folder}")
    kept = [name for name in sorted(paths) if not {name, patients[name]} & set(leave_out)]
    if not kept:
        raise UnusableInput(f"all {len(paths)} records of {folder} are left out")
    arguments = [(name, str(paths[name]), patients[name]) for name in kept]
    return tuple(each(_survey, arguments, run, stage="looking at records"))


def patients_of(folder: Path, names: Sequence[str]) -> Mapping[str, str]:
    """Record -> patient, by `patients.csv` (record,patient) where the folder has one.

    Otherwise each record is a patient of its own, but for the two of MIT-BIH that are one man's.
    """
    given: dict[str, str] = {}
    if (table := folder / PATIENTS_FILE).is_file():
        given = _patients_table(table)
        if unknown := [name for name in given if name not in names]:
            raise UnusableInput(f"{PATIENTS_FILE} names {_some(unknown)}, which is no record here")
    return {name: given.get(name, mitdb_patient(name)) for name in names}


def check_trainable(
    records: Sequence[SurveyedRecord],
    *,
    class_names: Sequence[str],
    class_counts: Callable[[SurveyedRecord], Sequence[int]],
    allow_missing: bool,
) -> None:
    """UnusableInput unless there are annotations, two patients and beats of every class."""
    annotated = [record for record in records if record.beats is not None]
    if not annotated:
        raise UnusableInput(
            f"none of the {len(records)} records has annotations; expected beats in a WFDB "
            f"annotation file ({', '.join(ANNOTATORS)}) beside the record, or in the file itself"
        )
    counts = np.array([class_counts(record) for record in annotated]).sum(axis=0)
    missing = [name for name, n in zip(class_names, counts, strict=True) if not n]
    if len(missing) == len(class_names):
        raise UnusableInput(f"the annotations of {_some([r.name for r in annotated])} mark no beat")
    patients = sorted({record.patient for record in annotated})
    if len(patients) < 2:
        raise UnusableInput(
            f"all {len(annotated)} annotated records are of one patient ({patients[0]}); the split "
            "is by patient, so at least two are needed (patients.csv says which record is whose)"
        )
    if missing and not allow_missing:
        found = ", ".join(f"{n} {name}" for name, n in zip(class_names, counts, strict=True))
        raise UnusableInput(
            f"no beat of class {', '.join(missing)} among {found}; expected beats of every class "
            "(or train normal / abnormal, or allow missing classes)"
        )


def _survey(name: str, path: str, patient: str) -> SurveyedRecord:
    where = Path(path)
    try:
        record = record_from_path(where)
        _check_annotations_fit(where, record)
        leads = readable_leads(record)
    except EctopyError as problem:
        kind = type(problem) if isinstance(problem, MalformedInput | TooLarge) else UnusableInput
        raise kind(f"record {name}: {problem.detail}") from problem
    return SurveyedRecord(
        name=name,
        path=path,
        patient=patient,
        sampling_rate_hz=float(record.sampling_rate_hz),
        n_samples=record.n_samples,
        all_leads=record.lead_names,
        lead_names=tuple(record.lead_names[row] for row in leads.rows),
        rows=leads.rows,
        beats=_beats(record),
        sha256=_digest(where),
    )


def _beats(record: EcgRecord) -> tuple[int, ...] | None:
    if record.annotations is None:
        return None
    labels = reference_beats(record.annotations).label
    return tuple(np.bincount(labels, minlength=len(AAMI_CLASSES)).tolist())


def _check_annotations_fit(path: Path, record: EcgRecord) -> None:
    """For prediction what lies outside is left out; here it means that the files do not match."""
    for annotator in ANNOTATORS:
        file = path.with_suffix(f".{annotator}")
        if path.suffix != HEADER or not file.is_file():
            continue
        if file.stat().st_size > MAX_ANNOTATION_BYTES:
            raise TooLarge(f"{file.name}: at most {MAX_ANNOTATION_BYTES:,} bytes are read")
        found = parsed_annotations(file.name, file.read_bytes())
        rate_hz = record.sampling_rate_hz
        last = int(max(found.samples_at(rate_hz, frame_rate_hz=rate_hz), default=-1))
        if last >= record.n_samples:
            raise UnusableInput(
                f"{file.name} has an annotation at sample {last}, but the signal ends after "
                f"{record.n_samples} samples: the two do not belong together"
            )
        return


def _digest(path: Path) -> str:
    """Of the record's files: the one, or all that are called like the header."""
    files = sorted(path.parent.glob(f"{path.stem}.*")) if path.suffix == HEADER else [path]
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode())
        with file.open("rb") as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()


def _patients_table(table: Path) -> dict[str, str]:
    with table.open(newline="", encoding="utf-8-sig") as stream:
        rows = [row for row in csv.reader(stream) if row]
    if not rows or [cell.strip().lower() for cell in rows[0]] != ["record", "patient"]:
        raise MalformedInput(f"{table.name}: expected the columns record,patient")
    for number, row in enumerate(rows, start=1):
        if len(row) != 2 or not all(cell.strip() for cell in row):
            raise MalformedInput(f"{table.name}, line {number}: expected a record and a patient")
    return {record.strip(): patient.strip() for record, patient in rows[1:]}


def _name(path: Path, folder: Path) -> str:
    relative = path.relative_to(folder)
    return relative.with_suffix("").as_posix() if path.suffix == HEADER else relative.as_posix()


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more

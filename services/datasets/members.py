"""Who is in a dataset: a stored record with its patient, its label, and its beats."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from services.ecg.labels import AAMI_CLASSES, SAME_PATIENT, mitdb_patient
from services.ecg.record import Annotations
from services.ecg.rhythm_print import Seconds, beat_times
from services.errors import UnusableInput
from services.evaluation.beats import reference_beats
from services.models.catalog import FAMILY_SPECS
from services.models.spec import FamilySpec
from services.records import files
from services.records import service as records
from services.records.fit import require_fit
from services.records.row import RecordRow
from services.storage.base import Store

BEATS = "beats"
# of a record of the MIT-BIH database, by which it is told from another that is called the same
_MITDB_RATE_HZ, _MITDB_SAMPLES, _MITDB_FORMAT = 360.0, 650_000, "wfdb"


@dataclass(frozen=True)
class Member:
    """One record of a dataset.

    patient: as it was said, None where nothing was said. label: 0 or 1, None for a task without.
    counts: beats a class. annotations_sha256: of the reference annotations, empty without any.
    beats: seconds of its R peaks, by which copies of it are found.
    """

    record_id: str
    record_sha256: str
    name: str
    patient: str | None
    label: float | None
    counts: dict[str, int]
    annotations_sha256: str
    beats: Seconds

    @property
    def own_patient(self) -> str:
        """Its patient; where none is known, it counts as a patient of its own."""
        return self.patient if self.patient is not None else f"record {self.record_id}"


def family_spec(task: str) -> FamilySpec:
    """Of the family that is trained for a task."""
    return next(spec for spec in FAMILY_SPECS.values() if spec.task == task)


def member_of(
    store: Store, row: RecordRow, *, task: str, patient: str | None, label: float | None
) -> Member:
    """The record as a member; UnusableInput where nothing can be learned from it."""
    require_fit(family_spec(task), row)
    annotations = records.reference_annotations(store, row) if task == BEATS else None
    counts = beat_counts(annotations) if task == BEATS else {}
    if task != BEATS and label is None:
        raise UnusableInput("it has no label")
    return Member(
        record_id=row.id,
        record_sha256=row.sha256,
        name=row.name,
        patient=patient or row.patient_id or known_patient(row),
        label=None if task == BEATS else label,
        counts=counts,
        annotations_sha256=annotations_sha256(annotations),
        beats=beat_times(files.open_record(store, row)),
    )


def beat_counts(annotations: Annotations | None) -> dict[str, int]:
    """Beats a class; UnusableInput where there is no beat."""
    if annotations is None:
        raise UnusableInput("it has no reference annotations (an .atr file or its like)")
    labels = reference_beats(annotations).label
    if len(labels) == 0:
        raise UnusableInput("none of its annotations marks a beat")
    found = np.bincount(labels, minlength=len(AAMI_CLASSES)).tolist()
    return dict(zip(AAMI_CLASSES, found, strict=True))


def known_patient(row: RecordRow) -> str | None:
    """MIT-BIH 201 and 202 are one man; other records say nothing by their name."""
    of_mitdb = (
        row.format == _MITDB_FORMAT
        and row.sampling_rate_hz == _MITDB_RATE_HZ
        and row.n_samples == _MITDB_SAMPLES
    )
    shared = any(row.name in group for group in SAME_PATIENT)
    return f"MIT-BIH {mitdb_patient(row.name)}" if of_mitdb and shared else None


def annotations_sha256(annotations: Annotations | None) -> str:
    """Of samples and symbols, whatever file they came in."""
    if annotations is None:
        return ""
    digest = hashlib.sha256(np.ascontiguousarray(annotations.sample, "<i8").tobytes())
    digest.update("\0".join(annotations.symbol).encode())
    return digest.hexdigest()


def content_sha256(task: str, members: Sequence[Member]) -> str:
    """One hash of all that a training sees: records, annotations, labels, and who is one patient.

    Over the sorted lines of the members, so that their order does not count; a patient is told by
    the first of its records, so that what it is called does not count either.
    """
    first: dict[str, str] = {}
    for m in members:
        first[m.own_patient] = min(m.record_sha256, first.get(m.own_patient, m.record_sha256))
    lines = sorted(
        f"{m.record_sha256}\t{m.annotations_sha256}\t{m.label}\t{first[m.own_patient]}"
        for m in members
    )
    return hashlib.sha256("\n".join([task, *lines]).encode()).hexdigest()


def total_counts(task: str, members: Sequence[Member]) -> dict[str, int]:
    """Beats a class, or records a label."""
    if task == BEATS:
        return {name: sum(m.counts[name] for m in members) for name in AAMI_CLASSES}
    found = Counter(f"{m.label:g}" for m in members)
    return {name: found[name] for name in ("0", "1")}


def with_patients(members: Sequence[Member], patients: Sequence[str]) -> list[Member]:
    """The members with the patients that an audit made out."""
    return [replace(m, patient=p) for m, p in zip(members, patients, strict=True)]


_PARTS = re.compile(r"[^\W\d_]+|\d+")


def plain_patient(patient: str) -> str:
    """One spelling of an id: `P-001`, `p 1` and `p001` are the same, `1-12` and `11-2` are not."""
    return "-".join(part.lstrip("0") or "0" for part in _PARTS.findall(patient.casefold()))


def described(members: Sequence[Member]) -> list[dict[str, Any]]:
    """What is kept of each member."""
    return [
        {
            "record_id": m.record_id,
            "record_sha256": m.record_sha256,
            "name": m.name,
            "patient": m.own_patient,
            "label": m.label,
            "counts": m.counts,
        }
        for m in members
    ]

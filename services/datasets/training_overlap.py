"""Which records of a dataset the models here were trained on, as far as that can be known.

A model folder may hold the beat times of its training records (`training_beats.npz`); then copies
are found whatever they are called. A version that was fine-tuned here names its dataset in its
card, and that dataset's records are known. Of other models nothing is known, and that is said.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from services.datasets import repository
from services.datasets.audit import TRAINED_ON, Finding
from services.datasets.members import Member
from services.ecg.rhythm_print import Seconds, meetings
from services.ecg.training_beats import TRAINING_BEATS, read_training_beats
from services.errors import EctopyError
from services.registry import service as registry
from services.registry.files import version_files
from services.registry.row import ModelVersionRow
from services.storage.base import Store

# beats in a row that fall together with those of a training record, judged by rhythm alone
SURE_BEATS = 20
MAX_ANCESTORS = 20

UNKNOWN = "unknown"
BY_RHYTHM = "by the rhythm of its training records"
BY_DATASET = "by the records of its dataset"


@dataclass(frozen=True)
class Overlap:
    """What is known of a version's training: `how` it was compared, and record id -> what it is."""

    how: tuple[str, ...]
    records: dict[str, str]


def overlap(
    session: Session, store: Store, version: ModelVersionRow, members: Sequence[Member]
) -> Overlap:
    """Members that this version, or one that it was made from, was trained on."""
    how: list[str] = []
    found: dict[str, str] = {}
    for ancestor in _lineage(session, version):
        trained = _training_beats(store, ancestor)
        if trained:
            how.append(BY_RHYTHM)
            found |= dict(_by_rhythm(members, trained))
        dataset = ancestor.card.get("dataset") or {}
        dataset_id = dataset.get("id")
        held = repository.members(session, dataset_id) if isinstance(dataset_id, str) else []
        if held:
            how.append(BY_DATASET)
            unseen = set(dataset.get("test_records", ()))  # on which it was only tested
            known = {row.record_sha256: row.name for row in held if row.record_id not in unseen}
            found |= {
                m.record_id: f"record {known[m.record_sha256]} of {dataset_id}"
                for m in members
                if m.record_sha256 in known
            }
    return Overlap(tuple(dict.fromkeys(how)) or (UNKNOWN,), found)


def compared(
    session: Session, store: Store, project_id: str, task: str, members: Sequence[Member]
) -> tuple[list[Finding], list[dict[str, Any]]]:
    """Findings and what was compared, for each model of the task that answers in the project."""
    findings, compared_with = [], []
    for version in registry.promoted_versions(session, project_id, task):
        found = overlap(session, store, version, members)
        compared_with.append(
            {"model": version.name, "version": version.version, "how": ", ".join(found.how)}
        )
        if found.records:
            findings.append(_finding(version, members, found))
    return findings, compared_with


def _finding(version: ModelVersionRow, members: Sequence[Member], found: Overlap) -> Finding:
    held = [m for m in members if m.record_id in found.records]
    return Finding(
        kind=TRAINED_ON,
        records=tuple(m.record_id for m in held),
        names=tuple(m.name for m in held),
        detail=(
            f"{version.name}@{version.version} was trained on {len(held)} of these records "
            f"({', '.join(found.records[m.record_id] for m in held[:5])}"
            f"{', ...' if len(held) > 5 else ''}): its figures on them say nothing"
        ),
    )


def _lineage(session: Session, version: ModelVersionRow) -> Iterator[ModelVersionRow]:
    """The version and those that it was made from, as far as they are here."""
    current: ModelVersionRow | None = version
    for _ in range(MAX_ANCESTORS):
        if current is None:
            return
        yield current
        base = current.card.get("base")
        if not isinstance(base, str):
            return
        current = registry.named(session, version.project_id, base)


def _training_beats(store: Store, version: ModelVersionRow) -> dict[str, Seconds]:
    """Empty where the version's folder tells nothing, or is not there."""
    try:
        files = version_files(store, version.location, version.sha256)
        path = files.get(TRAINING_BEATS)
        return read_training_beats(path) if path is not None else {}
    except EctopyError:
        return {}


def _by_rhythm(members: Sequence[Member], trained: dict[str, Seconds]) -> Iterator[tuple[str, str]]:
    names = list(trained)
    for met in meetings([m.beats for m in members], [trained[name] for name in names]):
        if met.aligned >= SURE_BEATS:
            yield members[met.first].record_id, f"training record {names[met.second]}"

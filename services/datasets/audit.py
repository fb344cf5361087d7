"""What may leak from training into testing: one patient under two names, one waveform twice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from services.datasets.members import Member, plain_patient
from services.ecg.record import EcgRecord
from services.ecg.rhythm_print import INTERVALS, meetings
from services.ecg.same_waveform import SAME, likeness

Opened = Callable[[str], EcgRecord]  # a record by its id

SAME_WAVEFORM = "same_waveform"
LABELS_DISAGREE = "labels_disagree"
PATIENT_SPELLED = "patient_spelled_differently"
SAME_PATIENT_KNOWN = "records_known_to_be_of_one_patient"
PATIENT_UNKNOWN = "patient_unknown"
TRAINED_ON = "trained_on"


@dataclass(frozen=True)
class Finding:
    """One thing that was found; `records` are ids, `names` how the sender called them."""

    kind: str
    records: tuple[str, ...]
    names: tuple[str, ...]
    detail: str


@dataclass(frozen=True)
class Audit:
    """What was found and what was done about it.

    patients: of each member, in their order: whom a split must keep on one side. Members that a
    finding says to be of one patient have the same one.
    not_compared: members with too few beats to be known again.
    """

    findings: tuple[Finding, ...]
    patients: tuple[str, ...]
    not_compared: int

    def as_json(self, *extra: Finding, compared_with: Sequence[dict[str, Any]]) -> dict[str, Any]:
        return {
            "findings": [asdict(finding) for finding in (*self.findings, *extra)],
            "not_compared": self.not_compared,
            "compared_with": list(compared_with),
        }


def audited(members: Sequence[Member], opened: Opened) -> Audit:
    """Compares the members with one another.

    opened: gives a record's signal, asked only for those whose beats fall together.
    """
    groups = _Groups(len(members))
    findings = [
        *_spellings(members, groups),
        *_known_patients(members),
        *_copies(members, opened, groups),
        *_unknown_patients(members),
    ]
    _join_same_patients(members, groups)
    return Audit(
        findings=tuple(findings),
        patients=tuple(members[root].own_patient for root in groups.roots()),
        not_compared=sum(len(m.beats) <= INTERVALS for m in members),
    )


class _Groups:
    """Members that belong together: a forest whose trees are merged."""

    def __init__(self, n: int) -> None:
        self._parent = list(range(n))

    def root(self, n: int) -> int:
        while self._parent[n] != n:
            self._parent[n] = self._parent[self._parent[n]]
            n = self._parent[n]
        return n

    def join(self, a: int, b: int) -> None:
        a, b = sorted((self.root(a), self.root(b)))
        self._parent[b] = a

    def roots(self) -> list[int]:
        return [self.root(n) for n in range(len(self._parent))]


def _finding(kind: str, members: Sequence[Member], at: Sequence[int], detail: str) -> Finding:
    return Finding(
        kind, tuple(members[n].record_id for n in at), tuple(members[n].name for n in at), detail
    )


def _spellings(members: Sequence[Member], groups: _Groups) -> Iterator[Finding]:
    by_plain: dict[str, list[int]] = defaultdict(list)
    for n, member in enumerate(members):
        if member.patient is not None:
            by_plain[plain_patient(member.patient) or member.patient].append(n)
    for at in by_plain.values():
        spelled = sorted({str(members[n].patient) for n in at})
        if len(spelled) > 1:
            for n in at[1:]:
                groups.join(at[0], n)
            yield _finding(
                PATIENT_SPELLED,
                members,
                at,
                f"{len(spelled)} patient ids differ in spelling only; they count as one patient",
            )


def _known_patients(members: Sequence[Member]) -> Iterator[Finding]:
    by_patient: dict[str, list[int]] = defaultdict(list)
    for n, member in enumerate(members):
        if (member.patient or "").startswith("MIT-BIH "):
            by_patient[str(member.patient)].append(n)
    for at in by_patient.values():
        if len(at) > 1:
            yield _finding(
                SAME_PATIENT_KNOWN,
                members,
                at,
                "MIT-BIH 201 and 202 are recordings of one man; they count as one patient",
            )


def _join_same_patients(members: Sequence[Member], groups: _Groups) -> None:
    first: dict[str, int] = {}
    for n, member in enumerate(members):
        groups.join(first.setdefault(member.own_patient, n), n)


def _copies(members: Sequence[Member], opened: Opened, groups: _Groups) -> Iterator[Finding]:
    """Groups of members that hold the same stretch, whole or in part, at whatever gain."""
    copies = _Groups(len(members))
    for met in meetings([m.beats for m in members]):
        if copies.root(met.first) == copies.root(met.second):
            continue
        one, other = members[met.first], members[met.second]
        alike = likeness(opened(one.record_id), opened(other.record_id), lag_s=met.lag_s)
        if alike >= SAME:
            copies.join(met.first, met.second)
            groups.join(met.first, met.second)
    together: dict[int, list[int]] = defaultdict(list)
    for n, root in enumerate(copies.roots()):
        together[root].append(n)
    for at in together.values():
        if len(at) > 1:
            yield from _copies_found(members, at)


def _copies_found(members: Sequence[Member], at: Sequence[int]) -> Iterator[Finding]:
    patients = {members[n].patient for n in at}
    said = "of one patient" if len(patients) == 1 and None not in patients else "of different ids"
    yield _finding(
        SAME_WAVEFORM,
        members,
        at,
        f"{len(at)} records {said} hold the same waveform, whole or a stretch of it; "
        "they count as one patient",
    )
    labels = {members[n].label for n in at}
    if len(labels) > 1:
        yield _finding(
            LABELS_DISAGREE, members, at, "the same waveform has both labels; one of them is wrong"
        )


def _unknown_patients(members: Sequence[Member]) -> Iterator[Finding]:
    at = [n for n, member in enumerate(members) if member.patient is None]
    if at:
        yield _finding(
            PATIENT_UNKNOWN,
            members,
            at,
            f"{len(at)} records came without a patient: each counts as a patient of its own, so a "
            "patient with two of them may be on both sides of a split",
        )

"""What the audit finds among members, and who is one patient then."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from services.datasets import audit as audits
from services.datasets.audit import audited
from services.datasets.members import Member, content_sha256, plain_patient
from services.ecg.record import EcgRecord
from services.ecg.rhythm_print import beat_times
from tests.labelled import rhythm

RECORDS: dict[str, EcgRecord] = {}


def member(
    name: str, seed: int, *, patient: str | None = None, start: int = 0, label: float | None = None
) -> Member:
    signal = rhythm(seed, duration_s=30.0)[0][:, start:]
    record = EcgRecord(np.asarray(signal * (1 + seed), np.float32), ("MLII", "V1"), 360.0)
    RECORDS[name] = record
    return Member(name, f"sha {name}", name, patient, label, {}, "", beat_times(record))


def found(members: list[Member]) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
    audit = audited(members, RECORDS.__getitem__)
    return {finding.kind: finding.names for finding in audit.findings}, audit.patients


def test_copies_join_their_patients_and_all_their_other_records() -> None:
    members = [
        member("a", 1, patient="p"),
        member("b", 2, patient="p"),
        member("c", 1, patient="q", start=1800),
        member("d", 3, patient="q"),
        member("e", 4, patient="r"),
    ]
    kinds, patients = found(members)
    assert kinds == {audits.SAME_WAVEFORM: ("a", "c")}
    assert len(set(patients[:4])) == 1
    assert len(set(patients)) == 2


def test_one_patient_with_copies_is_told_as_such() -> None:
    members = [member("a", 1, patient="p"), member("c", 1, patient="p", start=900)]
    audit = audited(members, RECORDS.__getitem__)
    assert "of one patient hold" in audit.findings[0].detail


def test_the_signal_is_asked_only_where_beats_fall_together() -> None:
    members = [member(str(seed), seed, patient=str(seed)) for seed in range(1, 12)]
    asked: list[str] = []

    def opened(record_id: str) -> EcgRecord:
        asked.append(record_id)
        return RECORDS[record_id]

    assert audited(members, opened).findings == ()
    assert asked == []


def test_records_without_a_patient_count_as_one_each_and_are_told() -> None:
    kinds, patients = found([member("a", 1), member("b", 2), member("c", 3, patient="p")])
    assert kinds == {audits.PATIENT_UNKNOWN: ("a", "b")}
    assert len(set(patients)) == 3


def test_labels_of_copies_that_disagree_are_told() -> None:
    members = [
        member("a", 1, patient="p", label=0.0),
        member("b", 1, patient="p", start=700, label=1.0),
    ]
    assert found(members)[0][audits.LABELS_DISAGREE] == ("a", "b")


def test_members_with_too_few_beats_are_counted() -> None:
    few = replace(member("a", 1, patient="p"), beats=np.arange(4, dtype=np.float32))
    assert audited([few], RECORDS.__getitem__).not_compared == 1


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("P-001", "p 1", True),
        ("Ward3/7", "ward3_07", True),
        ("10", "1", False),
        ("1-12", "11-2", False),
        ("000", "0", True),
        ("p100", "p1000", False),
        ("a0b", "ab", False),
    ],
)
def test_spellings_of_an_id(one: str, other: str, same: bool) -> None:
    assert (plain_patient(one) == plain_patient(other)) == same


def test_the_content_hash_knows_who_is_with_whom_but_not_what_they_are_called() -> None:
    a, b, c = (member(name, seed, patient=name) for name, seed in (("a", 1), ("b", 2), ("c", 3)))
    digest = content_sha256("beats", [a, b, c])
    renamed = [
        replace(m, patient=f"x{m.patient}", name="n", record_id="r" + m.name) for m in (c, a, b)
    ]
    assert content_sha256("beats", renamed) == digest
    assert content_sha256("beats", [a, replace(b, patient="a"), c]) != digest
    assert content_sha256("afib-5y", [a, b, c]) != digest
    assert content_sha256("beats", [replace(a, annotations_sha256="other"), b, c]) != digest
    assert content_sha256("beats", [replace(a, label=1.0), b, c]) != digest

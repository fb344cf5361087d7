"""What a folder of records is found to hold, and what is said of one that cannot be trained on."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.ecg.labels import AAMI_CLASSES
from services.errors import MalformedInput, NotFound, UnusableInput
from services.models.ecgbert.stages.parallel import Workforce
from services.models.ecgbert.stages.survey import SurveyedRecord, check_trainable, surveyed
from services.training.progress import NoProgress
from tests.services.models.ecgbert.stages.made_dataset import ALONE, write_dataset, write_record


def check(records: tuple[SurveyedRecord, ...], *, allow_missing: bool = False) -> None:
    check_trainable(
        records,
        class_names=AAMI_CLASSES,
        class_counts=lambda record: record.beats or (),
        allow_missing=allow_missing,
    )


def test_records_are_found_with_their_beats_leads_and_rates(tmp_path: Path) -> None:
    write_dataset(tmp_path)
    write_record(tmp_path / "more", "e5", sampling_rate_hz=250.0, symbols=None)
    records = surveyed(tmp_path, ALONE)
    assert [record.name for record in records] == ["a1", "b2", "c3", "d4", "more/e5"]
    assert records[0].beats == (5, 5, 5, 5, 4)
    assert records[0].lead_names == ("MLII", "V1")
    assert (records[4].sampling_rate_hz, records[4].beats) == (250.0, None)
    check(records)


def test_other_processes_find_the_same(tmp_path: Path) -> None:
    write_dataset(tmp_path)
    two = Workforce(jobs=2, progress=NoProgress())
    assert surveyed(tmp_path, two) == surveyed(tmp_path, ALONE)
    (tmp_path / "c3.atr").write_bytes(b"\x01\x04\x02")
    with pytest.raises(MalformedInput, match="record c3"):  # theirs are ours
        surveyed(tmp_path, two)


def test_leads_go_by_their_names_and_not_by_their_places(tmp_path: Path) -> None:
    write_record(tmp_path, "a1")
    header = tmp_path / "a1.hea"
    first, mlii, v1 = header.read_text().splitlines()
    swapped = (first, mlii.replace("MLII", "V1"), v1.replace("V1", "MLII"))
    header.write_text("\n".join(swapped) + "\n")
    (record,) = surveyed(tmp_path, ALONE)
    assert (record.all_leads, record.lead_names, record.rows) == (
        ("V1", "MLII"),
        ("MLII", "V1"),
        (1, 0),
    )


def test_what_is_left_out_is_not_opened(tmp_path: Path) -> None:
    write_dataset(tmp_path)
    (tmp_path / "b2.dat").write_bytes(b"no signal")
    records = surveyed(tmp_path, ALONE, leave_out=["b2"])
    assert [record.name for record in records] == ["a1", "c3", "d4"]
    with pytest.raises(UnusableInput, match="no record or patient z9"):
        surveyed(tmp_path, ALONE, leave_out=["z9"])


def test_patients_come_from_the_table_or_from_what_is_known_of_mit_bih(tmp_path: Path) -> None:
    for name in ("201", "202", "203"):
        write_record(tmp_path, name)
    assert [record.patient for record in surveyed(tmp_path, ALONE)] == ["201", "201", "203"]
    (tmp_path / "patients.csv").write_text("record,patient\n202,anna\n203,anna\n")
    assert [record.patient for record in surveyed(tmp_path, ALONE)] == ["201", "anna", "anna"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("name,patient\na1,x\n", "columns record,patient"),
        ("record,patient\na1\n", "line 2"),
        ("record,patient\nz9,x\n", "z9"),
    ],
)
def test_a_table_of_patients_that_does_not_fit_is_refused(
    tmp_path: Path, table: str, message: str
) -> None:
    write_dataset(tmp_path)
    (tmp_path / "patients.csv").write_text(table)
    with pytest.raises((MalformedInput, UnusableInput), match=message):
        surveyed(tmp_path, ALONE)


def test_a_folder_that_is_missing_or_empty_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        surveyed(tmp_path / "nowhere", ALONE)
    with pytest.raises(UnusableInput, match="holds no record"):
        surveyed(tmp_path, ALONE)


def test_annotations_longer_than_the_signal_are_refused(tmp_path: Path) -> None:
    write_record(tmp_path, "a1", last_annotation=9000)
    with pytest.raises(UnusableInput, match=r"a1\.atr has an annotation at sample 9000.*7200"):
        surveyed(tmp_path, ALONE)


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    write_dataset(tmp_path)
    (tmp_path / "c3.atr").write_bytes(b"\x01\x04\x02")
    with pytest.raises(MalformedInput, match="record c3"):
        surveyed(tmp_path, ALONE)


def test_a_dataset_without_annotations_is_refused(tmp_path: Path) -> None:
    for name in ("a1", "b2"):
        write_record(tmp_path, name, symbols=None)
    with pytest.raises(UnusableInput, match=r"none of the 2 records has annotations.*atr"):
        check(surveyed(tmp_path, ALONE))


def test_a_dataset_of_one_patient_is_refused(tmp_path: Path) -> None:
    for name in ("201", "202"):
        write_record(tmp_path, name)
    with pytest.raises(UnusableInput, match="of one patient"):
        check(surveyed(tmp_path, ALONE))


def test_a_missing_class_is_named_and_can_be_allowed(tmp_path: Path) -> None:
    for name in ("a1", "b2"):
        write_record(tmp_path, name, symbols="NV")
    records = surveyed(tmp_path, ALONE)
    with pytest.raises(UnusableInput, match="no beat of class S, F, Q among 24 N, 0 S, 24 V"):
        check(records)
    check(records, allow_missing=True)


def test_marks_that_are_no_beats_do_not_count(tmp_path: Path) -> None:
    for name in ("a1", "b2"):
        write_record(tmp_path, name, symbols="+~")
    with pytest.raises(UnusableInput, match="mark no beat"):
        check(surveyed(tmp_path, ALONE), allow_missing=True)

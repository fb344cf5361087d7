from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wfdb.processing import compare_annotations

from services.ecg.readers.files import record_from_path
from services.ecg.record import Annotations, IntArray
from services.ecg.rpeaks import r_peaks
from services.evaluation.beats import reference_beats
from services.evaluation.matching import BeatMatch, flutter_stretches, inside, matched_beats

MITDB = Path(__file__).resolve().parents[4] / "shared" / "data" / "mitdb"


def match(reference: list[int] | IntArray, detected: list[int] | IntArray) -> BeatMatch:
    return matched_beats(np.array(reference), np.array(detected), sampling_rate_hz=360.0)


def test_a_beat_pairs_with_the_detection_nearest_to_it() -> None:
    found = match([1000, 2000], [990, 1030, 2054])
    assert found.of_reference.tolist() == [0, 2]
    assert found.of_detected.tolist() == [0, -1, 1]


def test_150_ms_is_the_limit_and_counts() -> None:
    assert match([1000], [1054]).true_positives == 1
    assert match([1000], [1055]).true_positives == 0


def test_one_detection_stands_for_one_beat_only() -> None:
    found = match([1000, 1040], [1030])
    assert found.of_reference.tolist() == [-1, 0]
    assert (found.false_negatives, found.false_positives) == (1, 0)


def test_what_the_nearest_pairs_leave_over_is_paired_too() -> None:
    # 1020 is nearest to both beats; the second beat then takes the later detection
    assert match([1010, 1045], [1020, 1080]).of_reference.tolist() == [0, 1]


def test_of_two_detections_equally_near_the_earlier_is_taken() -> None:
    assert match([1000], [990, 1010]).of_reference.tolist() == [0]


@pytest.mark.parametrize(("reference", "detected"), [([], []), ([5], []), ([], [5])])
def test_nothing_pairs_with_nothing(reference: list[int], detected: list[int]) -> None:
    found = match(reference, detected)
    assert found.true_positives == 0
    assert found.false_negatives == len(reference)
    assert found.false_positives == len(detected)


@given(
    st.lists(st.integers(110, 400), min_size=2, max_size=40),
    st.lists(st.tuples(st.booleans(), st.integers(-70, 70)), min_size=40, max_size=40),
)
def test_counts_agree_with_wfdb(rr: list[int], answers: list[tuple[bool, int]]) -> None:
    reference = 500 + np.cumsum(rr)
    kept = zip(reference, answers, strict=False)
    detected = np.unique([sample + shift for sample, (found, shift) in kept if found])
    if len(detected) == 0:
        return
    theirs = compare_annotations(reference, detected, 55)
    ours = match(reference, detected.astype(np.int64))
    assert ours.true_positives == theirs.tp
    assert ours.false_negatives == theirs.fn
    assert ours.false_positives == theirs.fp


@pytest.mark.skipif(not MITDB.is_dir(), reason="needs the MIT-BIH records in ../shared")
@pytest.mark.parametrize("name", ["101", "106", "108", "203", "207"])
def test_counts_agree_with_wfdb_on_real_records(name: str) -> None:
    record = record_from_path(MITDB / name)
    assert record.annotations is not None
    reference = reference_beats(record.annotations).sample
    detected = r_peaks(record.signal[:1], sampling_rate_hz=360.0)
    theirs = compare_annotations(reference, detected, 55)
    ours = match(reference, detected)
    assert ours.true_positives == theirs.tp
    assert ours.false_negatives == theirs.fn
    assert ours.false_positives == theirs.fp


def test_flutter_lies_between_its_marks() -> None:
    annotations = Annotations(np.array([10, 20, 30, 40, 50]), ("N", "[", "!", "]", "N"))
    stretches = flutter_stretches(annotations)
    assert stretches.tolist() == [[20, 40]]
    where = inside(np.array([10, 19, 20, 30, 40, 41]), stretches)
    assert where.tolist() == [False, False, True, True, True, False]


def test_flutter_that_never_ends_reaches_to_the_last_annotation() -> None:
    annotations = Annotations(np.array([10, 20, 30, 40]), ("[", "]", "[", "!"))
    assert flutter_stretches(annotations).tolist() == [[10, 20], [30, 40]]


def test_without_flutter_nothing_is_inside() -> None:
    annotations = Annotations(np.array([10]), ("N",))
    assert not inside(np.array([5, 10]), flutter_stretches(annotations)).any()

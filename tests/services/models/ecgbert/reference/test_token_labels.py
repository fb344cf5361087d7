"""The class that the original gives a token."""

from __future__ import annotations

import numpy as np
import pytest

from services.ecg.record import Annotations
from services.models.ecgbert.reference.token_labels import aami_labels, binary_labels


def marks(*pairs: tuple[int, str]) -> Annotations:
    return Annotations(
        np.array([sample for sample, _ in pairs], dtype=np.int64),
        tuple(symbol for _, symbol in pairs),
    )


def test_a_class_reaches_from_its_annotation_to_the_next() -> None:
    labels = aami_labels(marks((10, "V"), (20, "A")), np.array([9, 10, 19, 20, 500]))
    assert labels.tolist() == [0, 2, 2, 1, 1]


def test_a_rhythm_mark_after_a_beat_makes_the_rest_normal() -> None:
    labels = aami_labels(marks((10, "V"), (12, "+")), np.array([11, 12, 40]))
    assert labels.tolist() == [2, 0, 0]


def test_of_two_annotations_at_one_sample_the_later_one_counts() -> None:
    assert aami_labels(marks((10, "V"), (10, "F")), np.array([10])).tolist() == [3]


@pytest.mark.parametrize("symbol", ["|", "x", "!", "[", "]", '"'])
def test_marks_that_are_no_beats_are_normal_among_five_and_abnormal_among_two(symbol: str) -> None:
    at = np.array([15])
    assert aami_labels(marks((10, symbol)), at).tolist() == [0]
    assert binary_labels(marks((10, symbol)), at).tolist() == [1]


@pytest.mark.parametrize("symbol", ["+", "~", "N", "L", "R", "e", "j"])
def test_what_both_call_normal(symbol: str) -> None:
    at = np.array([15])
    assert aami_labels(marks((10, symbol)), at).tolist() == [0]
    assert binary_labels(marks((10, symbol)), at).tolist() == [0]


def test_without_annotations_everything_is_normal() -> None:
    assert aami_labels(marks(), np.array([0, 5])).tolist() == [0, 0]
